"""The montage, and the columns that it shares with the report."""

from dataclasses import replace

import numpy as np
import pytest
from GBMResponseCore.outputs import columns as drawing
from GBMResponseCore.outputs.columns import CaseColumns
from GBMResponseCore.outputs.montage import write_montage
from GBMResponseCore.outputs.report import write_report
from PIL import Image


@pytest.fixture
def columns(parts):
    return CaseColumns(parts[0])


def pixels_of(path):
    return np.asarray(Image.open(path))


def holds(page, picture, factor):
    """Whether the enlarged picture stands somewhere in the page, to the pixel."""
    tile = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
    tile = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    # The upper left corner may carry the number of the slice, so the tile is looked for without its upper quarter.
    tile = tile[len(tile) // 4 :]
    windows = np.lib.stride_tricks.sliding_window_view(page, (1, tile.shape[1], 3))[:, :, 0, 0]
    starts = np.argwhere((windows == tile[0]).all(axis=(2, 3)))
    return any(np.array_equal(page[r : r + len(tile), c : c + tile.shape[1]], tile) for r, c in starts)


def test_every_slice_of_every_column_stands_in_it_to_the_pixel(columns, parts, tmp_path):
    prediction = parts[1]["short"]
    page = pixels_of(write_montage(columns, prediction, tmp_path / "montage.png"))
    shown = [columns.before, *columns.of_prediction(prediction), columns.truth]
    height = shown[0].pictures[0].shape[0]
    for column in shown:
        assert len(column.pictures) == len(parts[0].indices)
        for picture in column.pictures:
            assert holds(page, picture, max(1, round(232 / height)))


def test_the_superior_slice_is_at_the_top(columns, parts):
    assert columns.indices == sorted(parts[0].indices.tolist(), reverse=True)
    mask = parts[0].gtv[columns.indices[0]]
    red = (columns.before.pictures[0] == (255, 60, 60)).all(axis=-1)
    assert red.any() and red.sum() <= mask.sum()


def test_without_a_follow_up_there_is_one_column_less(columns, parts, tmp_path):
    prediction = parts[1]["long"]
    alone = CaseColumns(replace(parts[0], follow_up=None))
    assert alone.truth is None
    widths = [
        pixels_of(write_montage(entry, prediction, tmp_path / f"{number}.png")).shape[1]
        for number, entry in enumerate((columns, alone))
    ]
    assert widths[1] == pytest.approx(widths[0] * 4 / 5, abs=4)


def test_a_follow_up_that_was_not_registered_says_so(parts):
    slices = replace(parts[0], follow_up=replace(parts[0].follow_up, registered=False))
    assert CaseColumns(slices).truth.title == "true follow-up, not registered"


def test_long_class_names_stay_inside_their_column(columns, parts, tmp_path):
    prediction = parts[1]["short"]
    choice = replace(prediction.class_choice, name="a name that is very much longer than a column is wide")
    page = pixels_of(write_montage(columns, replace(prediction, class_choice=choice), tmp_path / "montage.png"))
    usual = pixels_of(write_montage(columns, prediction, tmp_path / "usual.png"))
    assert page.shape[1] == usual.shape[1]
    gap = (page[..., :] > 0).any(axis=(0, 2))
    assert not gap[:6].any()


def test_montage_and_report_draw_each_picture_once(parts, tmp_path, monkeypatch):
    drawn = []
    for name in ("stamped", "difference_colors", "white_level", "head_window"):
        function = getattr(drawing, name)
        counted = lambda *args, name=name, function=function: drawn.append(name) or function(*args)  # noqa: E731
        monkeypatch.setattr(drawing, name, counted)
    slices, predictions, records, measurements = parts
    columns = CaseColumns(slices)
    for name, prediction in predictions.items():
        write_montage(columns, prediction, tmp_path / f"{name}.png")
    write_report(tmp_path / "report.html", columns, predictions, records, measurements)
    pictures = len(predictions) * len(slices.indices)
    counts = {name: drawn.count(name) for name in drawn}
    assert counts == {"stamped": 2 * pictures, "difference_colors": pictures, "white_level": 2, "head_window": 1}
