"""The HTML report and its pictures: self-contained, escaped, without names."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from GBMResponseCore.measure.measurements import CAVEATS, measure
from GBMResponseCore.model.manifest import Manifest
from GBMResponseCore.outputs.columns import CaseColumns
from GBMResponseCore.outputs.report import write_report
from GBMResponseCore.request import CaseFacts
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
    return Page(write_report(tmp_path / "report.html", CaseColumns(slices, others[2]), *others).read_text("utf-8"))


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


def of_slices(page):
    """Pictures of the part that shows all slices."""
    return [image for image in page.all("img") if re.search(r", slice \d+$", image["alt"])]


def test_every_slice_has_its_pictures(page, parts):
    slices = len(parts[0].indices)
    columns = 1 + 2 * 3 + 1
    assert len(of_slices(page)) == slices * columns
    synthetic = [image for image in of_slices(page) if image["alt"].startswith("SYNTHETIC")]
    assert len(synthetic) == slices * 6


def test_each_picture_is_of_its_slice_and_its_column(page, parts):
    columns = CaseColumns(parts[0], parts[3])
    expected = {}
    for column in (columns.before, *(c for p in parts[1].values() for c in columns.of_prediction(p)), columns.truth):
        for index, picture in zip(columns.indices, column.pictures, strict=True):
            expected[f"{column.title}, slice {index}"] = picture
    shown = {image["alt"]: image["src"] for image in of_slices(page)}
    assert set(shown) == set(expected)
    for name, source in shown.items():
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        assert np.array_equal(picture, expected[name])
        assert np.ptp(picture) > 30


def test_the_expected_image_stands_first(page):
    assert page.all("img")[0]["alt"].startswith("SYNTHETIC expected image")


def test_coronal_and_sagittal_pictures_of_all_volumes_are_there(page):
    titles = [image["alt"] for image in page.all("img")]
    for volume in ("T1-Gd before", "SYNTHETIC expected image", "true follow-up"):
        assert f"{volume}, coronal" in titles and f"{volume}, sagittal" in titles


def test_several_classes_are_compared(page):
    assert "What if: the classes compared" in page.text
    titles = [image["alt"] for image in page.all("img")]
    (change,) = [title for title in titles if title.startswith("SYNTHETIC expected image, long minus short")]
    assert re.search(r"full color: \d+% of white$", change)


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
    columns = CaseColumns(slices, measured)
    return Page(write_report(tmp_path / "m.html", columns, chosen, record, measured).read_text("utf-8"))


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
    figures, scores = 7, 3 * 4  # of prediction and both copies; the difference of intensities does not rest on volumes
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


def test_the_answer_comes_with_an_interval_or_says_that_it_cannot_say(parts, tmp_path):
    assert "too few for an interval or a category. Cannot say." in report_of(parts, tmp_path, 1, parts[0].pre).text
    four = report_of(parts, tmp_path, 4, parts[0].pre).text
    assert re.search(r"Enhancing volume (\d+\.\d) ml before, \1 ml \(\1 to \1\) expected", four)
    assert "SD in 100% of the samples" in four
    withheld = report_of(parts, tmp_path, 4, np.full_like(parts[0].pre, 1.0)).text
    assert "Cannot say how much will enhance. On this case an image in which nothing changed" in withheld


def test_a_case_has_a_pseudonym_unless_it_is_named(parts, tmp_path):
    digest = parts[2]["short"]["inputs_sha256"]["image"].upper()
    name = f"CASE {digest[:4]}-{digest[4:8]}"
    slices, *others = parts
    columns = CaseColumns(slices)
    assert name in Page(write_report(tmp_path / "a.html", columns, *others).read_text("utf-8")).text
    facts = CaseFacts(case_id="board 7", rt_end="2026-01-30", follow_up_date="2026-03-13", made_by="K.")
    text = Page(write_report(tmp_path / "b.html", columns, *others, facts=facts).read_text("utf-8")).text
    assert name not in text
    assert "board 7" in text and "by K." in text
    assert "The follow-up lies 6 weeks after the end of radiotherapy. In the first 12 weeks" in text
    assert "Weeks since the end of radiotherapy are not known" not in text


def test_what_to_trust_is_the_bundles_own_figures_beside_the_best_baseline(parts, tmp_path):
    mean = lambda value: {"metrics": {"mse_local": {"patient_mean": value}}}  # noqa: E731
    table = {
        "copy of the pre image": {"kind": "baseline", **mean(0.3)},
        "blurred copy": {"kind": "baseline", **mean(0.1)},
        "no class": {"kind": "model", **mean(0.2)},
        "no class, expected image": {"kind": "expected image", **mean(0.05)},
        "the truth": {"kind": "upper bound", **mean(0.0)},
    }
    metrics = {"split": "test", "table": table, "sentences": ["**The copy wins.**"], "others": {"real": {"split": "x"}}}
    slices, predictions, records, measurements = parts
    manifest = Manifest(tmp_path, {**DESCRIPTION, "metrics": metrics})
    page = write_report(tmp_path / "t.html", CaseColumns(slices), predictions, records, measurements, manifest=manifest)
    text = Page(page.read_text("utf-8")).text
    assert "learned from: 12 simulated patients" in text
    assert "AUC 0.51 [0.45, 0.57]" in text
    assert "The copy wins." in text and "**" not in text
    twin = json.loads((tmp_path / "t.json").read_text("utf-8"))
    row = ["squared error in the GTV", "0.200", "0.050", "0.100 (blurred copy)", "the expected image"]
    assert twin["trust"]["evaluations"][0]["rows"] == [row]
    assert all(cell in text for cell in row)


DESCRIPTION = {
    "name": "m",
    "version": "1",
    "training_data": "12 simulated patients",
    "intended_use": "Tests.",
    "classifier": {"held_out": {"auc": 0.51, "ci_low": 0.45, "ci_high": 0.57, "patients": 150}},
    "conditioning": {"schemes": {}},
}


def test_a_copy_that_was_better_on_this_case_is_said_to_be(parts, tmp_path):
    # The follow-up of these parts is the input itself.
    text = report_of(parts, tmp_path, 4, parts[0].pre).text
    assert "the prediction (0) was as good as the copy of the input (0)" in text
    slices, predictions, records = parts[:3]
    flat = replace(predictions["short"], samples=[slices.case.image * 0] * 4)
    measured = measure(slices, {"short": flat}, slices.pre)
    page = write_report(
        tmp_path / "f.html", CaseColumns(slices), {"short": flat}, {"short": records["short"]}, measured
    )
    assert re.search(
        r"the prediction \([\d.]+\) was worse than the copy of the input", Page(page.read_text("utf-8")).text
    )


def test_the_twin_says_what_the_page_says(page, parts, tmp_path):
    twin = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert twin["synthetic"] is True
    for sentence in (*twin["answers"], *twin["caveats"], *twin["findings"], *twin["here"]):
        assert sentence in page.text
    for name, value in twin["case"] + twin["records"][0]["rows"]:
        assert name in page.text and value in page.text


def test_samples_that_disagree_cannot_say(parts, tmp_path):
    slices, predictions, records = parts[:3]
    nothing = slices.case.image * 0 + 500
    short = replace(predictions["short"], samples=[slices.case.image, nothing] * 2)
    measured = measure(slices, {"short": short}, slices.pre)
    chances = measured.record["classes"]["short"]["by_volume"]
    page = write_report(
        tmp_path / "d.html", CaseColumns(slices), {"short": short}, {"short": records["short"]}, measured
    )
    assert max(chances["probabilities"].values()) == 0.5
    assert "Size category by volume: cannot say" in Page(page.read_text("utf-8")).text
