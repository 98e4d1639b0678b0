"""Write what a run has computed into its folder, so that results of another run never stand beside it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .. import SYNTHETIC_NOTICE
from ..dicom.tree import is_dicom
from ..errors import OutputFolderError
from ..files import (
    ensure_output_folder,
    folder_to_disk,
    is_partial,
    make_folder,
    move,
    note_removed,
    remove_folder,
    require_files,
    write_image,
    write_json,
)
from ..inputs.slices import CaseSlices
from ..measure.measurements import Measurements, write_measurements
from ..model.environment import uninterrupted
from ..progress import Clock, Listener
from ..request import FORMATS, PredictionRequest
from .dicom_export import FOLDER as DICOM
from .folder import LOCK, result_files
from .provenance import provenance
from .segments import AFTER, BEFORE, LINES
from .volumes import volumes_of

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..prediction import Prediction
    from .columns import CaseColumns
    from .dicom_export import DicomExport

PROVENANCE = "provenance.json"
UNFINISHED = ".unfinished"
_STAGED = "result"
_JOURNAL = "files.json"
"""In `.unfinished`: the result while it is made, and names of its files and of earlier ones while it is moved."""
_MEASUREMENTS = ("measurements.json", "measurements.csv")
MONTAGE, REPORT, SCORE = "montage.png", ("report.html", "report.json"), "score.json"
_FOLLOW_UP = "registered_follow_up"


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run has computed; everything is on disk once it has files.

    :param predictions: by class as requested.
    :param seconds: per stage, over all classes.
    :param files: of the whole run, by what they hold; `provenance` always.
    :param class_files: the same for each class.
    :param records: provenance by class of a run that was read again.
    """

    request: PredictionRequest
    bundle: "Bundle"
    slices: CaseSlices
    predictions: dict[str, "Prediction"]
    measurements: Measurements | None
    seconds: dict[str, float]
    files: dict[str, Path] = field(default_factory=dict)
    class_files: dict[str, dict[str, Path]] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def measurements_of(self, name: str) -> dict[str, Any]:
        """The measures of one class; empty if nothing was measured."""
        return self.measurements.of_class(name) if self.measurements else {}


def write_results(result: RunResult, listener: Listener) -> RunResult:
    """Write everything, then put it in the place of what an earlier run wrote; an earlier result stays until then.

    :raises OutputFolderError: the folder cannot be written.
    """
    from .columns import CaseColumns
    from .montage import write_montage

    clock = Clock()
    listener.stage("write", None)
    request, out, predictions = result.request, result.request.out, result.predictions
    several = len(predictions) > 1
    chances = result.measurements.enhancement_probability if result.measurements else {}
    volumes = {name: volumes_of(entry, chances.get(name)) for name, entry in predictions.items()}
    exports = _exports(result, volumes)
    names = {name: [f"{what}{request.format}" for what in volumes[name]] for name in predictions}
    for planned in names.values():
        planned += [MONTAGE] if request.montage else []
    shared_names = _shared_names(result)
    records = {
        name: provenance(result.bundle, entry) | {"files": sorted(names[name] + ([] if several else shared_names))}
        for name, entry in predictions.items()
    }
    # Hundreds of files: the report, which shows the records, does not name them.
    complete = {name: record | _dicom_files(exports.get(name)) for name, record in records.items()}
    summary = {"notice": SYNTHETIC_NOTICE, "synthetic": True, "classes": complete, "files": sorted(shared_names)}
    whole = summary if several else next(iter(complete.values()))

    staged = out / UNFINISHED / _STAGED
    try:
        remove_folder(staged)
        keep = result.slices.case.keep_orientation
        columns = CaseColumns(result.slices, result.measurements)
        class_files: dict[str, dict[str, Path]] = {}
        for name, prediction in predictions.items():
            folder = ensure_output_folder(staged / name if several else staged)
            made = {
                what: write_image(image, folder / f"{what}{request.format}", keep)
                for what, image in volumes[name].items()
            }
            if request.montage:
                made["montage"] = write_montage(columns, prediction, folder / MONTAGE)
            if name in exports:
                made |= exports[name].write(folder, made.get("montage"))
            class_files[name] = made
        files = _write_shared(result, columns, records, staged)
        for name, record in complete.items():
            place = (staged / name if several else staged) / PROVENANCE
            class_files[name]["provenance"] = write_json(record, place)
        files["provenance"] = write_json(whole, staged / PROVENANCE) if several else staged / PROVENANCE
        move_into_place(staged, out, listener)
    finally:
        remove_folder(staged)
    files, *groups = (
        {what: out / path.relative_to(staged) for what, path in group.items()}
        for group in (files, *class_files.values())
    )
    class_files = dict(zip(class_files, groups, strict=True))

    clock.mark("write")
    seconds = {name: round(spent, 3) for name, spent in (result.seconds | clock.seconds).items()}
    return replace(result, files=files, class_files=class_files, seconds=seconds)


