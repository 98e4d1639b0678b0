"""The HTML report and its pictures: self-contained, escaped, without names."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.follow_up import align_follow_up
from GBMResponseCore.measure.measurements import CAVEATS, measure
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.outputs.picture import difference_colors, png, stamped, with_contour
from GBMResponseCore.outputs.provenance import provenance
from GBMResponseCore.outputs.report import write_report
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions

SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def parts(tmp_path_factory, tiny_bundle):
    """Everything a report is made of, for two classes and a follow-up."""
    folder = tmp_path_factory.mktemp("Jörg Müller")
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    sitk.WriteImage(image, str(folder / "Müller pre.nrrd"))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "Müller gtv.nrrd"))
    case = load_case(folder / "Müller pre.nrrd", folder / "Müller gtv.nrrd", folder / "Müller pre.nrrd")
    bundle = open_bundle(tiny_bundle)
    predictor = Predictor(bundle, "cpu", "float32")
    predictions = {name: predictor.predict(case, PredictionOptions(classes=(name,))) for name in ("short", "long")}
    records = {name: provenance(bundle, entry) for name, entry in predictions.items()}
    slices = replace(predictor.read_slices(case), follow_up=align_follow_up(case, bundle.normalization))
    return slices, predictions, records, measure(slices, predictions)


@pytest.fixture
def page(parts, tmp_path):
    return Page(write_report(tmp_path / "report.html", *parts).read_text("utf-8"))


def test_it_says_what_it_is_and_what_not(page):
    assert "not for clinical decisions" in page.text
    assert "research use" in page.text
    for caveat in CAVEATS:
        assert caveat in page.text
    assert "rano response" not in page.text.lower()


def test_it_loads_nothing_and_runs_nothing(page):
    assert not page.all("script") + page.all("link") + page.all("iframe") + page.all("a")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; img-src data:")


def test_every_slice_has_its_pictures(page, parts):
    slices = len(parts[0].indices)
    columns = 1 + 2 * 2 + 1
    assert len(page.all("img")) == slices * columns
    synthetic = [image for image in page.all("img") if image["alt"].startswith("SYNTHETIC")]
    assert len(synthetic) == slices * 4


def test_the_pictures_can_be_decoded(page, tmp_path):
    for number, image in enumerate(page.all("img")[:6]):
        path = tmp_path / f"{number}.png"
        path.write_bytes(base64.b64decode(image["src"].split(",")[1]))
        assert np.ptp(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))) > 30


def test_numbers_stand_with_sample_counts_and_baseline(page):
    assert "RANO-style size category (pre-treatment reference)" in page.text
    assert re.search(r"P\([\w ]+\) = 100%, 1 sample", page.text)
    assert "copy of the input" in page.text


def test_provenance_is_there_and_names_are_not(page, parts, tmp_path):
    record = parts[2]["short"]
    assert record["bundle"]["bundle_json_sha256"] in page.text
    assert record["inputs_sha256"]["image"] in page.text
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "Müller" not in text
    assert ".nrrd" not in text


def test_text_is_escaped(parts, tmp_path):
    slices, predictions = parts[:2]
    evil = "<script>alert('x')</script>\"&"
    prediction = predictions["short"]
    prediction = replace(prediction, class_choice=replace(prediction.class_choice, name=evil))
    text = write_report(tmp_path / "evil.html", slices, {evil: prediction}, {evil: {evil: evil}}).read_text("utf-8")
    assert not Page(text).all("script")
    assert evil in Page(text).text


def test_a_report_without_measurements_and_follow_up(parts, tmp_path):
    slices, predictions, records = parts[:3]
    plain = replace(slices, follow_up=None)
    page = Page(write_report(tmp_path / "plain.html", plain, predictions, records).read_text("utf-8"))
    assert "Measurements" not in page.text
    assert "Provenance" in page.text


@pytest.mark.parametrize("shape", [(5, 7), (4, 6, 3)])
def test_a_png_holds_its_pixels(shape, tmp_path):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) * 2
    (tmp_path / "x.png").write_bytes(png(pixels))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "x.png"))), pixels)


@pytest.mark.parametrize("shape", [(64, 64), (256, 240), (20, 20)])
def test_a_stamp_changes_one_corner_only(shape):
    gray = np.full(shape, 100, np.uint8)
    changed = stamped(gray) != gray
    assert changed.any()
    assert not changed[: shape[0] // 2].any()
    assert (gray == 100).all()


def test_a_contour_is_red_and_the_rest_gray():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    colors = with_contour(np.full((20, 20), 80, np.uint8), mask)
    assert tuple(colors[5, 8]) == (255, 60, 60)
    assert tuple(colors[10, 10]) == tuple(colors[0, 0]) == (80, 80, 80)


def test_differences_are_blue_white_and_red():
    colors = difference_colors(np.array([[-1.0, 0.0, 1.0]]), 1.0)
    assert colors[0].tolist() == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]
