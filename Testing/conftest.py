"""Fixtures shared by all tests."""

import gc
import os
import signal
from pathlib import Path

import pytest

UNIT = Path(__file__).with_name("unit")

# One thread, in this process and in the workers that tests start: sums of several threads differ in their last digits,
# and on a loaded machine threads only wait for each other. It must be said before torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

# What a shell or nohup starts in the background ignores these signals, and so would the processes that tests send them.
# A function is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# Modules and tests stay to the end: the collector of garbage need not look through all of them again and again.
gc.disable()
gc.set_threshold(10_000, 10, 10)


def pytest_collection_modifyitems(items):
    """Short files come last, so that no process ends long after the others."""
    items.sort(key=lambda item: item.path.is_relative_to(UNIT) and not item.path.is_relative_to(UNIT / "training"))


def pytest_collection_finish():
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Folder of a bundle with random weights, 64 x 64 slices."""
    from tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
