"""The montage, and the columns that it shares with the report."""

from dataclasses import replace

import numpy as np
import pytest
from GBMResponseCore.outputs import columns as drawing
from GBMResponseCore.outputs.columns import CaseColumns
from GBMResponseCore.outputs.montage import write_montage
from GBMResponseCore.outputs.picture import CYAN, YELLOW
from GBMResponseCore.outputs.report import write_report
from PIL import Image


@pytest.fixture
def columns(parts):
    return CaseColumns(parts[0])


def pixels_of(path):
    return np.asarray(Image.open(path))


def holds(page, tile):
    """Whether the picture stands somewhere in the page, to the pixel."""
    starts = np.indices(np.subtract(page.shape[:2], tile.shape[:2]) + 1).reshape(2, -1)
    # A few pixels tell most places apart.
    for row, column in np.random.default_rng(0).integers(0, tile.shape[:2], (40, 2)):
        starts = starts[:, (page[starts[0] + row, starts[1] + column] == tile[row, column]).all(axis=1)]
    return any(np.array_equal(page[r : r + len(tile), c : c + tile.shape[1]], tile) for r, c in starts.T)


def test_every_slice_of_every_column_stands_in_it_to_the_pixel(columns, parts, tmp_path):
    prediction = parts[1]["short"]
    page = pixels_of(write_montage(columns, prediction, tmp_path / "montage.png"))
    shown = [columns.before, *columns.of_prediction(prediction), columns.truth]
    for column in shown:
        assert len(column.pictures) == len(parts[0].indices)
        for picture in column.pictures:
            assert holds(page, picture)


def test_the_superior_slice_is_at_the_top(columns, parts):
    assert columns.indices == sorted(parts[0].indices.tolist(), reverse=True)
    heights = [float(place.split()[2]) for place in columns.places]
    assert heights == sorted(heights, reverse=True)
    assert columns.places[0].startswith(f"{columns.indices[0]}: S ")


def test_the_gtv_is_drawn_on_every_picture_and_enhancement_where_it_was_measured(parts):
    columns = CaseColumns(parts[0], parts[3])
    prediction = next(iter(parts[1].values()))
    has = lambda picture, color: bool((picture == color).all(axis=-1).any())  # noqa: E731
    for column in (columns.before, *columns.of_prediction(prediction)[:-1], columns.truth):
        assert all(has(picture, YELLOW) for picture in column.pictures)
    assert has(columns.before.pictures[columns.largest], CYAN)
    assert not any(has(picture, CYAN) for picture in CaseColumns(parts[0]).before.pictures)


def test_a_small_difference_of_classes_is_seen_and_none_is_white(parts):
    columns, short = CaseColumns(parts[0]), parts[1]["short"]
    pixels = np.tile(np.linspace(0, 0.1, 64, dtype=np.float32), (len(parts[0].indices), 64, 1))
    other = replace(short)
    object.__setattr__(other, "expected_pixels", short.expected_pixels + pixels)
    column = columns.change_between(short, other)
    picture = column.pictures[0]
    reddest = (picture[..., 0] == 255) & (picture[..., 1] < 60)
    assert reddest.any() and "full color: " in column.title
    same = columns.change_between(short, short)
    assert same.title.endswith("full color: 2% of white")
    assert not ((same.pictures[0][..., 0] > 200) & (same.pictures[0][..., 1] < 100)).any()


def test_a_close_up_shows_the_tumor_larger(parts):
    small = np.zeros_like(parts[0].gtv)
    small[:, 30:34, 30:34] = parts[0].gtv[:, 30:34, 30:34]
    columns = CaseColumns(replace(parts[0], gtv=small))
    share = lambda entry: (entry.before.pictures[entry.largest] == YELLOW).all(axis=-1).mean()  # noqa: E731
    assert share(columns.close_up()) > share(columns) > 0


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
    columns = CaseColumns(slices, measurements)
    for name, prediction in predictions.items():
        write_montage(columns, prediction, tmp_path / f"{name}.png")
    heads = drawn.count("stamped"), drawn.count("difference_colors")
    pictures = len(predictions) * len(slices.indices)
    assert heads == (3 * pictures, pictures)
    assert drawn.count("head_window") == 1
    write_report(tmp_path / "report.html", columns, predictions, records, measurements)
    maps, close, classes = 2 * len(slices.indices), 3 * len(slices.indices), len(slices.indices)
    shown = maps if columns.chance(predictions["short"]) is not None else maps // 2
    assert drawn.count("stamped") == heads[0] + shown + close + classes
    assert drawn.count("head_window") == 1
