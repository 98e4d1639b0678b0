"""Fit the network by which a bundle finds enhancing tissue."""

import numpy as np
import pytest
from GBMResponseCore.errors import OptionError, UnreadableFileError
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.enhancement import EnhancementRule, EnhancementSegmenter
from GBMResponseCore.model.bundle import open_bundle
from scans import write_scans

from GBMResponseTraining.bundles.segmenter import Scan, fit_head, learned_from, read_scans
from GBMResponseTraining.datasets.errors import DatasetError


@pytest.fixture(scope="module")
def scans(tmp_path_factory, tiny_bundle):
    table = write_scans(tmp_path_factory.mktemp("scans"), "one", "two")
    return read_scans(table, open_bundle(tiny_bundle))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """So few teach a head what these scans hold."""
    monkeypatch.setattr("GBMResponseTraining.bundles.segmenter._STEPS", 400)


def made_up(name, seed, count=3000):
    """Voxels that enhance where the second feature, not the first, is high; the first is what a threshold sees."""
    draws = np.random.default_rng(seed)
    rows = draws.normal(1.0, 0.3, (count, 8)).astype(np.float32)
    truth = rows[:, 1] > 1.2
    near = np.arange(count) < 2 * count // 3
    return Scan(name, rows, near, truth, int((truth & near).sum()))


def test_a_scan_is_the_voxels_that_planning_looks_at(scans):
    first = scans[0]
    assert [scan.name for scan in scans] == ["one", "two"]
    assert first.rows.shape == (len(first.near), 8) == (len(first.truth), 8)
    assert 0 < first.near.sum() < len(first.near)
    assert first.truth[first.near].sum() == first.truth.sum() == first.true_voxels > 0
    assert first.dice(first.truth) == 1.0
    assert first.dice(~first.truth) == 0.0


def test_a_label_of_several_is_the_tissue_that_enhances(tmp_path, tiny_bundle, scans):
    labelled = read_scans(write_scans(tmp_path / "labels", "one", labels=True), open_bundle(tiny_bundle))
    np.testing.assert_array_equal(labelled[0].truth, scans[0].truth)


def test_what_a_head_learned_from_is_said_by_source(tmp_path, tiny_bundle, scans):
    stated = read_scans(write_scans(tmp_path / "stated", "one", source="Hospital A"), open_bundle(tiny_bundle))
    said = "The network that finds enhancing tissue learned 2 scans of a table without sources, 1 scans of Hospital A."
    assert learned_from({"a": scans, "b": stated}) == said


def test_a_scan_in_which_nothing_enhances_is_left_out_and_said_to_be(tmp_path, tiny_bundle, caplog):
    caplog.set_level("INFO")
    assert read_scans(write_scans(tmp_path / "none", "one", empty=True), open_bundle(tiny_bundle)) == []
    assert "nothing enhances in the slices of one" in caplog.text


def test_the_fitted_head_finds_what_was_outlined(scans):
    fitted = fit_head({"phantoms": scans[:1]})
    other = scans[1]
    assert fitted.dice["phantoms"] > 0.85
    assert other.dice(fitted.head.logits(other.rows) > 0) > 0.85


def test_the_fitted_head_sees_what_no_threshold_does():
    fitted = fit_head({"a": [made_up("one", 0)], "b": [made_up("two", 1)]})
    other = made_up("three", 2)
    assert other.dice(fitted.head.logits(other.rows) > 0) > 0.95
    assert max(other.dice(other.rows[:, 0] > level) for level in np.linspace(0, 2, 41)) < 0.7


def test_the_same_scans_give_the_same_head():
    group = {"a": [made_up("one", 0)]}
    assert fit_head(group).head == fit_head(group).head != fit_head(group, seed=2).head


def test_every_group_counts_alike():
    """One group says that the second feature decides, the other that the third does, with ten times the scans."""
    many = [made_up(str(k), k) for k in range(10)]
    few = made_up("other", 20)
    few = Scan("other", few.rows[:, [0, 2, 1, *range(3, 8)]], few.near, few.truth, few.true_voxels)
    dice = fit_head({"many": many, "few": [few]}).dice
    assert dice["few"] == pytest.approx(dice["many"], abs=0.1)


def test_the_dice_is_that_of_the_head():
    scan = made_up("one", 0)
    fitted = fit_head({"a": [scan]})
    assert fitted.dice["a"] == pytest.approx(scan.dice(fitted.head.logits(scan.rows) > 0))


def test_tissue_that_is_likelier_not_to_enhance_is_found_where_that_gives_the_higher_dice():
    scan = made_up("one", 0)
    truth = scan.truth & (np.random.default_rng(3).random(len(scan.truth)) < 0.42)
    fitted = fit_head({"a": [Scan("one", scan.rows, scan.near, truth, int((truth & scan.near).sum()))]})
    assert fitted.dice["a"] > 0.5


def test_a_user_is_measured_as_the_head_was_fitted(tmp_path, tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    (scan,) = read_scans(write_scans(tmp_path, "one"), bundle)
    head = fit_head({"phantom": [scan]}).head
    case = load_case(tmp_path / "one_image.nii.gz", tmp_path / "one_gtv.nii.gz")
    slices = read_slices(case, bundle.in_plane_rule, bundle.normalization)
    pre = slices.scale.normalize(slices.stack)
    parts = (pre, slices.gtv, slices.generated, slices.grid.spacing[::-1])
    segmenter = EnhancementSegmenter(*parts, EnhancementRule(head=head))
    mask = segmenter.segment(pre, segmenter.tissue(pre))
    np.testing.assert_array_equal(mask[segmenter.reach], (head.logits(scan.rows) > 0) & scan.near)


@pytest.mark.parametrize(
    "content, said", [("id,image\na,b\n", "gtv"), ("id,image,gtv,mask,label\na,b,c,d,two\n", "'two' is no number")]
)
def test_a_table_that_is_none_is_refused(tmp_path, tiny_bundle, content, said):
    (tmp_path / "wrong.csv").write_text(content)
    with pytest.raises(DatasetError, match=said):
        read_scans(tmp_path / "wrong.csv", open_bundle(tiny_bundle))


def test_no_scan_is_refused():
    for groups in ({}, {"a": []}):
        with pytest.raises(OptionError, match="no scan"):
            fit_head(groups)


def test_a_mask_that_cannot_be_read_is_refused(tmp_path, tiny_bundle):
    table = write_scans(tmp_path / "scans", "one")
    (tmp_path / "scans" / "one_mask.nii.gz").write_bytes(b"none")
    with pytest.raises(UnreadableFileError, match="mask"):
        read_scans(table, open_bundle(tiny_bundle))


def test_paths_start_at_the_table(tmp_path, tiny_bundle):
    table = write_scans(tmp_path / "scans", "one")
    table.write_text(table.read_text().replace(f"{tmp_path / 'scans'}/", ""))
    assert [scan.name for scan in read_scans(table, open_bundle(tiny_bundle))] == ["one"]