def move_into_place(staged: Path, out: Path, listener: Listener | None = None) -> None:
    """Move a finished result from one folder to another of the same disk, in which no other result's files remain.

    The provenance goes last, so that a folder with a provenance is whole. What was begun is finished by the same call.
    An interrupt waits until it is done, as a failure or the end of the process alone leave it begun.

    :param listener: is told before an interrupt comes that it comes too late.
    :raises OutputFolderError: a file cannot be moved or removed.
    """
    with uninterrupted():
        try:
            _move(staged, out)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is gone"
            raise OutputFolderError(f"Cannot move a result to the folder {out} ({reason}).") from error
        (listener or Listener()).written()


def _move(staged: Path, out: Path) -> None:
    """:raises OSError, OutputFolderError: a file cannot be moved or removed."""
    files = (path for path in staged.rglob("*") if path.is_file() and path.name != LOCK and not is_partial(path))
    names = sorted(
        (path.relative_to(staged).as_posix() for path in files),
        key=lambda name: (name == PROVENANCE, name.endswith(PROVENANCE), name),
    )
    ours = _named(json.loads((staged / PROVENANCE).read_text(encoding="utf-8")))
    earlier = _listed_files(out) | {PROVENANCE}
    write_json({"files": sorted(earlier | ours)}, ensure_output_folder(out / UNFINISHED) / _JOURNAL)
    moved = ours - set(names)  # by a call that did not come to its end
    _remove_earlier(out, sorted(earlier - moved, key=lambda name: not name.endswith(PROVENANCE)))
    for name in names:
        make_folder((out / name).parent)
        if name == PROVENANCE:
            folder_to_disk(out)
        move(staged / name, out / name)
    folder_to_disk(out)
    remove_after_move(staged, out)


def remove_after_move(staged: Path, out: Path) -> None:
    """Remove what :func:`move_into_place` leaves beside a result if its process is killed after the last move."""
    for left in (staged, out / UNFINISHED):
        remove_folder(left)


