"""What the tests of cohorts have in common."""

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.run import Runner

SIZE, SPACING = (60, 64, 6), (0.95, 0.95, 8.0)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Folder with the image and the GTV of a small head."""
    folder = tmp_path_factory.mktemp("images")
    sitk.WriteImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "pre.nrrd"))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "gtv.nrrd"))
    return folder


@pytest.fixture
def runs(monkeypatch):
    """Counts the cases that are really run."""
    counted = []
    original = Runner.run
    monkeypatch.setattr(
        Runner, "run", lambda self, request, listener=None: counted.append(request.out.parent.name)
        or original(self, request, listener),
    )  # fmt: skip
    return counted
