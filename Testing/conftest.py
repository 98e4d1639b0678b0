"""Fixtures shared by all tests."""

import pytest
from tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Folder of a bundle with random weights, 64 x 64 slices."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
