"""A runner that predicts nothing: for tests of what surrounds predictions, in any process that finds this file."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

from GBMResponseCore.errors import NotMRError
from GBMResponseCore.inputs.reading import read_image, sha256_of_image

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
        (request.out / "expected.txt").write_text(request.image.name, "utf-8")
        record = {"synthetic": True, "files": ["expected.txt"]}
        (request.out / "provenance.json").write_text(json.dumps(record), "utf-8")
        return SimpleNamespace(
            predictions={}, seconds={}, request=request, files={}, class_files={},
            slices=SimpleNamespace(case=SimpleNamespace(sources=_sources(request))),
        )  # fmt: skip


class SlowRunner(FakeRunner):
    """Takes a while, so that something can happen meanwhile."""

    def run(self, request, listener=None):
        time.sleep(0.3)
        return super().run(request, listener)


def ran(folder: Path) -> list[str]:
    """Cases that were really run, in order."""
    file = folder / "ran.txt"
    return file.read_text("utf-8").split() if file.is_file() else []


def _sources(request):
    if request.image.suffix == ".txt":
        return {}
    files = {"image": request.image, "GTV": request.gtv}
    return {name: {"sha256": sha256_of_image(read_image(path))} for name, path in files.items()}
