"""Typed errors of the training package: distinct codes."""

import pytest
from tools.make_troubleshooting import typed_errors

ERRORS = typed_errors("GBMResponseTraining")


def test_errors_were_found():
    assert len(ERRORS) > 10


def test_exit_codes_are_distinct():
    codes = [error.exit_code for error in ERRORS if "exit_code" in vars(error)]
    assert len(set(codes)) == len(codes)


def test_exit_codes_differ_from_those_of_the_engine():
    own = {error.exit_code for error in ERRORS if "exit_code" in vars(error)}
    assert not own & {error.exit_code for error in typed_errors("GBMResponseCore")}


def test_names_are_distinct():
    names = [error.code for error in ERRORS if "code" in vars(error)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_remedy(error):
    assert error.remedy
