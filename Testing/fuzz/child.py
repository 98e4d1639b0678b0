"""The process that is fed: one recipe per line on standard input, one outcome per line on standard output.

An outcome is `valid`, `typed: CODE`, or a finding: `untyped: EXCEPTION`, `wrong-grid`, `changed-outside`, `moved-gtv`,
`lost-patient` and the like. A crash of this process, or its silence, is a finding too; the driver sees those.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from GBMResponseCore.errors import GBMResponseError

from . import build

Recipe = dict[str, Any]


class FindingError(Exception):
    """The product gave a result that is wrong."""


class Feeder:
    """Builds the input of a recipe, gives it to the product, and checks what comes out.

    :param corpus: folder with `bundle`, sound images and a DICOM export, see `prepare_corpus`.
    """

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self._runner: Any = None
        self._kinds: dict[str, Callable[[Recipe, Path], None]] = {
            "geometry": self._geometry,
            "image": self._image,
            "bundle": self._bundle,
            "dicom": self._dicom,
            "table": self._table,
        }

    def outcome(self, recipe: Recipe) -> dict[str, str]:
        """`outcome` and, of a finding, `detail`."""
        with tempfile.TemporaryDirectory(prefix="gbmresponse-fuzz-") as folder:
            try:
                self._kinds[recipe["kind"]](recipe, Path(folder))
            except GBMResponseError as error:
                untyped = type(error) is GBMResponseError  # the base class is what a last resort makes of a surprise
                return {"outcome": f"untyped: {error.message}" if untyped else f"typed: {error.code}"}
            except FindingError as error:
                return {"outcome": str(error.args[0]), "detail": " ".join(map(str, error.args[1:]))}
            # Everything else that comes out is a finding.
            except Exception as error:
                return {"outcome": f"untyped: {type(error).__name__}", "detail": traceback.format_exc()}
        return {"outcome": "valid"}

    def _geometry(self, recipe: Recipe, folder: Path) -> None:
        import numpy as np
        import SimpleITK as sitk
        from GBMResponseCore.inputs.case import load_case

        image, gtv, center = build.geometry_case(recipe, folder)
        case = load_case(image, gtv)
        given = sitk.ReadImage(str(image))
        mask = sitk.GetArrayViewFromImage(case.gtv) > 0
        index = np.argwhere(mask).mean(axis=0)[::-1]
        found = np.array(given.TransformContinuousIndexToPhysicalPoint(index.tolist()))
        inside = not any(note.code == "gtv-partly-outside" for note in case.notes) and not _touches_edge(mask)
        # Two grids may each be off by half a voxel's diagonal.
        grids = [given, sitk.ReadImage(str(gtv))]
        tolerance = sum(0.5 * float(np.linalg.norm(grid.GetSpacing())) for grid in grids)
        if inside and np.linalg.norm(found - center) > tolerance:
            raise FindingError("moved-gtv", f"{found} instead of {center}, tolerance {tolerance:.2f} mm")
        self._predict(image, gtv, folder, seed=recipe["seed"])

    def _image(self, recipe: Recipe, folder: Path) -> None:
        paths = build.damaged_case(recipe, self.corpus, folder)
        before = {path: path.read_bytes() for path in paths.values()}
        self._predict(paths["image"], paths["gtv"], folder, paths.get("follow_up"))
        for path, content in before.items():
            if path.read_bytes() != content:
                raise FindingError("changed-input", path.name)

    def _bundle(self, recipe: Recipe, folder: Path) -> None:
        bundle = build.damaged_bundle(recipe, self.corpus / "bundle", folder)
        image, gtv = self.corpus / "image.nrrd", self.corpus / "gtv.nrrd"
        self._runner = None  # a warm runner would keep every broken model
        try:
            self._predict(image, gtv, folder, bundle=bundle)
        finally:
            self._runner = None

    def _dicom(self, recipe: Recipe, folder: Path) -> None:
        from GBMResponseTraining.cli import main

        shutil.copytree(self.corpus / "export", folder / "export")
        build.damage_dicom(recipe, folder / "export")
        store, table = folder / "store", self.corpus / "patients.csv"
        command = ["import", "dicom", str(folder / "export"), str(store), "--table", str(table)]
        code = main([*command, "--size", "64", "--register", "never"])
        names = (store / "imported.csv").read_text("utf-8") if (store / "imported.csv").is_file() else ""
        if code == 1:
            raise FindingError("untyped: exit code 1")
        if "P1" not in names:
            raise FindingError("lost-patient", f"exit code {code}; P1 is sound and was not imported")

    def _table(self, recipe: Recipe, folder: Path) -> None:
        from GBMResponseCore.inputs.case_table import read_case_table

        path = folder / "cases.csv"
        path.write_bytes(build.table_bytes(recipe))
        cases = read_case_table(path)
        names = [case.identifier for case in cases]
        if not names or len({name.casefold() for name in names}) < len(names):
            raise FindingError("wrong-table", names)
        for name in names:
            inside = folder / "out" / name
            if inside.resolve().parent != (folder / "out").resolve():
                raise FindingError("wrong-table", f"the folder of {name!r} is elsewhere")

    def _predict(
        self,
        image: Path,
        gtv: Path,
        folder: Path,
        follow_up: Path | None = None,
        bundle: Path | None = None,
        seed: int = 1,
    ) -> None:
        """Run a whole prediction and check what it wrote."""
        import numpy as np
        import SimpleITK as sitk
        from GBMResponseCore.inputs.case import load_case
        from GBMResponseCore.request import PredictionRequest
        from GBMResponseCore.run import Runner

        self._runner = self._runner or Runner()
        out = folder / "out"
        message = {
            "image": str(image), "gtv": str(gtv), "out": str(out), "bundle": str(bundle or self.corpus / "bundle"),
            "device": "cpu", "precision": "float32", "seed": seed, "format": ".nrrd", "montage": False, "report": False,
            "measure": follow_up is not None,
        }  # fmt: skip
        if follow_up is not None:
            message["follow_up"] = str(follow_up)
        if bundle is None:
            message |= {"sampling": {"steps": 1}, "samples": 2}
        try:
            self._runner.run(PredictionRequest.from_message(message))
        except GBMResponseError:
            self._check_left(out, finished=False)
            raise
        self._check_left(out, finished=True)
        given = load_case(image, gtv).image
        predicted, mask = (sitk.ReadImage(str(out / f"{name}.nrrd")) for name in ("predicted", "generated_mask"))
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            for volume in (predicted, mask):
                if not np.allclose(getattr(volume, name)(), getattr(given, name)(), rtol=1e-9, atol=1e-9):
                    raise FindingError("wrong-grid", f"{name}: {getattr(volume, name)()} of {getattr(given, name)()}")
        before, after = sitk.GetArrayViewFromImage(given), sitk.GetArrayViewFromImage(predicted)
        generated = sitk.GetArrayViewFromImage(mask) > 0
        if before.dtype != after.dtype or not np.array_equal(before[~generated], after[~generated]):
            raise FindingError("changed-outside", f"{before.dtype} {after.dtype}")
        if not generated.any():
            raise FindingError("nothing-generated")
        if not np.isfinite(after[generated].astype(np.float64)).all():
            raise FindingError("non-finite")

    def _check_left(self, out: Path, finished: bool) -> None:
        """A failed run leaves no result, a finished one no half one."""
        names = sorted(path.name for path in out.rglob("*") if path.is_file()) if out.is_dir() else []
        hidden = [name for name in names if name.startswith(".")]
        if hidden or (not finished and any(name.endswith((".nrrd", ".json", ".csv")) for name in names)):
            raise FindingError("half-file", names)


def _touches_edge(mask: Any) -> bool:
    return any(side.any() for axis in range(3) for side in (mask.take(0, axis), mask.take(-1, axis)))


def prepare_corpus(folder: Path) -> Path:
    """Write everything that recipes start from: a bundle of random networks, sound images, a DICOM export."""
    from tiny_bundle import write_tiny_bundle

    folder.mkdir(parents=True, exist_ok=True)
    write_tiny_bundle(folder / "bundle")
    build.write_corpus(folder)
    build.write_dicom_cohort(folder)
    return folder


def main(corpus: Path) -> None:
    """Answer until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what libraries print does not come between
    logging.disable(logging.CRITICAL)
    import torch

    torch.set_num_threads(1)
    feeder = Feeder(corpus)
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            answer = feeder.outcome(json.loads(line))
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
