"""The result of an evaluation as JSON, and the notes that its figures need."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from GBMResponseCore import SYNTHETIC_NOTICE, __version__

from ..models.lpips import MISSING_BACKBONE
from .enhancement import spacing_mm
from .figures import spread_by_local_ssim, worst_against_copy
from .held_out import HeldOut, patient_ids
from .metrics.image import per_patient_means, summarize
from .options import EvaluationOptions
from .results import COPY, EvaluationResult, ModelResult
from .score_report import scores_report
from .spread import FEWEST_SAMPLES
from .statistics.paired_tests import paired_tests
from .statistics.skill import skills_against_best


def report_of(result: EvaluationResult) -> dict[str, Any]:
    """The content of `report.json`."""
    slices, options, models, rows = result.slices, result.options, result.models, result.rows
    means = {row.name: per_patient_means(row.per_slice, slices.person) for row in rows}
    baselines = {row.name: means[row.name] for row in rows if row.kind == "baseline"}
    names = [model.name for model in models]
    pairs = [(first, second) for index, second in enumerate(names) for first in names[index + 1 :]]
    pairs += [(name, COPY) for name in names]
    content = {
        "notice": SYNTHETIC_NOTICE,
        "software": __version__,
        "split": options.split,
        "data": {
            "description": options.data or _data_sets(slices),
            "store": result.store.name,
            "store_sha256": result.store.sha256,
            "patients": len(np.unique(slices.person)),
            "slices": len(slices),
            "slices_of_these_patients": _all_slices(slices),
            "slice_spacing_mm": _slice_spacing_mm(slices),
            "slices_without_gtv": int((~slices.gtv.any(axis=(1, 2))).sum()),
        },
        "metrics": options.metrics,
        "options": {
            "seed": options.seed,
            "samples": options.samples,
            "sampling": dict(options.sampling),
            "precision": options.precision,
            "compose": options.compose,
            "max_slices_per_patient": options.max_slices_per_patient,
        },
        "models": [model.description for model in models],
        "table": {
            row.name: {
                "kind": row.kind,
                "metrics": summarize(row.per_slice, slices.person),
                "skill": skills_against_best(means[row.name], baselines),
            }
            for row in rows
        },
        "paired_tests": [_test_values(asdict(test)) for test in paired_tests(means, pairs)],
        "vq_vae": {model.name: model.reconstruction.summary for model in models if model.reconstruction},
        "classifier": {model.name: model.classifier for model in models if model.classifier},
        "guidance_sweep": next(({"model": model.name, **model.sweep} for model in models if model.sweep), None),
        "spread": None if result.spread is None else {"samples": options.samples, **result.spread},
        "scores": scores_report(result.scored, slices, result.fitted, options.samples) if result.scored else None,
        **_chosen_slices(result),
        "notes": list(result.notes),
    }
    return json_values(content)


def evaluation_notes(
    models: Sequence[ModelResult],
    slices: HeldOut,
    options: EvaluationOptions,
    *,
    has_lpips: bool,
    spread: Mapping[str, Any] | None,
) -> list[str]:
    """What a reader of the figures must know."""
    notes = []
    head = models[0].description["bundle"]["enhancement_head_sha256"]
    others = [model.name for model in models if model.description["bundle"]["enhancement_head_sha256"] != head]
    if others:
        notes.append(
            f"Enhancing tissue of all rows is found as {models[0].name} does, also of models that a user sees measured "
            f"otherwise: {', '.join(others)}."
        )
    if options.split != "test":
        notes.append(f"These are {options.split} patients: the figures are no test.")
    if not has_lpips:
        notes.append(MISSING_BACKBONE)
    for model in models:
        if model.assigned.unknown:
            notes.append(
                f"{model.name}: the survival class of {len(model.assigned.unknown)} patients is not known; they were "
                "predicted without class."
            )
    descriptions = [model.description for model in models]
    told = [entry["name"] for entry in descriptions if entry["scheme"] and entry["class_source"] == "true"]
    if told:
        notes.append(
            f"Told the class of the patients' true survival, which nobody knows when it would be predicted: "
            f"{', '.join(told)}."
        )
    unchecked = [entry["name"] for entry in descriptions if not entry["training_split_checked"]]
    if unchecked:
        notes.append(
            f"The split that these models were trained with is not known, so nothing shows that the patients were "
            f"held out: {', '.join(unchecked)}."
        )
    same_ids = max(entry["ids_of_other_people_trained_with"] for entry in descriptions)
    if same_ids:
        notes.append(
            f"{same_ids} ids of this store also occur in the store that the models were trained with, for patients of "
            "another data set and with other images: they were taken for different people."
        )
    seen = {entry["name"]: entry["patients_seen_by_autoencoder"] for entry in descriptions}
    if any(seen.values()):
        notes.append(
            f"Slices of {max(seen.values())} of these patients were among the extra images that the image autoencoder "
            "learned; no other network saw them. For its reconstruction they are no test: "
            f"{', '.join(name for name, count in seen.items() if count)}."
        )
    known = 0 if spread is None else spread["patients"]
    if options.samples >= FEWEST_SAMPLES and known < len(np.unique(slices.person)):
        notes.append("Volumes of patients whose voxel size the store does not know are left out.")
    if options.samples > 1 and len(slices) < (every := _all_slices(slices)):
        notes.append(
            f"Volumes and categories are those of the evaluated slices, {len(slices) / every:.0%} of those that the "
            "patients have, not of whole lesions."
        )
    if options.guidance_sweep and any(spacing_mm(record) is None for record in slices.records):
        notes.append("Enhancing pixels of patients whose pixel size the store does not know are those of 1 mm pixels.")
    visits = len(np.unique(slices.patient)) - len(np.unique(slices.person))
    if visits:
        notes.append(f"Some patients have several visits, {visits} more than patients: each patient counts once.")
    return notes


def _chosen_slices(result: EvaluationResult) -> dict[str, Any]:
    """The slices of Figure 4 and of the failures."""
    slices, count = result.slices, result.options.figure_slices
    local, copied = (result.row(name).values("ssim_local") for name in (result.figure_model, COPY))
    ids = patient_ids(slices)

    def entry(index: int) -> dict[str, Any]:
        position = float(slices.positions_mm[index])
        return {"patient": ids[index], "position_mm": position, "ssim_local": local[index]}

    shown = spread_by_local_ssim(local, count)
    failed = worst_against_copy(local, copied, slices.person, count)
    return {
        "figure4": {"model": result.figure_model, "slices": [entry(index) for index in shown]},
        "failures": {
            "model": result.figure_model,
            "slices": [{**entry(index), "ssim_local_copy": copied[index]} for index in failed],
        },
    }


def _all_slices(slices: HeldOut) -> int:
    """How many slices the store has of the evaluated patients."""
    return sum(len(record["slice_positions_mm"]) for record in slices.records)


def _slice_spacing_mm(slices: HeldOut) -> list[float] | None:
    """Smallest, median and largest distance of neighboring slices in the store; None where it is not known."""
    known = [spacing[0] for record in slices.records if (spacing := spacing_mm(record)) is not None]
    return [float(figure(known)) for figure in (np.min, np.median, np.max)] if known else None


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
