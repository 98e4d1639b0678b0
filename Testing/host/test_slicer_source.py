"""The host may run on the Python files of a checkout of Slicer; without one it says so."""

import os

import pytest
import slicer

from host import slicer_source


def test_without_a_checkout_the_doubles_are_used(monkeypatch):
    monkeypatch.delenv(slicer_source.VARIABLE, raising=False)
    assert slicer_source.folder() is None


def test_a_folder_that_is_no_checkout_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(slicer_source.VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="name the root of a checkout"):
        slicer_source.folder()


def test_what_is_loaded_is_what_was_asked_for():
    for name in slicer_source.PARTS:
        origin = getattr(getattr(slicer, name), "__file__", "")
        assert bool(origin) == bool(os.environ.get(slicer_source.VARIABLE))
