"""What a stage was made from: a network that learned in other latents, or of other patients, must not be used on."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import write_json

from ..items.processes import is_first
from .checkpoints import FINISHED, has_begun, is_finished

log = logging.getLogger(__name__)

MADE_FROM = "made_from.json"


class StaleStageError(GBMResponseError):
    """A stage was made from something that is not there any more."""

    code = "stale-stage"
    exit_code = 53
    remedy = "Bring back what it was made from, or delete the folder of the stage to train it again."


def begin_stage(folder: Path, made_from: Mapping[str, str]) -> None:
    """Write down what a stage is made from when it begins; later make sure that it is the same.

    A stage of a version that wrote nothing down is used as it is, with a warning in the log.

    :param made_from: what -> SHA-256.
    :raises StaleStageError: a finished or unfinished stage was made from something else.
    :raises OutputFolderError: it cannot be written.
    """
    check_made_from(folder, made_from)
    if not _is_there(folder) and is_first():
        write_json(dict(made_from), folder / MADE_FROM)


def check_made_from(folder: Path, made_from: Mapping[str, str]) -> None:
    """Compare what a stage was made from, as far as it is known, with what it should be made from.

    :raises StaleStageError: it was made from something else.
    """
    if not _is_there(folder):
        return
    stated = stated_made_from(folder)
    if stated is None:
        log.warning("Nothing says what the stage in %s was made from.", folder)
        return
    different = [name.replace("_", " ") for name, value in made_from.items() if stated.get(name, value) != value]
    if different:
        raise StaleStageError(f"The stage in {folder} was made from something else; other now: {', '.join(different)}.")


def stated_made_from(folder: Path) -> dict[str, str] | None:
    """What a stage that has begun says that it was made from; None: nothing."""
    if is_finished(folder):
        return json.loads((folder / FINISHED).read_text(encoding="utf-8")).get("made_from")
    if has_begun(folder) and (folder / MADE_FROM).is_file():
        return json.loads((folder / MADE_FROM).read_text(encoding="utf-8"))
    return None


def _is_there(folder: Path) -> bool:
    return has_begun(folder) or is_finished(folder)
