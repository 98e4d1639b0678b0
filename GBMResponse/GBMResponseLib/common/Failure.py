"""What is shown when something could not be done, under one list of codes."""

from collections.abc import Iterator
from contextlib import contextmanager

from GBMResponseCore.errors import GBMResponseError

OWN_CODES = {
    "abandoned": "the scene was closed during a prediction",
    "busy": "a prediction is running already",
    "declined": "the user did not want the Python packages to be installed",
    "install-failed": "the Python packages could not be installed",
    "no-file": "no file for the scores was chosen",
    "no-image": "an image of the reader study is gone",
    "no-segment": "there is no segment that outlines the tumor",
    "no-slices": "a reader study has no slices to show",
    "no-table": "no table of cases was chosen",
    "no-volume": "there is no volume, or one without voxels",
    "other-study": "a file of scores belongs to another study",
    "result": "the files of a result are incomplete or damaged",
    "scores": "a file of scores is damaged",
    "slicer-too-old": "this 3D Slicer is older than the module needs",
    "table": "a table of cases of a reader study is not valid",
    "worker-start": "the prediction process cannot be started",
    "worker-stopped": "the prediction process ended while it was needed",
}
"""Codes of what only the Slicer side can meet. Everything else has the engine's code (`GBMResponseCore.errors`)."""


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
