"""Calibration of the samples' spread, on volumes whose distribution is known."""

import numpy as np
import pytest
from GBMResponseCore.measure.interval import SOFTENING_ML
from small_store import SLICES, write_small_store

from GBMResponseTraining.bundles.card import bundle_card
from GBMResponseTraining.bundles.probability import Volumes, fit_interval, volumes_of
from GBMResponseTraining.evaluation.enhancement import enhancement_zones, enhancing_ml, enhancing_pixels, voxel_ml
from GBMResponseTraining.evaluation.evaluate import evaluate
from GBMResponseTraining.evaluation.held_out import read_held_out
from GBMResponseTraining.evaluation.model_predictions import EvaluatedModel
from GBMResponseTraining.evaluation.options import EvaluationOptions
from GBMResponseTraining.evaluation.scores import Target, evidence_of
from GBMResponseTraining.evaluation.spread import (
    rank_thirds,
    spread_report,
    volume_report,
)
from GBMResponseTraining.evaluation.statistics import bootstrap

STACK = {"stack_spacing_mm": [1.0, 1.0, 5.0]}
PATIENTS = 20000


@pytest.fixture
def few_draws(monkeypatch):
    """For tests of many patients, which ask for no interval: its 2000 draws take all their time."""
    monkeypatch.setattr(bootstrap, "DRAWS", 20)


