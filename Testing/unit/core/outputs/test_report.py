"""The HTML report and its pictures: self-contained, escaped, without names."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from GBMResponseCore.measure.measurements import CAVEATS, measure
from GBMResponseCore.outputs.columns import CaseColumns
from GBMResponseCore.outputs.report import write_report
from PIL import Image


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


@pytest.fixture
def page(parts, tmp_path):
    slices, *others = parts
    return Page(write_report(tmp_path / "report.html", CaseColumns(slices), *others).read_text("utf-8"))


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
    columns = 1 + 2 * 3 + 1
    assert len(page.all("img")) == slices * columns
    synthetic = [image for image in page.all("img") if image["alt"].startswith("SYNTHETIC")]
    assert len(synthetic) == slices * 6


def test_each_picture_is_of_its_slice_and_its_column(page, parts):
    columns = CaseColumns(parts[0])
    expected = {}
    for column in (columns.before, *(c for p in parts[1].values() for c in columns.of_prediction(p)), columns.truth):
        for index, picture in zip(columns.indices, column.pictures, strict=True):
            expected[f"{column.title}, slice {index}"] = picture
    shown = {image["alt"]: image["src"] for image in page.all("img")}
    assert set(shown) == set(expected)
    for name, source in shown.items():
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        assert np.array_equal(picture, expected[name])
        assert np.ptp(picture) > 30


def test_numbers_stand_with_sample_counts_and_baseline(page):
    assert "RANO-style size category (pre-treatment reference)" in page.text
    assert re.search(r"P\([\w ]+\) = \d+%.*, 4 samples|withheld", page.text)
    assert "copy of the input" in page.text


def report_of(parts, tmp_path, samples, unchanged):
    """The report of one class with copies of the input as samples."""
    slices, predictions, records = parts[:3]
    prediction = replace(predictions["short"], samples=[slices.case.image] * samples)
    chosen, record = {"short": prediction}, {"short": records["short"]}
    measured = measure(slices, chosen, unchanged)
    return Page(write_report(tmp_path / "m.html", CaseColumns(slices), chosen, record, measured).read_text("utf-8"))


def test_one_sample_is_indeterminate_and_has_no_interval(parts, tmp_path):
    page = report_of(parts, tmp_path, 1, parts[0].pre)
    assert re.search(r"indeterminate, 1 sample: \w+", page.text)
    assert not re.search(r"P\(|\(\d+\.\d to ", page.text)


def test_four_samples_have_an_interval_and_a_change_within_the_noise(parts, tmp_path):
    page = report_of(parts, tmp_path, 4, parts[0].pre)
    assert re.search(r"(\d+\.\d) ml \(\1 to \1\)", page.text)
    assert re.search(r"\+0%, within the noise of ±\d+%", page.text)
    assert "P(SD) = 100%, 4 samples" in page.text
    assert "withheld" not in page.text


def test_the_overlap_with_the_gtv_and_the_check_are_reported(parts, tmp_path):
    page = report_of(parts, tmp_path, 1, parts[0].pre)
    dice = parts[3].record["check"]["gtv_dice"]
    assert f"Overlap of what enhances before treatment with the GTV: Dice {dice:.2f}." in page.text
    assert "An image in which nothing changed would show: volume +0%" in page.text


def test_what_is_withheld_says_why(parts, tmp_path):
    bright = np.full_like(parts[0].pre, 1.0)
    page = report_of(parts, tmp_path, 4, bright)
    sentence = "Volumes, areas and size categories are withheld. On this case an image in which nothing changed would"
    assert page.text.count(sentence) == 1
    figures, scores = 7, 2 * 4  # of prediction and copy; the difference of intensities does not rest on volumes
    assert page.text.count("withheld") == 1 + figures + scores
    assert "P(" not in page.text


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
    page = write_report(tmp_path / "evil.html", CaseColumns(slices), {evil: prediction}, {evil: {evil: evil}})
    text = page.read_text("utf-8")
    assert not Page(text).all("script")
    assert evil in Page(text).text


def test_a_report_without_measurements_and_follow_up(parts, tmp_path):
    slices, predictions, records = parts[:3]
    plain = CaseColumns(replace(slices, follow_up=None))
    page = Page(write_report(tmp_path / "plain.html", plain, predictions, records).read_text("utf-8"))
    assert "Measurements" not in page.text
    assert "Provenance" in page.text
