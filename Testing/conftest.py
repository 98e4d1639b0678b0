"""Fixtures shared by all tests."""

import os

import pytest

# One thread, in this process and in the workers that tests start: sums of several threads differ in their last digits,
# and on a loaded machine threads only wait for each other. It must be said before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Folder of a bundle with random weights, 64 x 64 slices."""
    from tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
