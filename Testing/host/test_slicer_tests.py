"""The tests that run inside Slicer (GBMResponse/Testing/Python, ctest) also run here, file by file."""

import importlib.util
import unittest
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).resolve().parents[2] / "GBMResponse" / "Testing" / "Python").glob("*Test.py"))


def test_there_are_some():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(path, driver, layout):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    problems = result.errors + result.failures
    assert not problems, problems[0][1]
    assert result.testsRun > len(result.skipped)