def volumes(samples=5, spread=1.0, seed=0):
    """Truth (patients,) and samples (n, patients) around the same unknown mean; a right spread is 1."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(2.0, 1.0, PATIENTS)
    truth = mean + 0.4 * rng.normal(size=PATIENTS)
    drawn = mean + spread * 0.4 * rng.normal(size=(samples, PATIENTS))
    return np.exp(truth) - SOFTENING_ML, np.exp(drawn) - SOFTENING_ML


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("samples", [5, 10])
def test_draws_of_one_distribution_are_covered_as_often_as_promised(samples):
    coverage = spread_report(*volumes(samples))["coverage"]
    assert [coverage[level]["value"] for level in ("50", "80", "95")] == pytest.approx([0.5, 0.8, 0.95], abs=0.015)


@pytest.mark.usefixtures("few_draws")
def test_too_small_a_spread_covers_too_rarely():
    coverage = spread_report(*volumes(spread=0.4))["coverage"]
    assert coverage["95"]["value"] < 0.8


@pytest.mark.usefixtures("few_draws")
def test_the_truth_is_in_each_third_equally_often():
    assert spread_report(*volumes(7))["rank_thirds"] == pytest.approx([1 / 3] * 3, abs=0.015)


@pytest.mark.usefixtures("few_draws")
def test_too_small_a_spread_leaves_the_middle_third():
    assert spread_report(*volumes(spread=0.2))["rank_thirds"][1] < 0.15


@pytest.mark.usefixtures("few_draws")
def test_too_small_volumes_put_the_truth_above():
    truth, samples = volumes()
    assert spread_report(truth, samples * 0.3)["rank_thirds"][2] > 0.8


@pytest.mark.usefixtures("few_draws")
def test_samples_that_lie_too_close_together_are_covered_with_the_factor_that_says_so():
    truth, samples = volumes(spread=0.4)
    factor = fit_interval([Volumes(samples, truth)])
    # Distance of the truth from the mean of five, over what the samples say of it.
    assert factor == pytest.approx(np.sqrt((1 + 0.4**2 / 5) / (0.4**2 * 1.2)), rel=0.05)
    report = spread_report(truth, samples, factor=factor)
    assert report["interval_factor"] == factor
    found = [report["coverage"][level]["value"] for level in ("50", "80", "95")]
    assert found == pytest.approx([0.5, 0.8, 0.95], abs=0.03)


def test_draws_of_one_distribution_need_no_factor():
    truth, samples = volumes()
    assert fit_interval([Volumes(samples, truth)]) == pytest.approx(1.0, abs=0.1)
    assert fit_interval([]) == 1.0


def test_each_number_of_slices_counts_alike():
    (truth, samples), (few_truth, few_samples) = volumes(), volumes(spread=0.3, seed=1)
    right, close = Volumes(samples, truth), Volumes(few_samples[:, :300], few_truth[:300])
    assert fit_interval([right]) < fit_interval([right, close]) < fit_interval([close])


def test_volumes_are_those_of_one_slice_and_of_neighbors(tmp_path):
    slices = read_held_out(write_small_store(tmp_path, P4=STACK), "test")
    target = Target(slices, enhancement_zones(slices), 2)
    found = volumes_of(target, evidence_of([slices.pre, slices.post], target))
    # Of the two patients of the split the size of one patient's voxels is known.
    assert [entry.samples.shape for entry in found] == [(2, SLICES), (2, SLICES - 1), (2, 1)]
    counts = np.array([np.count_nonzero(area.enhancing) for area in target.areas])[slices.patient == 0]
    known = np.flatnonzero(~np.isnan(target.voxel_ml))[0]
    assert known == 0
    np.testing.assert_allclose(found[0].truth, counts * 0.005)
    np.testing.assert_allclose(found[1].truth, (counts[1:] + counts[:-1]) * 0.005)
    np.testing.assert_allclose(found[2].samples[:, 0], found[0].samples.sum(axis=1))


def test_ties_share_their_ranks():
    samples = np.zeros((5, 1))
    assert rank_thirds(np.zeros(1), samples)[0] == pytest.approx([1 / 3] * 3)
    assert rank_thirds(np.ones(1), samples)[0] == pytest.approx([0, 0, 1])


def test_a_certain_prediction_covers_what_it_hits():
    report = spread_report(np.array([0.0, 1.0]), np.zeros((5, 2)))
    assert [report["coverage"][level]["value"] for level in ("50", "95")] == [0.5, 0.5]


def test_error_and_sd_are_those_of_the_volumes():
    report = spread_report(np.array([1.0, np.nan]), np.array([[2.0, 9.0], [4.0, 9.0]]))
    assert report["mean_ml"]["value"] == 3.0
    assert report["mean_absolute_error_ml"]["value"] == 2.0
    assert report["mean_sd_ml"]["value"] == pytest.approx(np.sqrt(2))


def test_visits_of_a_patient_count_once_in_the_spread():
    truth, samples = np.array([0.0, 0.0, 1.0]), np.zeros((5, 3))
    report = spread_report(truth, samples, np.array([0, 0, 1]))
    assert report["coverage"]["95"]["value"] == 0.5
    assert report["mean_absolute_error_ml"]["value"] == 0.5
    assert volume_report(truth, np.zeros(3), np.array([0, 0, 1]))["mean_absolute_error_ml"]["value"] == 0.5


def test_the_copy_has_an_error_of_its_own():
    report = volume_report(np.array([1.0, 3.0, np.nan]), np.array([2.0, 2.0, 7.0]))
    assert (report["mean_ml"]["value"], report["mean_absolute_error_ml"]["value"]) == (2.0, 1.0)


@pytest.mark.parametrize(
    "record, expected",
    [
        ({"stack_spacing_mm": [1.0, 2.0, 3.0]}, 0.006),
        ({"spacing_mm": 0.5, "slice_positions_mm": [0.0, 4.0, 12.0]}, 0.001),
        ({"slice_positions_mm": [0.0, 4.0]}, np.nan),
        ({"spacing_mm": 0.5, "slice_positions_mm": [0.0]}, np.nan),
    ],
)
def test_the_size_of_a_voxel_is_that_of_the_record(record, expected):
    assert voxel_ml(record) == pytest.approx(expected, nan_ok=True)


def test_a_patient_s_volume_is_the_sum_over_the_slices(tmp_path):
    slices = read_held_out(write_small_store(tmp_path, P4=STACK, P6={"stack_spacing_mm": [2.0, 1.0, 5.0]}), "test")
    zones = enhancement_zones(slices)
    counts = enhancing_pixels(slices.post, zones, true=True)
    found = enhancing_ml(slices.post, slices, zones, true=True)
    assert found[0] == pytest.approx(counts[:SLICES].sum() * 0.005)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(counts[-SLICES:].sum() * 0.010)
    assert found[0] > 0


@pytest.fixture(scope="module")
def evaluated(tiny_bundle, tmp_path_factory):
    """Folder, report and bundle of an evaluation with five samples; the voxels of P6 have no known size."""
    folder = tmp_path_factory.mktemp("spread")
    store = write_small_store(folder / "store", P4=STACK, P5=STACK)
    options = EvaluationOptions(samples=5, max_slices_per_patient=1, sampling={"steps": 1}, figure_slices=1)
    models = [EvaluatedModel("none", tiny_bundle), EvaluatedModel("two", tiny_bundle, "2-class", "true")]
    return folder / "out", evaluate(models, store, folder / "out", options)


def test_an_evaluation_of_five_samples_reports_the_spread_of_every_model(evaluated):
    spread = evaluated[1]["spread"]
    assert list(spread["models"]) == ["none", "two"]
    assert (spread["samples"], spread["patients"]) == (5, 2)
    assert spread["true_mean_ml"] > spread["copy"]["mean_ml"]["value"] > 0
    assert spread["models"]["none"] != spread["models"]["two"]


def test_patients_without_voxel_size_are_told(evaluated):
    assert any("voxel size" in note for note in evaluated[1]["notes"])


def test_the_table_has_the_copy_and_says_synthetic(evaluated):
    text = (evaluated[0] / "spread.md").read_text("utf-8")
    assert "| copy of the pre image |" in text
    assert "| two |" in text
    assert "synthetic" in text.lower()


def test_the_card_holds_the_spread(evaluated):
    bundle = {"name": "tiny", "version": "0", "description": "", "intended_use": "", "license": "", "training_data": ""}
    bundle |= {"neighbour_slices": 0, "conditioning": {"schemes": {}, "label_dropout": 0.1}}
    bundle |= {"sampling": {"sampler": "unipc", "steps": 1, "guidance_scale": 1.0}}
    assert "Coverage: share of patients" in bundle_card(bundle, {}, [("a", evaluated[1])])


def test_with_fewer_samples_there_is_none(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store", P4=STACK)
    options = EvaluationOptions(samples=4, max_slices_per_patient=1, sampling={"steps": 1}, figure_slices=1)
    assert evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", options)["spread"] is None
    assert not (tmp_path / "out" / "spread.md").exists()
