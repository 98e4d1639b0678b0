"""Starts the host once for all tests of this folder, or skips them with the reason."""

from pathlib import Path
from types import SimpleNamespace

import phantoms
import pytest
import SimpleITK

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


@pytest.fixture(scope="session")
def case_files(tmp_path_factory):
    """Volume before treatment, tumor and follow-up of the phantom, as files in a folder with a difficult name."""
    folder = tmp_path_factory.mktemp("case Jörg Müller")
    size, spacing, center = (60, 64, 8), (0.95, 0.95, 6.0), phantoms.GTV_CENTER
    images = {
        "pre": phantoms.head(size, spacing, center=center),
        "gtv": phantoms.gtv(size, spacing, center=center),
        "follow_up": phantoms.head(size, spacing, center=center),
    }
    for name, image in images.items():
        SimpleITK.WriteImage(image, str(folder / f"{name}.nrrd"))
    return {name: folder / f"{name}.nrrd" for name in images}


@pytest.fixture
def case(case_files):
    """The phantom in the scene: volume, segmentation, segmentID."""
    import slicer

    volume = slicer.util.loadVolume(str(case_files["pre"]), {"name": "pre"})
    segmentation = slicer.util.loadSegmentation(str(case_files["gtv"]), {"name": "outlines"})
    identifier = segmentation.GetSegmentation().GetNthSegmentID(0)
    segmentation.GetSegmentation().GetSegment(identifier).SetName("GTV")
    return SimpleNamespace(volume=volume, segmentation=segmentation, segmentID=identifier)


@pytest.fixture
def layout():
    """Layout manager and views, as in a Slicer with main window."""
    before = session.app.layoutManager()
    yield session.useMainWindow()
    if before is None:
        session.useNoMainWindow()


@pytest.fixture
def views(layout):
    """Function that returns the pixels of a slice view by its name."""
    return lambda name: layout.sliceWidget(name).sliceView().array()


@pytest.fixture(scope="session")
def driver():
    """One panel with a warm worker for all tests; a test that reloads the module reopens it at its end."""
    from host.panel_driver import PanelDriver

    session.useMainWindow()
    driver = PanelDriver(session)
    yield driver
    driver.close()
    session.useNoMainWindow()


@pytest.fixture
def ready(driver, layout, case, tiny_bundle):
    """The panel in a Slicer with main window, with inputs and model chosen."""
    driver.choose(case, tiny_bundle)
    return driver


@pytest.fixture
def exact(monkeypatch):
    """Runs in float32: each process, and each class, would choose its precision by timing."""
    from GBMResponseLib.settings.PredictionSettings import PredictionSettings

    monkeypatch.setattr(PredictionSettings, "further", {"precision": "float32"})


@pytest.fixture
def shown(ready, layout):
    """A run that was just made and is shown; the user had one view."""
    import slicer

    redOnly = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    layout.setLayout(redOnly)
    slicer.util.setSliceViewerLayers(background=ready.parameters.inputVolume, fit=True)
    nodes = ready.run().nodes
    ready.settle()
    yield nodes
    layout.setLayout(redOnly)
