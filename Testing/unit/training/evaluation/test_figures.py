"""The layout of Figure 4."""

import io
import math

import numpy as np
import pytest
from GBMResponseCore.errors import OutputFolderError
from matplotlib import image as pictures

from GBMResponseTraining.evaluation.figures import (
    Example,
    _tumor_window,
    spread_by_local_ssim,
    worst_against_copy,
    write_examples,
    write_figure4,
)

GTV = np.zeros((64, 64), bool)
GTV[30:34, 40:50] = True


def examples(count=2):
    rng = np.random.default_rng(0)
    slices = rng.uniform(-1, 0.5, (count, 3, 64, 64))
    return [Example(*triple, GTV, 0.7 - number / 10, "short") for number, triple in enumerate(slices)]


def files(folder, **changes):
    write_figure4(examples(**changes), "Synthetic", folder / "figure4.png", folder / "figure4.pdf")
    return folder / "figure4.png", folder / "figure4.pdf"


def test_five_slices_are_best_quartiles_and_worst():
    values = np.random.default_rng(0).permutation(np.linspace(0.0, 0.8, 41))
    chosen = values[spread_by_local_ssim(values, 5)]
    assert chosen == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


def test_slices_without_gtv_are_not_shown():
    assert spread_by_local_ssim([0.1, math.nan, 0.3], 5) == [2, 0]


def test_one_row_shows_the_best():
    assert spread_by_local_ssim([0.1, 0.5, 0.3], 1) == [1]


def test_no_slice_is_shown_twice():
    assert sorted(spread_by_local_ssim([0.2, 0.2, 0.1], 3)) == [0, 1, 2]


def test_failures_lose_most_against_the_copy():
    assert worst_against_copy([0.5, 0.2, 0.9], [0.6, 0.25, 0.2], [0, 1, 2], 2) == [0, 1]


def test_one_patient_fails_once():
    assert worst_against_copy([0.1, 0.2, 0.9, 0.3], [0.9] * 4, [0, 0, 1, 2], 5) == [0, 3, 2]


def test_slices_without_gtv_are_no_failures():
    assert worst_against_copy([math.nan, 0.2], [0.5, 0.5], [0, 0], 5) == [1]


def test_the_crop_holds_the_tumor_with_a_margin():
    rows, columns = _tumor_window(GTV)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (48, 48)
    assert GTV[rows, columns].sum() == GTV.sum()
    assert columns.stop == 64


@pytest.mark.parametrize("corner", [(0, 0), (63, 63)])
def test_the_crop_stays_inside_the_slice(corner):
    gtv = np.zeros((64, 64), bool)
    gtv[corner] = True
    rows, columns = _tumor_window(gtv)
    assert gtv[rows, columns].shape == (48, 48)
    assert gtv[rows, columns].any()


def test_a_large_tumor_fills_the_crop():
    gtv = np.zeros((64, 64), bool)
    gtv[4:60, 10:20] = True
    assert _tumor_window(gtv) == (slice(0, 64), slice(0, 64))


def test_the_picture_has_a_row_per_slice(tmp_path):
    heights = []
    for count in (1, 3):
        folder = tmp_path / str(count)
        folder.mkdir()
        png, _ = files(folder, count=count)
        heights.append(pictures.imread(io.BytesIO(png.read_bytes())).shape[0])
    assert heights[1] - heights[0] == pytest.approx(2 * 1.9 * 200, abs=2)


def test_the_gtv_is_red_on_the_pre_image_only(tmp_path):
    png, _ = files(tmp_path, count=1)
    picture = pictures.imread(io.BytesIO(png.read_bytes()))[..., :3]
    body = picture[150:-60]
    red = (body[..., 0] > 0.9) & (body[..., 1:].max(axis=-1) < 0.3)
    columns = np.array_split(red[:, int(0.55 * 200) :], 6, axis=1)
    assert [bool(column.any()) for column in columns] == [True, False, False, True, False, False]


def test_both_files_are_what_they_are_called(tmp_path):
    png, pdf = files(tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert {path.name for path in tmp_path.iterdir()} == {"figure4.png", "figure4.pdf"}


def test_failures_are_drawn_as_figure_4(tmp_path):
    png, _ = files(tmp_path)
    write_examples(examples(), "Synthetic", tmp_path / "failures.png")
    assert (tmp_path / "failures.png").read_bytes() == png.read_bytes()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OutputFolderError):
        files(tmp_path / "absent")
