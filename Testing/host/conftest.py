"""Starts the host once for all tests of this folder, or skips them with the reason."""

from pathlib import Path

import pytest

import host

FOLDER = Path(__file__).parent
REASON = host.missing()
session = None if REASON else host.start()


class SkippedModule(pytest.Module):
    """A test file that is not even imported."""

    def collect(self):
        pytest.skip(f"the Slicer test host {REASON}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    if REASON and module_path.is_relative_to(FOLDER):
        return SkippedModule.from_parent(parent, path=module_path)
    return None


@pytest.fixture(name="session")
def host_session():
    """The session of the process: host.session.Session."""
    return session


@pytest.fixture(autouse=True)
def nothing_swallowed():
    """Fail for exceptions that ended in slots and observers, which Qt and VTK only print; leave an empty scene."""
    session.errors.clear()
    yield
    session.app.mrmlScene().Clear(False)
    session.spin(0.01)
    errors, session.errors[:] = list(session.errors), []
    assert not errors, errors


@pytest.fixture
def layout():
    """Layout manager and views, as in a Slicer with main window."""
    yield session.useMainWindow()
    session.useNoMainWindow()


@pytest.fixture
def views(layout):
    """Function that returns the pixels of a slice view by its name."""
    return lambda name: layout.sliceWidget(name).sliceView().array()
