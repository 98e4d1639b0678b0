"""Evaluate model bundles on the held-out patients of a slice store: Table 1, its baselines, tests and figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore import SYNTHETIC_NOTICE, __version__
from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import ensure_output_folder, write_json
from GBMResponseCore.inputs.preprocessing import NormalizationSettings
from GBMResponseCore.model.runtime import choose_device

from ..models.lpips import LPIPS, MISSING_BACKBONE, load_lpips_if_present
from ..store.leakage import SplitCheck, check_training_split
from ..store.slice_store import read_patients
from ..store.splits import SPLITS
from .class_effect import enhancement_zones, guidance_sweep
from .figures import spread_by_local_ssim, worst_against_copy
from .held_out import EvaluationError, HeldOut, patient_ids, read_held_out, stored_split, training_mean
from .metrics.authors import authors_metrics
from .metrics.classification import classification_report
from .metrics.image import per_patient_means, standard_metrics, summarize
from .model_predictions import (
    ClassAssignment,
    EvaluatedModel,
    LoadedModel,
    OpenedModel,
    assign_classes,
    class_probabilities,
    networks_sha256,
    open_model,
    predict_slices,
    reconstruct,
)
from .slices import Row, write_figures, write_slices
from .spread import FEWEST_SAMPLES, enhancing_ml, spread_report, volume_report
from .statistics.paired_tests import paired_tests
from .statistics.skill import skills
from .tables import write_guidance_sweep, write_paired_tests, write_spread, write_table1, write_vq_vae_table

METRICS = {"standard": standard_metrics, "authors": authors_metrics}
COPY = "copy of the pre image"
TRAINING_MEAN = "mean of the training follow-ups"
UPPER_BOUND = "VQ-VAE of the truth (upper bound)"
WITHOUT_CODEBOOK = ", without the codebook"
REPORT = "report.json"

_FINISHED = "predictions"


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate.

    :param split: of the slice store: `test`, `validation` or `train`.
    :param seed: of the noise and of nothing else.
    :param samples: drawn per slice; a slice's metric is the mean over its samples.
    :param sampling: fields of `SamplingOptions` to use instead of each bundle's, such as `guidance_scale`, `steps`.
    :param metrics: `standard` or `authors`.
    :param batch_size: slices at once; None lets free memory decide.
    :param precision: `float32`, `bfloat16` or `auto`.
    :param max_slices_per_patient: evenly spaced; None takes all.
    :param figure_slices: rows of Figure 4.
    :param guidance_sweep: guidance scales to compare; empty for none.
    :param data: what the data are, for the tables, such as "CFB-GBM v4"; empty: the data sets that the records name.
    """

    split: str = "test"
    seed: int = 1
    samples: int = 1
    sampling: Mapping[str, Any] = field(default_factory=dict)
    metrics: str = "standard"
    batch_size: int | None = None
    device: str = "auto"
    precision: str = "float32"
    max_slices_per_patient: int | None = None
    figure_slices: int = 5
    guidance_sweep: Sequence[float] = ()
    data: str = ""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise OptionError(f"Unknown split {self.split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
        if self.metrics not in METRICS:
            raise OptionError(f"Unknown metrics {self.metrics!r}.", f"Choose one of: {', '.join(METRICS)}.")
        for name in ("samples", "max_slices_per_patient", "figure_slices"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}.", "Use 1 or more.")


class _Evaluation:
    """One run: what all rows share, and the rows so far."""

    def __init__(
        self,
        slices: HeldOut,
        lpips: LPIPS | None,
        options: EvaluationOptions,
        figure_model: str,
        finished: Path,
    ) -> None:
        self.slices = slices
        self.lpips = lpips
        self.options = options
        self.figure_model = figure_model
        self.finished = finished
        self.rows: list[Row] = []
        self.autoencoders: dict[str, str] = {}
        self.vq_vae: dict[str, Any] = {}
        self.models: list[dict[str, Any]] = []
        self.classifiers: dict[str, Any] = {}
        self.sweep: dict[str, Any] | None = None
        self.figure_images: np.ndarray | None = None
        self.zones = enhancement_zones(slices) if options.samples >= FEWEST_SAMPLES else None
        self.volumes: dict[str, np.ndarray] = {}
        self.notes: list[str] = []
        if options.split != "test":
            self.notes.append(f"These are {options.split} patients: the figures are no test.")
        if lpips is None:
            self.notes.append(MISSING_BACKBONE)

    def measure(self, images: np.ndarray, truth: np.ndarray | None = None) -> list[dict[str, float]]:
        truth = self.slices.post if truth is None else truth
        return METRICS[self.options.metrics](images, truth, self.slices.gtv, self.lpips)

    def add_baseline(self, name: str, images: np.ndarray) -> None:
        self.rows.append(Row(name, "baseline", self.measure(images)))

    def add_model(self, loaded: LoadedModel, split_check: SplitCheck) -> None:
        name, slices = loaded.model.name, self.slices
        assigned = assign_classes(loaded, slices)
        samples, volumes, total = [], [], 0.0
        for sample in range(self.options.samples):
            predicted = predict_slices(
                loaded, slices, assigned.tokens, seed=self.options.seed, sample=sample, finished=self.finished
            )
            samples.append(self.measure(predicted))
            if self.zones is not None:
                volumes.append(enhancing_ml(predicted, slices, self.zones))
            total = total + predicted
            if sample == 0 and name == self.figure_model:
                self.figure_images = predicted
        classes = [assigned.names[patient] for patient in slices.patient]
        self.rows.append(Row(name, "model", [_mean_of(rows) for rows in zip(*samples, strict=True)], classes))
        if volumes:
            self.volumes[name] = np.stack(volumes)
        if self.options.samples > 1:
            mean_image = (total / self.options.samples).astype(np.float32)
            title = f"{name}, mean image of {self.options.samples} samples"
            self.rows.append(Row(title, "mean image", self.measure(mean_image), classes))
        seen = sum(record["id"] in split_check.seen_by_autoencoder for record in slices.records)
        self.models.append(_describe(loaded, assigned, split_check, seen))
        self._note_unknown_classes(name, assigned)
        self._classify(loaded)
        self._reconstruct(loaded)

    def _note_unknown_classes(self, name: str, assigned: ClassAssignment) -> None:
        if assigned.unknown:
            self.notes.append(
                f"{name}: the survival class of {len(assigned.unknown)} patients is not known; they were predicted "
                "without class."
            )

    def note_true_classes(self) -> None:
        names = [model["name"] for model in self.models if model["scheme"] and model["class_source"] == "true"]
        if names:
            self.notes.append(
                f"Told the class of the patients' true survival, which nobody knows when it would be predicted: "
                f"{', '.join(names)}."
            )

    def note_unknown_splits(self) -> None:
        names = [model["name"] for model in self.models if not model["training_split_checked"]]
        if names:
            self.notes.append(
                f"The split that these models were trained with is not known, so nothing shows that the patients were "
                f"held out: {', '.join(names)}."
            )

    def note_same_ids(self) -> None:
        count = max(model["ids_of_other_people_trained_with"] for model in self.models)
        if count:
            self.notes.append(
                f"{count} ids of this store also occur in the store that the models were trained with, for patients of "
                "another data set and with other images: they were taken for different people."
            )

    def note_seen_patients(self) -> None:
        names = [model["name"] for model in self.models if model["patients_seen_by_autoencoder"]]
        if names:
            count = max(model["patients_seen_by_autoencoder"] for model in self.models)
            self.notes.append(
                f"Slices of {count} of these patients were among the extra images that the image autoencoder learned; "
                f"no other network saw them. For its reconstruction they are no test: {', '.join(names)}."
            )

    def _classify(self, loaded: LoadedModel) -> None:
        found = class_probabilities(loaded, self.slices)
        if found is not None:
            scheme, probabilities, labels = found
            self.classifiers[loaded.model.name] = {
                "scheme": scheme.name,
                **classification_report(probabilities, labels),
            }

    def _reconstruct(self, loaded: LoadedModel) -> None:
        if loaded.autoencoder in self.autoencoders:
            return
        name, slices = loaded.model.name, self.slices
        self.autoencoders[loaded.autoencoder] = name
        stacks = {"pre": slices.pre, "post": slices.post}
        rows = {
            image + note: self.measure(reconstruct(loaded, stack, quantized=not note), stack)
            for note in ("", WITHOUT_CODEBOOK)
            for image, stack in stacks.items()
        }
        self.vq_vae[name] = {image: summarize(values, slices.patient) for image, values in rows.items()}
        title = UPPER_BOUND if len(self.autoencoders) == 1 else f"{UPPER_BOUND}, {name}"
        self.rows.append(Row(title, "upper bound", rows["post"]))

    def sweep_guidance(self, loaded: LoadedModel) -> None:
        sweep = guidance_sweep(
            loaded, self.slices, self.options.guidance_sweep, seed=self.options.seed, finished=self.finished
        )
        self.sweep = {"model": loaded.model.name, **sweep}

    def spread(self) -> dict[str, Any] | None:
        """Calibration of the samples' spread; None with too few samples, or if no voxel's size is known."""
        if self.zones is None:
            return None
        truth, copied = (
            enhancing_ml(images, self.slices, self.zones) for images in (self.slices.post, self.slices.pre)
        )
        # A record of the split may have no slice in a selection.
        truth[np.setdiff1d(np.arange(len(truth)), self.slices.patient)] = np.nan
        known = int((~np.isnan(truth)).sum())
        if known < len(np.unique(self.slices.patient)):
            self.notes.append("Volumes of patients whose voxel size the store does not know are left out.")
        if not known:
            return None
        return {
            "samples": self.options.samples,
            "patients": known,
            "true_mean_ml": float(np.nanmean(truth)),
            "copy": volume_report(truth, copied),
            "models": {name: spread_report(truth, volumes) for name, volumes in self.volumes.items()},
        }

    def local_ssim(self, name: str) -> list[float]:
        """Local SSIM of every slice of a row."""
        return next([values["ssim_local"] for values in row.per_slice] for row in self.rows if row.name == name)

    def ordered_rows(self) -> list[Row]:
        """Baselines, models, upper bounds."""
        kinds = ("baseline", "model", "mean image", "upper bound")
        return sorted(self.rows, key=lambda row: kinds.index(row.kind))


def evaluate(
    models: Sequence[EvaluatedModel], store_folder: Path, out: Path, options: EvaluationOptions | None = None
) -> dict[str, Any]:
    """Predict the held-out slices with every model, compare with the truth, and write tables, tests and Figure 4.

    Finished slices are kept in `OUT/predictions`, so the same request continues after a cancel or a crash, and other
    metrics of the same predictions cost no sampling. The folder may be deleted afterwards.

    :param store_folder: slice store with its `patient_split.csv`.
    :param out: folder for `report.json`, `table1.*`, `per_slice.csv`, `per_patient.csv`, `paired_tests.*`, `vq_vae.md`,
        `figure4.*`, `failures.png` and, if asked for, `guidance_sweep.*`, and with 5 samples or more `spread.md`.
    :return: the content of `report.json`.
    :raises EvaluationError: there is no model or no slice, names are not unique, or a model does not fit the slices.
    :raises SplitError, LeakageError: the store has no split, or a patient was trained with.
    :raises BundleError: a bundle is missing, damaged or not valid.
    :raises OptionError, GuidanceError: a model cannot do what is asked.
    :raises OutputFolderError: a file cannot be written.
    """
    options = options or EvaluationOptions()
    _check_names(models)
    split, records = stored_split(store_folder), read_patients(store_folder)
    checks = [check_training_split(model.bundle, split, records) for model in models]
    slices = read_held_out(store_folder, options.split, options.max_slices_per_patient)
    opened = [open_model(model, options.sampling) for model in models]
    for model in opened:
        _check_fit(model, slices, options)
    to_sweep = _model_to_sweep(opened) if options.guidance_sweep else None
    lpips = load_lpips_if_present()
    if lpips is not None:
        lpips.to(choose_device(options.device))
    out = ensure_output_folder(out)

    figure_model = next((model.name for model in models if model.class_source == "predicted"), models[0].name)
    run = _Evaluation(slices, lpips, options, figure_model, out / _FINISHED)
    run.add_baseline(COPY, slices.pre)
    mean = training_mean(store_folder)
    if mean is not None:
        run.add_baseline(TRAINING_MEAN, np.broadcast_to(mean, slices.pre.shape))
    # One at a time: the networks of the paper's four models together would need several gigabytes.
    loaded = None
    for model, check in zip(opened, checks, strict=True):
        if loaded is not None and not loaded.shares_networks(model):
            loaded = None
        loaded = model.load(options.device, options.precision, options.batch_size, loaded)
        run.add_model(loaded, check)
        if model is to_sweep:
            run.sweep_guidance(loaded)
    run.note_true_classes()
    run.note_unknown_splits()
    run.note_same_ids()
    run.note_seen_patients()

    report = _report(run, store_folder)
    rows = run.ordered_rows()
    write_slices(rows, slices, out)
    data = report["data"]
    about = f"{data['description']}, {report['split']} split, {data['patients']} patients"
    figure_row, copy_row = (next(row for row in rows if row.name == name) for name in (figure_model, COPY))
    write_figures(run.figure_images, figure_row, copy_row, slices, options.figure_slices, about, out)
    write_table1(report, out)
    write_vq_vae_table(report, out)
    write_paired_tests(report, out)
    if run.sweep:
        write_guidance_sweep(report, out)
    if report["spread"]:
        write_spread(report, out)
    write_json(report, out / REPORT)
    return report


def _check_names(models: Sequence[EvaluatedModel]) -> None:
    names = [model.name for model in models]
    if not names:
        raise EvaluationError("There is no model to evaluate.", "Name one with --model, or a run with --run.")
    taken = {COPY, TRAINING_MEAN, UPPER_BOUND}
    for name in names:
        if names.count(name) > 1 or name in taken:
            raise EvaluationError(f"The name {name!r} is used twice.", "Give every model a name of its own.")


def _check_fit(opened: OpenedModel, slices: HeldOut, options: EvaluationOptions) -> None:
    """Make sure that a model can see the slices as it was trained to."""
    name, bundle = opened.model.name, opened.bundle
    size = bundle.in_plane_rule.size
    rows, columns = slices.pre.shape[1:]
    remedy = "Use the slice store that the model was trained with, or one of the same import settings."
    if (rows, columns) != (size, size):
        raise EvaluationError(
            f"{name} predicts slices of {size} x {size} pixels, the store has {rows} x {columns}.", remedy
        )
    for record in slices.records:
        stated = record.get("preprocessing", {}).get("intensity")
        if stated is not None and NormalizationSettings.from_dict(stated) != bundle.normalization:
            raise EvaluationError(f"{name} expects other intensities than the store has.", remedy)
    if bundle.neighbor_slices and options.max_slices_per_patient is not None:
        raise EvaluationError(
            f"{name} looks at neighboring slices, which a selection of slices lacks.", "Evaluate all slices."
        )


def _model_to_sweep(opened: Sequence[OpenedModel]) -> OpenedModel:
    for model in opened:
        if model.model.scheme is not None and model.bundle.label_dropout > 0:
            return model
    raise EvaluationError(
        "No model can be guided: that takes a class scheme and training with label dropout.",
        "Leave out --guidance-sweep, or add a model with classes.",
    )


def _mean_of(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric of one slice over its samples."""
    return {name: float(np.mean([row[name] for row in samples])) for name in samples[0]}


def _describe(loaded: LoadedModel, assigned: ClassAssignment, split_check: SplitCheck, seen: int) -> dict[str, Any]:
    bundle = loaded.predictor.bundle
    return {
        "name": loaded.model.name,
        "bundle": {"name": bundle.name, "version": bundle.version, "networks_sha256": networks_sha256(bundle)},
        "scheme": loaded.model.scheme,
        "class_source": loaded.model.class_source,
        "sampling": asdict(loaded.sampling),
        "training_split_checked": split_check.known,
        "ids_of_other_people_trained_with": len(split_check.same_ids),
        "patients_seen_by_autoencoder": seen,
        "patients_per_class": {name: assigned.names.count(name) for name in sorted(set(assigned.names))},
        "patients_of_unknown_class": len(assigned.unknown),
    }


def _report(run: _Evaluation, store_folder: Path) -> dict[str, Any]:
    slices, options = run.slices, run.options
    means = {row.name: per_patient_means(row.per_slice, slices.patient) for row in run.rows}
    names = [row.name for row in run.rows if row.kind == "model"]
    pairs = [(first, second) for index, second in enumerate(names) for first in names[index + 1 :]]
    pairs += [(name, COPY) for name in names]
    local, copied = (run.local_ssim(name) for name in (run.figure_model, COPY))
    ids = patient_ids(slices)
    spread = run.spread()
    content = {
        "notice": SYNTHETIC_NOTICE,
        "software": __version__,
        "split": options.split,
        "data": {
            "description": options.data or _data_sets(slices),
            "store": store_folder.resolve().name,
            "patients": len(np.unique(slices.patient)),
            "slices": len(slices),
            "slices_without_gtv": int((~slices.gtv.any(axis=(1, 2))).sum()),
        },
        "metrics": options.metrics,
        "options": {
            "seed": options.seed,
            "samples": options.samples,
            "sampling": dict(options.sampling),
            "precision": options.precision,
            "max_slices_per_patient": options.max_slices_per_patient,
        },
        "models": run.models,
        "table": {
            row.name: {
                "kind": row.kind,
                "metrics": summarize(row.per_slice, slices.patient),
                "skill": skills(means[row.name], means[COPY]),
            }
            for row in run.ordered_rows()
        },
        "paired_tests": [_test_values(asdict(test)) for test in paired_tests(means, pairs)],
        "vq_vae": run.vq_vae,
        "classifier": run.classifiers,
        "guidance_sweep": run.sweep,
        "spread": spread,
        "figure4": {
            "model": run.figure_model,
            "slices": [
                {"patient": ids[index], "position_mm": float(slices.positions_mm[index]), "ssim_local": local[index]}
                for index in spread_by_local_ssim(local, options.figure_slices)
            ],
        },
        "failures": {
            "model": run.figure_model,
            "slices": [
                {
                    "patient": ids[index],
                    "position_mm": float(slices.positions_mm[index]),
                    "ssim_local": local[index],
                    "ssim_local_copy": copied[index],
                }
                for index in worst_against_copy(local, copied, slices.patient, options.figure_slices)
            ],
        },
        "notes": run.notes,
    }
    return json_values(content)


def _data_sets(slices: HeldOut) -> str:
    return ", ".join(sorted({str(record.get("dataset", "a cohort without a name")) for record in slices.records}))


def _test_values(test: dict[str, Any]) -> dict[str, Any]:
    interval = test.pop("interval")
    return {**test, "ci_low": interval["low"], "ci_high": interval["high"]}


def json_values(content: Any) -> Any:
    """The same content with None for numbers that JSON does not know, NaN and infinity."""
    if isinstance(content, Mapping):
        return {key: json_values(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [json_values(value) for value in content]
    if isinstance(content, float):
        return float(content) if math.isfinite(content) else None
    return content
