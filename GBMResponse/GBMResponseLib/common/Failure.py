"""What is shown when something could not be done, under one list of codes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from GBMResponseCore.errors import GBMResponseError

from .Translation import tr as _

OWN_CODES = {
    "abandoned": (
        "The scene was closed during a prediction.",
        "Start the prediction again in the new scene.",
    ),
    "busy": (
        "A prediction is running already.",
        "Wait for it, or press Cancel.",
    ),
    "contours-only": (
        "The outline of the tumor consists of contours, and this Slicer cannot turn contours into voxels.",
        "Install the extension SlicerRT in the Extensions Manager, restart Slicer, and predict again.",
    ),
    "declined": (
        "The user did not want the Python packages to be installed.",
        "Press Predict again and let the packages be installed, or install them as docs/slicer-offline.md says.",
    ),
    "install-failed": (
        "The Python packages could not be installed.",
        "Read the log for pip's words; check the network, the proxy and the free disk space, then try again.",
    ),
    "no-file": (
        "No file for the scores was chosen.",
        "Choose where the scores are kept.",
    ),
    "no-folder": (
        "No folder for the results of a batch was chosen.",
        "Choose the folder for the results.",
    ),
    "no-follow-up": (
        "A run cannot be scored against the volume that was chosen: it is synthetic, or the run's own image.",
        "Choose the T1-Gd volume after treatment as it was acquired.",
    ),
    "no-image": (
        "An image of the reader study, or of a case of a batch, is gone or cannot be loaded.",
        "Load the scene of the reader study again; look whether the files of the case are in their place.",
    ),
    "no-segment": (
        "There is no segment that outlines the tumor.",
        "Choose the segment that outlines the tumor (GTV).",
    ),
    "no-slices": (
        "A reader study has no slices to show.",
        "Choose runs that have slices with tumor.",
    ),
    "no-table": (
        "No table of cases was chosen.",
        "Choose a table of cases.",
    ),
    "no-volume": (
        "There is no volume, or one without voxels.",
        "Choose the T1-Gd volume before treatment.",
    ),
    "other-study": (
        "A file of scores belongs to another study.",
        "Choose another file, or the study that it belongs to.",
    ),
    "result": (
        "The files of a result are incomplete or damaged.",
        "Run the prediction again.",
    ),
    "scores": (
        "A file of scores is damaged.",
        "Choose another file, or restore it from a copy.",
    ),
    "slicer-too-old": (
        "This 3D Slicer is older than the module needs.",
        "Install 3D Slicer 5.12 or newer.",
    ),
    "table": (
        "A table of cases of a reader study is not valid.",
        "See docs/slicer.md for the columns.",
    ),
    "worker-start": (
        "The prediction process cannot be started.",
        "Copy the diagnostics of the panel; install the Python packages again.",
    ),
    "worker-stopped": (
        "The prediction process ended while it was needed.",
        "Press Predict again: finished slices are kept. If it stays, free memory or choose another device.",
    ),
}
"""Codes of what only the Slicer side can meet, each with a cause and what to do.

Everything else has the engine's code (`GBMResponseCore.errors`).
"""


class Failure(Exception):
    """An expected failure: one sentence that says what is wrong and one that says what to do.

    :param code: short constant for programs: one of `OWN_CODES`, or the engine's.
    :param details: technical text for the log, not shown in the panel.
    """

    def __init__(self, code: str, message: str, remedy: str = "", details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@contextmanager
def engineErrors() -> Iterator[None]:
    """Hand on what the engine's own modules find wrong.

    :raises Failure: they raised one of their errors.
    """
    try:
        yield
    except GBMResponseError as error:
        raise Failure(error.code, error.message, error.remedy, str(error.__cause__ or "")) from error


@contextmanager
def anyError() -> Iterator[None]:
    """Turn whatever goes wrong into a sentence, so that nothing is left half done without one.

    :raises Failure: something went wrong.
    """
    try:
        yield
    except Failure:
        raise
    except (OSError, MemoryError) as error:
        message = _("The disk or the memory of this computer is full.")
        remedy = _("Free some space, then try again.")
        raise Failure("output-folder", message, remedy, f"{type(error).__name__}: {error}") from error
    except Exception as error:
        logging.exception("GBMResponse met an unexpected error")
        message = _("Unexpected error: {error}.").format(error=f"{type(error).__name__}: {error}")
        raise Failure("error", message, _("Look at the log, and tell us.")) from error
