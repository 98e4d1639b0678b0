"""Typed errors of the training package: distinct codes, documented."""

import importlib
import pkgutil
from pathlib import Path

import pytest
from GBMResponseCore.errors import GBMResponseError

import GBMResponseTraining

DOCS = Path(__file__).resolve().parents[3] / "docs"


def own_errors():
    for module in pkgutil.walk_packages(GBMResponseTraining.__path__, "GBMResponseTraining."):
        importlib.import_module(module.name)
    found, waiting = [], [GBMResponseError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        waiting += kinds
        found += [kind for kind in kinds if kind.__module__.startswith("GBMResponseTraining")]
    return sorted(set(found), key=lambda kind: kind.exit_code)


ERRORS = own_errors()


def test_exit_codes_are_distinct():
    codes = [error.exit_code for error in ERRORS if "exit_code" in vars(error)]
    assert len(set(codes)) == len(codes)


def test_names_are_distinct():
    names = [error.code for error in ERRORS if "code" in vars(error)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_exit_code_is_in_the_training_page(error):
    assert f"| {error.exit_code} |" in (DOCS / "training.md").read_text("utf-8")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_remedy(error):
    assert error.remedy
