"""Typed errors: distinct codes, documented."""

import pytest
from GBMResponseCore import errors

CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]


def test_exit_codes_are_distinct():
    codes = [error.exit_code for error in CLASSES]
    assert len(set(codes)) == len(codes)


def test_names_are_distinct():
    assert len({error.code for error in CLASSES}) == len(CLASSES)


def test_an_error_says_what_is_wrong_and_what_to_do():
    error = errors.EmptyGTVError("The GTV has no voxels.")
    assert str(error) == "The GTV has no voxels. Draw the GTV, or choose the segment that holds it."


def test_a_remedy_can_be_replaced():
    assert errors.OptionError("No.", "Do that.").remedy == "Do that."


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_no_exit_code_is_that_of_success_or_of_wrong_usage(error):
    assert error.exit_code not in (0, 2)
