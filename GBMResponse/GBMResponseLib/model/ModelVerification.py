"""Compares a model's files with their SHA-256, in short steps, so that the panel stays alive."""

import hashlib
from collections.abc import Iterator

from ..common.Failure import Failure
from ..common.Translation import tr as _
from .ModelDescription import ModelDescription

_CHUNK = 4 * 1024 * 1024


def verificationSteps(model: ModelDescription) -> Iterator[float]:
    """Verify a model; after each step of at most 4 MB yield the fraction that is done.

    :raises Failure: a file is missing, cannot be read, or differs.
    """
    total = sum(entry["size"] for entry in model.files.values()) or 1
    done = 0
    for name, expected in model.files.items():
        path = model.folder / name
        digest, size = hashlib.sha256(), 0
        try:
            with open(path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    yield min(1.0, (done + size) / total)
        except OSError as error:
            message = _("The model lacks the file {name}.").format(name=name)
            raise Failure("bundle", message, _("Install the model again."), str(error)) from error
        if size != expected["size"] or digest.hexdigest() != expected["sha256"]:
            message = _("The file {name} of the model was changed or is damaged.").format(name=name)
            raise Failure("bundle-integrity", message, _("Install the model again."))
        done += size
