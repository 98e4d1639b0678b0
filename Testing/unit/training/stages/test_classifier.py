"""The survival classifier: who predicts whom, and how sure it says to be."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from small_store import SPLIT, write_small_store
from smoke_run import smoke_run

from GBMResponseTraining.items.class_labels import true_class
from GBMResponseTraining.stages import calibration
from GBMResponseTraining.stages.calibration import fit_temperature, patient_logits
from GBMResponseTraining.stages.classifier import _folds, classifier_skill, train_classifier
from GBMResponseTraining.stages.training_run import TrainingRun


def test_the_visits_of_a_person_are_in_one_fold():
    """20 persons of two visits each, whose survival differs from visit to visit."""
    patients = [
        {"id": f"P{number}_t{visit}", "survival_days": 50.0 * number - 35.0 * visit}
        for number in range(1, 21)
        for visit in (0, 1)
    ]
    run = SimpleNamespace(patients=patients, store=SimpleNamespace(patient=np.repeat(np.arange(40), 3)))
    fold_of = _folds(run, np.arange(120), 5)
    assert (fold_of[::2] == fold_of[1::2]).all()
    assert np.bincount(fold_of).tolist() == [8] * 5
    # Neighbors in survival go to different folds.
    assert (np.diff(fold_of[::2]) != 0).all()


def test_patients_who_are_not_trained_with_are_in_no_fold():
    patients = [{"id": f"P{number}", "survival_days": 100.0 * number} for number in range(1, 5)]
    run = SimpleNamespace(patients=patients, store=SimpleNamespace(patient=np.arange(4)))
    assert _folds(run, np.array([0, 2, 3]), 2).tolist() == [0, -1, 1, 0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier whose temperature two validation patients decide, and its run."""
    folder = tmp_path_factory.mktemp("classifier")
    store = write_small_store(folder / "store", SPLIT | {"P4": "train", "P5": "train", "P6": "validation"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "FEWEST_PATIENTS", 2)
        assert smoke_run(store, folder / "run", "train", "classifier") == 0
        run = TrainingRun.reopen(folder / "run")
        return run, train_classifier(run)


def test_the_temperature_is_fitted_on_the_network_that_is_used(trained):
    run, classifier = trained
    validation = [2, 5]
    logits = patient_logits(classifier.network, run.store, validation, run.configuration.classifier.pooling)
    labels = [true_class(run.patients[patient], classifier.scheme) for patient in validation]
    assert classifier.temperature == pytest.approx(fit_temperature(list(logits.values()), labels), abs=1e-3)


def test_a_classifier_that_is_trained_again_gets_a_temperature_and_a_report_of_its_own(trained):
    run, classifier = trained
    folder = run.folder / "classifier"
    right = json.loads((folder / "temperature.json").read_text("utf-8"))
    predictions = (folder / "predictions.csv").read_bytes()
    stale = right | {"temperature": 49.0, "made_from": "another network"}
    (folder / "temperature.json").write_text(json.dumps(stale), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps({"made_from": "another network"}), encoding="utf-8")
    (folder / "predictions.csv").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "FEWEST_PATIENTS", 2)
        assert train_classifier(run).temperature == classifier.temperature
    assert (folder / "predictions.csv").read_bytes() == predictions
    assert "out_of_fold" in json.loads((folder / "report.json").read_text("utf-8"))


def test_a_bundle_says_what_the_classifier_has_shown_on_test_patients_or_else_out_of_fold():
    auc = {"value": 0.7, "ci_low": 0.6, "ci_high": 0.8}
    defined, not_defined = {"auc": auc, "patients": 30}, {"auc": dict.fromkeys(auc), "patients": 1}
    shown = {"auc": 0.7, "ci_low": 0.6, "ci_high": 0.8, "patients": 30}
    for report, expected in (
        ({"test": defined, "out_of_fold": not_defined}, shown),
        ({"test": not_defined, "out_of_fold": defined}, shown),
        ({"validation": defined}, None),
    ):
        assert classifier_skill(SimpleNamespace(read=lambda name, report=report: report, parent=None)) == expected


def test_training_patients_have_out_of_fold_predictions_and_others_the_final_network_s(trained):
    run, _ = trained
    with (run.folder / "classifier" / "predictions.csv").open(encoding="utf-8") as file:
        used = {row["patient"]: row["classifier"] for row in csv.DictReader(file)}
    assert used == {name: "out-of-fold" if run.split[name] == "train" else "final" for name in SPLIT}
