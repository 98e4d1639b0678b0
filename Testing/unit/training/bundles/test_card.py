"""The model card of a bundle."""

import json

import pytest
from GBMResponseCore.model.bundle import open_bundle
from small_store import write_small_store
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.bundles.card import bundle_card
from GBMResponseTraining.evaluation.evaluate import evaluate
from GBMResponseTraining.evaluation.model_predictions import EvaluatedModel
from GBMResponseTraining.evaluation.options import EvaluationOptions
from GBMResponseTraining.evaluation.results import COPY

CONFIGURATION = {"name": "tiny", "diffusion": {"label_dropout": 0.15, "training": {"steps": 240}}}


@pytest.fixture(scope="module")
def description(tiny_bundle):
    return open_bundle(tiny_bundle).description


@pytest.fixture(scope="module")
def report(tiny_bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    models = [EvaluatedModel("two", tiny_bundle, "2-class", "true")]
    options = EvaluationOptions(data="phantoms", max_slices_per_patient=1)
    return evaluate(models, write_small_store(folder / "store"), folder / "out", options)


def test_a_bundle_without_evaluation_says_so(description):
    card = bundle_card(description, CONFIGURATION, [])
    assert "not been evaluated" in card
    assert "| model |" not in card


def test_the_card_states_data_configuration_classes_and_limits(description):
    card = bundle_card(description, CONFIGURATION, [])
    assert "# tiny 0" in card
    assert "**synthetic**" in card
    assert "Data: None." in card
    assert "diffusion:\n  label_dropout: 0.15\n  training:\n    steps: 240" in card
    assert "| 4-class | quartile2 | 250 | 400 |" in card
    assert "The best of the baselines without a model is the one to beat" in card


def test_the_card_counts_survival_from_the_pre_treatment_mri_as_the_importers_do(description):
    card = bundle_card(description, CONFIGURATION, [])
    assert "Survival classes, days from the pre-treatment MRI:" in card
    assert "start of treatment" not in card


def test_the_figures_stand_beside_the_copy(description, report):
    card = bundle_card(description, CONFIGURATION, [("", report)])
    assert "not been evaluated" not in card
    assert f"| {COPY} |" in card
    assert "phantoms, slice store" in card
    assert "Rows of this bundle: two." in card


def test_failures_are_told_without_their_patients(description, report):
    card = bundle_card(description, CONFIGURATION, [("", report)])
    assert "Worst slices of two against the copy of the pre image" in card
    assert len(report["failures"]["slices"]) == 3
    assert not any(entry["patient"] in card for entry in report["failures"]["slices"])


def test_reports_of_earlier_versions_have_a_card(description, report):
    earlier = {name: value for name, value in report.items() if name not in ("failures", "spread")}
    assert "Worst slices" not in bundle_card(description, CONFIGURATION, [("", earlier)])


def test_where_a_baseline_wins_the_card_says_so_and_names_it(description, report):
    card = bundle_card(description, CONFIGURATION, [("", report)])
    line = next(line for line in card.splitlines() if line.startswith("**At least as good as two"))
    baselines = [name for name, row in report["table"].items() if row["kind"] == "baseline"]
    assert any(f"the {name} in" in line for name in baselines)


def test_a_model_that_beats_every_baseline_gets_its_due(description, report):
    better = json.loads(json.dumps(report))
    for name, values in better["table"]["two"]["metrics"].items():
        values["patient_mean"] = 99.0 if name.startswith(("psnr", "ssim")) else 0.0
    assert "two is better than every baseline in every column" in bundle_card(
        description, CONFIGURATION, [("", better)]
    )


def test_the_classifier_stands_beside_the_majority(description, report):
    card = bundle_card(description, CONFIGURATION, [("", report)])
    assert "Survival classifier, 2-class, 3 patients: accuracy" in card
    assert "always the most frequent class: 0.67" in card


def test_figures_of_other_bundles_are_not_its_own(description, report):
    card = bundle_card({**description, "name": "other"}, CONFIGURATION, [("", report)])
    assert "not been evaluated" in card
    assert "| two |" not in card


def test_notes_are_a_section(description):
    assert "## Notes\n\nStopped early." in bundle_card(description, CONFIGURATION, [], "Stopped early.\n")
    assert "## Notes" not in bundle_card(description, CONFIGURATION, [])


def test_a_bundle_without_class_and_with_neighbors(tmp_path):
    conditioning = {"label_dropout": 0.0, "null_token": 0, "schemes": {}}
    description = open_bundle(write_tiny_bundle(tmp_path / "bundle")).description
    card = bundle_card({**description, "conditioning": conditioning, "neighbour_slices": 2}, CONFIGURATION, [])
    assert "The model knows no survival class." in card
    assert "2 neighbors on either side" in card


def test_the_card_is_the_same_twice(description, report):
    assert bundle_card(description, CONFIGURATION, [("", report)]) == bundle_card(
        description, CONFIGURATION, [("", report)]
    )
