"""Classifier figures on patients whose values are known."""

import json

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_auroc, multiclass_calibration_error

from GBMResponseTraining.evaluation.metrics.classification import classification_report


def random_patients(count=60, classes=4):
    rng = np.random.default_rng(3)
    labels = np.arange(count) % classes
    scores = rng.normal(size=(count, classes)) + np.eye(classes)[labels]
    weights = np.exp(scores)
    return weights / weights.sum(axis=1, keepdims=True), labels


def two_class(long):
    return np.stack([1 - np.array(long), long], axis=1)


def test_a_perfect_classifier():
    report = classification_report(np.eye(2)[[0, 1, 1, 0]], np.array([0, 1, 1, 0]))
    assert report["accuracy"] == {"value": 1.0, "ci_low": 1.0, "ci_high": 1.0}
    assert report["auc"]["value"] == 1.0
    assert report["brier"]["value"] == 0.0
    assert report["expected_calibration_error"] == 0.0


def test_intervals_draw_the_visits_of_a_patient_together():
    """Ten patients who are right or wrong in all of three visits are no more certain than in one visit."""
    labels = np.array([0, 1] * 5)
    once = classification_report(two_class([0.6] * 10), labels)
    thrice = classification_report(two_class([0.6] * 30), np.repeat(labels, 3), persons=np.repeat(np.arange(10), 3))
    assert thrice["patients"] == 10
    assert thrice["accuracy"] == once["accuracy"]
    apart = classification_report(two_class([0.6] * 30), np.repeat(labels, 3))["accuracy"]
    assert apart["ci_high"] - apart["ci_low"] < once["accuracy"]["ci_high"] - once["accuracy"]["ci_low"]


def test_a_coin_is_no_better_than_the_majority():
    report = classification_report(np.full((10, 2), 0.5), np.array([0] * 7 + [1] * 3))
    assert report["auc"]["value"] == 0.5
    assert report["brier"]["value"] == 0.25
    assert report["majority_accuracy"] == 0.7
    assert report["patients_per_class"] == [7, 3]


def test_auc_counts_pairs():
    report = classification_report(two_class([0.2, 0.6, 0.4, 0.9]), np.array([0, 0, 1, 1]))
    assert report["auc"]["value"] == pytest.approx(3 / 4)


def test_auc_of_four_classes_is_torchmetrics_macro():
    probabilities, labels = random_patients()
    expected = multiclass_auroc(torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=4)
    assert classification_report(probabilities, labels)["auc"]["value"] == pytest.approx(float(expected), abs=1e-6)


def test_calibration_error_is_torchmetrics():
    probabilities, labels = random_patients()
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels), num_classes=4, n_bins=10
    )
    report = classification_report(probabilities, labels)
    assert report["expected_calibration_error"] == pytest.approx(float(expected), abs=1e-6)


def test_the_reliability_bins_hold_all_patients():
    report = classification_report(*random_patients())
    assert sum(entry["patients"] for entry in report["reliability"]) == report["patients"] == 60


def test_the_interval_holds_the_value_and_is_wide_for_few_patients():
    accuracy = classification_report(two_class([0.6] * 14), np.array([1] * 9 + [0] * 5))["accuracy"]
    assert accuracy["ci_low"] < 0.5 < accuracy["value"] < accuracy["ci_high"]


def test_no_auc_where_a_class_has_no_patient():
    assert classification_report(two_class([0.2, 0.6]), np.array([1, 1]))["auc"] == {
        "value": None,
        "ci_low": None,
        "ci_high": None,
    }


def test_the_report_is_json_and_repeatable():
    first, second = (json.dumps(classification_report(*random_patients()), allow_nan=False) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("labels", [np.array([0, 2]), np.array([0]), np.array([-1, 0])])
def test_labels_must_fit(labels):
    with pytest.raises(ValueError):
        classification_report(two_class([0.2, 0.6]), labels)
