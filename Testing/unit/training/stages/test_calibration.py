"""Temperature scaling: probabilities that say how often they are right."""

import numpy as np
import pytest

from GBMResponseTraining.stages.calibration import Calibration, calibrate, fit_temperature


def patients(scale, accuracy=0.7, count=2000):
    """Two-class patients whose classifier is right in a share `accuracy` and always equally sure."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=count)
    right = rng.random(count) < accuracy
    answers = np.where(right, labels, 1 - labels)
    return [scale * np.eye(2)[[answer, answer, answer]] for answer in answers], labels.tolist()


def test_an_overconfident_classifier_is_cooled_to_its_accuracy():
    logits, labels = patients(scale=20.0)
    temperature = fit_temperature(logits, labels)
    assert 1 / (1 + np.exp(-20.0 / temperature)) == pytest.approx(0.7, abs=0.02)


def test_a_useless_classifier_becomes_undecided():
    temperature = fit_temperature(*patients(scale=5.0, accuracy=0.5))
    assert 1 / (1 + np.exp(-5.0 / temperature)) == pytest.approx(0.5, abs=0.03)


def test_a_calibrated_classifier_keeps_its_temperature():
    logit = np.log(0.7 / 0.3)
    assert fit_temperature(*patients(scale=logit)) == pytest.approx(1.0, abs=0.15)


def test_each_network_has_the_temperature_of_its_own_logits():
    folds, final = patients(scale=5.0, count=300), patients(scale=20.0, count=300)
    found = calibrate(*folds, *final)
    assert found.out_of_fold_temperature == pytest.approx(fit_temperature(*folds), abs=1e-3)
    assert found.temperature == pytest.approx(fit_temperature(*final), abs=1e-3)
    assert found.temperature > 3 * found.out_of_fold_temperature
    assert (found.patients, found.out_of_fold_patients) == (300, 300)


def test_a_few_validation_patients_do_not_decide_the_temperature():
    folds, final = patients(scale=5.0, count=300), patients(scale=20.0, count=3)
    folds_alone = round(fit_temperature(*folds), 3)
    assert calibrate(*folds, *final) == Calibration(folds_alone, 300, folds_alone, 300)
