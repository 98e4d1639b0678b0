"""A runner that predicts nothing: for tests of what surrounds predictions, in any process that finds this file."""

import hashlib
import json
import time
from pathlib import Path
from types import SimpleNamespace

from GBMResponseCore.errors import NotMRError

SECONDS = 0.0


class FakeRunner:
    """Writes a result at once, and a line into the file `ran.txt` beside the image; images called bad* fail."""

    def basis(self, request):
        return {"version": "fake"}

    def run(self, request, listener=None):
        with open(request.image.with_name("ran.txt"), "a", encoding="utf-8") as file:
            file.write(f"{request.out.parent.name}\n")
        time.sleep(SECONDS)
        if request.image.name.startswith("bad"):
            raise NotMRError("This is no MR image.")
        request.out.mkdir(parents=True, exist_ok=True)
        (request.out / "expected.txt").write_text(request.image.read_text("utf-8"), "utf-8")
        record = {"synthetic": True, "files": ["expected.txt"]}
        (request.out / "provenance.json").write_text(json.dumps(record), "utf-8")
        digest = hashlib.sha256(request.image.read_bytes()).hexdigest()
        case = SimpleNamespace(sources={"image": {"sha256": digest}})
        return SimpleNamespace(
            predictions={}, seconds={}, request=request, slices=SimpleNamespace(case=case), files={}, class_files={}
        )


def ran(folder: Path) -> list[str]:
    """Cases that were really run, in order."""
    file = folder / "ran.txt"
    return file.read_text("utf-8").split() if file.is_file() else []


class SlowRunner(FakeRunner):
    """Takes a while, so that something can happen meanwhile; images are of no matter."""

    def run(self, request, listener=None):
        time.sleep(0.5)
        return super().run(request, listener)
