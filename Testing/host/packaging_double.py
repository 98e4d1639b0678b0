"""Double of slicer.packaging: real checks, no installation."""

import importlib.metadata
import logging
import pathlib
import sys
import types

import slicer
from packaging.requirements import Requirement


def load_requirements(path) -> list[Requirement]:
    """Return the requirements of a file; blank lines, comments and pip options are skipped."""
    lines = (line.strip() for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def asRequirements(requirements) -> list[Requirement]:
    """Return a list of Requirement objects from one or several, given as text or object."""
    items = requirements if isinstance(requirements, list) else [requirements]
    return [item if isinstance(item, Requirement) else Requirement(item) for item in items]


def pip_check(req) -> bool:
    """Return whether all are installed in an acceptable version; metadata only, no import. Extras are not followed."""
    for item in asRequirements(req):
        if item.marker is not None and not item.marker.evaluate():
            continue
        try:
            if importlib.metadata.version(item.name) not in item.specifier:
                return False
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Do nothing when all is there; in testing only log, as Slicer does."""
    missing = [item for item in asRequirements(requirements) if not pip_check(item)]
    if not missing:
        return None
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info("Testing mode is enabled: skipping pip_ensure for %s", [str(item) for item in missing])
        return None
    raise RuntimeError("the host installs no packages")


def isPipInstallInProgress() -> bool:
    """Return False: the host installs nothing."""
    return False


def install() -> None:
    """Put slicer.packaging into sys.modules."""
    module = sys.modules["slicer.packaging"] = types.ModuleType("slicer.packaging")
    for item in (load_requirements, pip_check, pip_ensure, isPipInstallInProgress):
        setattr(module, item.__name__, item)
    slicer.packaging = module
