"""Class schemes and pooling of slice logits."""

import numpy as np
import pytest
from GBMResponseCore.errors import OptionError
from GBMResponseCore.model.classes import ClassChoice, ClassScheme, coarsen, patient_probabilities

TWO = ClassScheme.from_thresholds("2-class", ("short", "long"), (400.0,), 0)
FOUR = ClassScheme.from_thresholds("4-class", ("q1", "q2", "q3", "q4"), (250.0, 400.0, 540.0), 2)


@pytest.mark.parametrize(("days", "name"), [(0, "short"), (399.9, "short"), (400.0, "long"), (5000, "long")])
def test_a_patient_at_the_threshold_belongs_to_the_longer_class(days, name):
    assert TWO.of_survival(days).name == name


def test_tokens_are_consecutive():
    assert [entry.token for entry in FOUR.classes] == [2, 3, 4, 5]


def test_a_scheme_survives_its_json():
    assert ClassScheme.from_dict("4-class", FOUR.to_list()) == FOUR


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 400), (500, None)],
        [(0, 400), (300, None)],
        [(10, 400), (400, None)],
        [(0, 400), (400, 900)],
        [(None, None), (0, None)],
    ],
    ids=["gap", "overlap", "late start", "end", "half known"],
)
def test_classes_that_do_not_cover_every_survival_once_are_refused(ranges):
    entries = [{"name": f"c{k}", "token": k, "min_days": a, "max_days": b} for k, (a, b) in enumerate(ranges)]
    with pytest.raises(ValueError, match="cover every survival once"):
        ClassScheme.from_dict("2-class", entries).check_ranges()


def test_known_and_unknown_ranges_may_be():
    TWO.check_ranges()
    FOUR.check_ranges()
    unknown = [{"name": f"c{k}", "token": k, "min_days": None, "max_days": None} for k in range(2)]
    ClassScheme.from_dict("2-class", unknown).check_ranges()


def test_days_that_no_class_holds_are_said():
    entries = [{"name": "late", "token": 0, "min_days": 400, "max_days": None}]
    with pytest.raises(OptionError, match="No class of '1-class' holds 30 days"):
        ClassScheme.from_dict("1-class", entries).of_survival(30)


def test_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(OptionError, match="short, long"):
        TWO.by_name("medium")


def test_probabilities_sum_to_one_and_follow_the_logits():
    probabilities = patient_probabilities(np.array([[0.0, 2.0], [0.0, 4.0]]))
    assert probabilities.sum() == pytest.approx(1.0)
    assert probabilities[1] == pytest.approx(1 / (1 + np.exp(-3)))


def test_repeating_slices_does_not_raise_confidence():
    logits = np.array([[0.3, 1.0]])
    np.testing.assert_allclose(patient_probabilities(logits), patient_probabilities(np.repeat(logits, 30, axis=0)))


def test_quartiles_coarsen_to_halves():
    np.testing.assert_allclose(coarsen(np.array([0.1, 0.2, 0.3, 0.4]), FOUR, TWO), [0.3, 0.7])


@pytest.mark.parametrize(
    ("name", "source", "chances", "sentence"),
    [
        ("none", "none", {}, "Survival class: none."),
        ("short", "chosen", {}, "Survival class: short (chosen)."),
        (
            "long", "predicted", {"short": 0.4, "long": 0.6},
            "Survival class: long (predicted), by the classifier short 40%, long 60%.",
        ),
    ],
)  # fmt: skip
def test_a_choice_is_told_in_a_sentence(name, source, chances, sentence):
    assert ClassChoice("2-class", name, 0, source, chances).sentence == sentence