def check_complete(out: Path) -> None:
    """Check that a result is where it was put, with all its files: somebody may have removed them meanwhile.

    :raises OutputFolderError: it is not.
    """
    try:
        names = _named(json.loads((out / PROVENANCE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        names = {PROVENANCE}
    require_files(out / name for name in names)


def _exports(result: RunResult, volumes: Mapping[str, Any]) -> dict[str, "DicomExport"]:
    """What is written as DICOM of each class, if that was asked for."""
    request = result.request
    if not request.dicom_out:
        return {}
    from ..dicom.source import read_source
    from .dicom_export import DicomExport, first_number, making_of
    from .report import text_lines

    source, making = read_source(result.slices.case.origin.series), making_of(request, result.bundle)
    several = len(result.predictions) > 1
    exports = {}
    for place, (name, prediction) in enumerate(result.predictions.items()):
        withheld = result.measurements_of(name).get("withheld", {}).get("volume", "")
        exports[name] = DicomExport(
            source, making, prediction, volumes[name], withheld, name if several else "", first_number(place),
            text_lines(prediction, result.measurements, request.facts), request.burn_in,
        )  # fmt: skip
    return exports


def _dicom_files(export: "DicomExport | None") -> dict[str, Any]:
    return {} if export is None else {"dicom_files": export.names()}


def replaceable_files(request: PredictionRequest) -> list[Path]:
    """Files that the run of a request would replace or remove."""
    return result_files(_folders(request)) + [request.out / name for name in _listed_files(request.out)]


def refuse_mixing(request: PredictionRequest) -> None:
    """Check that no DICOM result would come among DICOM files of others, which may be the input's.

    :raises OutputFolderError: it would.
    """
    if not request.dicom_out:
        return
    ours = {request.out / name for name in _listed_files(request.out)}
    for folder in (entry / DICOM for entry in _folders(request)):
        for path in folder.glob("[!.]*"):
            if path not in ours and path.is_file() and is_dicom(path):
                message = f"DICOM results would come into the folder {folder.name!r}, which holds other DICOM files."
                raise OutputFolderError(message, "Choose another output folder.")


def _folders(request: PredictionRequest) -> list[Path]:
    """The output folder, and those of several classes in it."""
    out, classes = request.out, request.options.classes
    return [out, *(out / name for name in classes if len(classes) > 1)]


def _shared_names(result: RunResult) -> list[str]:
    """Names of the files that are there once for all classes."""
    names = list(_MEASUREMENTS) if result.measurements else []
    names += list(REPORT) if result.request.report else []
    return names + ([f"{_FOLLOW_UP}{result.request.format}"] if result.slices.follow_up else [])


def _write_shared(
    result: RunResult, columns: "CaseColumns", records: Mapping[str, Mapping[str, Any]], out: Path
) -> dict[str, Path]:
    slices = result.slices
    files = write_measurements(result.measurements, out) if result.measurements else {}
    if result.request.report:
        from .report import write_report

        page, twin = (out / name for name in REPORT)
        shown = (columns, result.predictions, records, result.measurements)
        files["report"] = write_report(page, *shown, manifest=result.bundle, facts=result.request.facts)
        files["report_data"] = twin
    if slices.follow_up is not None:
        path = out / f"{_FOLLOW_UP}{result.request.format}"
        files[_FOLLOW_UP] = write_image(slices.follow_up.image, path, slices.case.keep_orientation)
    return files


def _listed_files(out: Path) -> set[str]:
    """Names of the files that earlier runs have written, below the folder."""
    found = set()
    for path in (out / PROVENANCE, out / UNFINISHED / _JOURNAL):
        try:
            found |= _listed(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError, TypeError):
            continue  # none, or not one of ours
    return found


def _named(record: Mapping[str, Any]) -> set[str]:
    """Names that a provenance lists."""
    found = {str(name) for name in [*record.get("files", ()), *record.get("dicom_files", ())]}
    for folder, entry in record.get("classes", {}).items():
        found |= {f"{folder}/{name}" for name in [*entry["files"], *entry.get("dicom_files", ()), PROVENANCE]}
    return found


def _listed(record: Mapping[str, Any]) -> set[str]:
    """The same, with those of versions that did not list the shared ones."""
    found = _named(record)
    if record.get("synthetic"):
        found |= {*_MEASUREMENTS, *REPORT, SCORE, BEFORE, AFTER, LINES}
        found |= {f"{_FOLLOW_UP}{suffix}" for suffix in FORMATS}
    return found


def _remove_earlier(out: Path, names: Iterable[str]) -> None:
    """Remove listed files, and folders of classes that are then empty."""
    for name in names:
        parts = PurePosixPath(name).parts
        inside = 0 < len(parts) <= 3 and ".." not in parts and not set(name) & set("\\:") and not name.startswith("/")
        path = out / name
        if inside and path.is_file():
            _remove(path)
            for parent in list(path.parents)[: len(parts) - 1]:
                if not any(parent.iterdir()):
                    parent.rmdir()


def _remove(path: Path) -> None:
    """:raises OutputFolderError: the file cannot be removed."""
    note_removed(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputFolderError(f"Cannot remove {path.name} of an earlier run ({error.strerror}).") from error
