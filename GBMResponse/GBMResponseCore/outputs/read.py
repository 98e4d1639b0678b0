"""A finished run, read again from its folder: what was predicted, for which case; its measures and report anew."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from ..errors import RunFolderError
from ..files import check_file, write_image
from ..inputs.case import Case
from ..inputs.reading import read_volume
from ..inputs.resampling import same_grid
from ..inputs.slices import CaseSlices
from ..measure.measurements import write_measurements
from ..model.classes import ClassChoice
from ..request import FORMATS, PredictionOptions
from ..setting import decided, settings
from .columns import CaseColumns
from .folder import folder_in_use
from .montage import write_montage
from .report import write_report
from .segments import write_lines, write_segments
from .volumes import chance_from, labeled
from .write import MONTAGE, PROVENANCE, REPORT, RunResult

if TYPE_CHECKING:
    from ..prediction import Prediction

_OTHER = "Give the image, GTV and model that this run was made with."


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Provenance of each class of a finished run, by the class asked for; among several, it names the folder.

    :raises RunFolderError: the folder holds no finished run.
    """
    try:
        record = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        records = record["classes"] if "classes" in record else {_asked(record): record}
        for entry in records.values():
            entry["bundle"]["bundle_json_sha256"], entry["inputs_sha256"], entry["files"], entry["class"]["source"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"The folder {folder.name!r} holds no finished run.") from error
    return records


def check_inputs(records: Mapping[str, Mapping[str, Any]], case: Case, bundle_sha256: str) -> None:
    """Check that a run was made of these inputs by this model.

    :raises RunFolderError: it was not.
    """
    for record in records.values():
        for name in ("image", "GTV"):
            if record["inputs_sha256"].get(name) != case.sources[name]["sha256"]:
                raise RunFolderError(f"The run was made with another {name}.", _OTHER)
        if record["bundle"]["bundle_json_sha256"] != bundle_sha256:
            known = f"{record['bundle'].get('name')} {record['bundle'].get('version')}"
            raise RunFolderError(f"The run was made with another model: {known}.", "Name it with --bundle.")


def read_predictions(
    folder: Path, records: Mapping[str, Mapping[str, Any]], slices: CaseSlices
) -> dict[str, "Prediction"]:
    """The predictions of a run, by class.

    :param records: of :func:`read_records`, checked by :func:`check_inputs`.
    :raises RunFolderError: a volume is missing, or lies on another grid than the image.
    """
    several = len(records) > 1
    return {name: _prediction(folder / name if several else folder, record, slices) for name, record in records.items()}


def _prediction(folder: Path, record: Mapping[str, Any], slices: CaseSlices) -> "Prediction":
    from ..prediction import Prediction  # needs torch, which a page about records does not

    volumes = _Volumes(folder, record["files"], slices.case.image)
    options, choice = _options(record), record["class"]
    numbers = range(1, options.sample_count + 1)
    names = ["predicted"] if options.sample_count == 1 else [f"sample_{number:02d}" for number in numbers]
    samples = [volumes.read(name) for name in names]
    asked = record.get("samples_asked", options.sample_count)
    return Prediction(
        slices,
        options,
        ClassChoice(
            choice["scheme"], choice["name"], -1, choice["source"], choice["probabilities"], choice.get("note", "")
        ),
        volumes.read("expected"),
        record.get("expected_image") == "one network evaluation",
        samples,
        volumes.read("spread") if len(samples) > 1 else None,
        volumes.read("generated_mask"),
        volumes.read("blend_weight") if options.compose else None,
        dict(record.get("seconds", {})),
        asked if asked != options.sample_count else None,
    )


def _asked(record: Mapping[str, Any]) -> str:
    """The class as it was asked for, which older runs do not say."""
    return record["class"].get("asked", record["class"]["name"])


def _options(record: Mapping[str, Any]) -> PredictionOptions:
    """:raises RunFolderError: the record lacks one."""
    entries = [entry for entry in settings(PredictionOptions) if entry.name in record]
    try:
        return PredictionOptions(**{entry.attribute: record[entry.name] for entry in entries})
    except TypeError as error:
        raise RunFolderError("The provenance of the run is damaged.") from error


class _Volumes:
    """Volumes of a folder by name, whatever their format."""

    def __init__(self, folder: Path, files: list[str], image: sitk.Image) -> None:
        self._folder, self._files, self._image = folder, set(files), image

    def read(self, name: str) -> sitk.Image:
        """:raises RunFolderError: it is not there, or on another grid."""
        file = next((name + suffix for suffix in FORMATS if name + suffix in self._files), None)
        if file is None or not (self._folder / file).is_file():
            raise RunFolderError(f"The run lacks the volume {name}.")
        volume = read_volume(check_file(self._folder / file, name), name).image
        if not same_grid(volume, self._image):
            raise RunFolderError(f"The volume {name} of the run lies on another grid than the image.", _OTHER)
        return volume


def write_measures_again(result: RunResult) -> dict[str, Path]:
    """Write the measures of a run that was read again into its folder; returns the files by what they hold.

    :raises OutputFolderError: the folder cannot be written, or another run is using it.
    """
    out = result.request.out
    with folder_in_use(out):
        measurements = decided(result.measurements)
        files = write_measurements(measurements, out)
        for name, chance in measurements.enhancement_probability.items():
            folder = out / name if len(result.predictions) > 1 else out
            path = folder / f"enhancement_probability{result.request.format}"
            volume = labeled(chance, chance_from(result.predictions[name]))
            files[f"enhancement_probability, {name}"] = write_image(volume, path, result.slices.case.keep_orientation)
        files |= write_segments(result) | write_lines(result)
    return files


def write_report_again(result: RunResult) -> dict[str, Path]:
    """Write report and montages of a run that was read again into its folder; returns the files.

    :raises OutputFolderError: the folder cannot be written, or another run is using it.
    """
    out, columns = result.request.out, CaseColumns(result.slices, result.measurements)
    with folder_in_use(out):
        files = {}
        for name, prediction in result.predictions.items():
            folder = out / name if len(result.predictions) > 1 else out
            files[f"montage, {name}"] = write_montage(columns, prediction, folder / MONTAGE)
        page, twin = (out / name for name in REPORT)
        shown = (columns, result.predictions, result.records, result.measurements)
        files["report"] = write_report(page, *shown, manifest=result.bundle, facts=result.request.facts)
        files["report_data"] = twin
    return files
