"""Held-out figures of a bundle, each beside the copy-the-pre-image baseline on the same slices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.bundle import Bundle
from GBMResponseCore.case import make_case
from GBMResponseCore.files import read_image
from GBMResponseCore.geometry import StackGrid
from GBMResponseCore.intensity import fit_scale
from GBMResponseCore.prediction import PredictionOptions, Predictor
from GBMResponseCore.registration import register_rigidly, resample_onto
from tqdm import tqdm

from .class_effect import class_effect, enhancing_pixels
from .metrics import slice_metrics, summarise
from .slice_store import SliceStore

BATCH = 8
EVERY_SLICE = 2


@dataclass(frozen=True)
class SliceSet:
    """Slices of held-out patients, normalised as the model sees them; `post` is registered to `pre`."""

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    patient: np.ndarray
    positions_mm: np.ndarray
    survival_days: np.ndarray | None = None


def simulated_slices(store: SliceStore, every: int = EVERY_SLICE) -> SliceSet:
    """Every second slice (or as `every` says) of a store of simulated patients: neighbours tell little more."""
    positions = np.concatenate([record["slice_positions_mm"] for record in store.patients])
    return SliceSet(
        np.asarray(store.pre[::every], dtype=np.float32),
        np.asarray(store.post[::every], dtype=np.float32),
        np.asarray(store.gtv[::every]),
        np.asarray(store.patient[::every]),
        positions[::every],
        store.survival_days[::every],
    )


def real_slices(folder: Path, cases: Sequence[str], bundle: Bundle) -> SliceSet:
    """GTV slices of real pairs `<case>/{pre,post}_t1gd.nii.gz`, `<case>/pre_tumour.nii.gz`."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("pre", "post", "gtv", "patient", "positions_mm")}
    for number, name in enumerate(cases):
        image, follow_up, mask = (
            read_image(folder / name / f"{file}.nii.gz") for file in ("pre_t1gd", "post_t1gd", "pre_tumour")
        )
        case = make_case(image, mask)
        grid = StackGrid.for_image(case.image, bundle.in_plane_rule)
        moved = resample_onto(follow_up, case.image, register_rigidly(case.image, follow_up).transform)
        gtv = grid.to_stack(case.gtv, label=True)
        rows = np.flatnonzero(gtv.any(axis=(1, 2)))
        for key, volume, reference in (("pre", case.image, case.image), ("post", moved, follow_up)):
            scale = fit_scale(sitk.GetArrayViewFromImage(reference), bundle.normalisation)
            parts[key].append(scale.normalise(grid.to_stack(volume)[rows]))
        parts["gtv"].append(gtv[rows])
        parts["patient"].append(np.full(len(rows), number))
        parts["positions_mm"].append(grid.slice_positions_mm[rows])
    return SliceSet(**{name: np.concatenate(arrays) for name, arrays in parts.items()})


def reconstruct(predictor: Predictor, slices: np.ndarray) -> np.ndarray:
    """Slices (n, H, W) encoded, quantised and decoded by the image VQ-VAE."""
    import torch

    codec = predictor.networks.image_codec
    decoded = []
    with torch.inference_mode():
        for start in range(0, len(slices), BATCH):
            chunk = torch.from_numpy(np.ascontiguousarray(slices[start : start + BATCH], dtype=np.float32))[:, None]
            decoded.append(codec.decode(codec.encode(chunk.to(predictor.device)))[:, 0].cpu().numpy())
    return np.concatenate(decoded)


def predict_slices(
    predictor: Predictor, slices: SliceSet, tokens: np.ndarray, guidance_scale: float, seed: int = 1
) -> np.ndarray:
    """One sample of every slice (n, H, W) under the given class tokens (n,)."""
    sampling = replace(predictor.bundle.default_sampling, guidance_scale=guidance_scale)
    predicted = np.empty_like(slices.pre)
    groups = [(p, t) for p in np.unique(slices.patient) for t in np.unique(tokens[slices.patient == p])]
    for patient, token in tqdm(groups, desc=f"Predicting, guidance {guidance_scale:g}", unit="patient"):
        rows = np.flatnonzero((slices.patient == patient) & (tokens == token))
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            sources = predictor.encode(slices.pre[chunk], slices.gtv[chunk].astype(np.float32), BATCH)
            # The patient is part of the seed: otherwise equal positions of two patients would share their noise.
            predicted[chunk] = predictor.generate(
                sources,
                slices.positions_mm[chunk],
                int(token),
                sampling,
                seed=seed * 100_003 + int(patient),
                sample=0,
            )
    return predicted


def table(predicted: dict[str, np.ndarray], slices: SliceSet) -> dict[str, Any]:
    """Metrics of each named prediction against the true follow-up."""
    result = {}
    for name, images in predicted.items():
        rows = [slice_metrics(*triple) for triple in zip(images, slices.post, slices.gtv, strict=True)]
        result[name] = summarise(rows, slices.patient)
    return result


def evaluate(bundle: Bundle, test: SliceStore, real_folder: Path | None, real_cases: Sequence[str]) -> dict[str, Any]:
    """All held-out figures of the model card.

    :param test: simulated patients of an anatomy that training did not see.
    :param real_folder: real pairs; None leaves their tables out.
    :param real_cases: cases that training did not see.
    """
    predictor = Predictor(bundle, precision="float32")
    scheme = bundle.schemes["2-class"]
    default_scale = bundle.default_sampling.guidance_scale
    slices = simulated_slices(test)
    true_tokens = np.array([scheme.of_survival(days).token for days in slices.survival_days])
    by_class = {
        entry.name: predict_slices(predictor, slices, np.full(len(true_tokens), entry.token), default_scale)
        for entry in scheme.classes
    }
    names = [entry.name for entry in scheme.classes]
    is_long = (true_tokens == scheme.classes[-1].token)[:, None, None]
    guided = np.where(is_long, by_class[names[-1]], by_class[names[0]])
    plain = predict_slices(predictor, slices, true_tokens, 1.0)
    no_class = predict_slices(predictor, slices, np.full(len(true_tokens), bundle.null_token), 1.0)
    truth_reconstructed = reconstruct(predictor, slices.post)
    report: dict[str, Any] = {
        "guidance_scale": default_scale,
        "simulated": {
            "patients": len(np.unique(slices.patient)),
            "slices": len(slices.pre),
            "table": table(
                {
                    "copy of the pre image": slices.pre,
                    "no class": no_class,
                    "2-class, guidance 1": plain,
                    f"2-class, guidance {default_scale:g}": guided,
                    "VQ-VAE of the truth (upper bound)": truth_reconstructed,
                },
                slices,
            ),
            "class_effect": class_effect(by_class[names[0]], by_class[names[-1]], slices),
            "true_class_effect": _true_class_effect(slices, true_tokens, scheme.classes[0].token),
            "classifier": _classifier_report(predictor, slices, true_tokens, scheme.classes[-1].token),
        },
    }
    if real_folder is not None and real_cases:
        report["real"] = _evaluate_real(predictor, real_slices(real_folder, real_cases, bundle), real_cases)
    return report


def _true_class_effect(slices: SliceSet, tokens: np.ndarray, short_token: int) -> dict[str, float]:
    counts = enhancing_pixels(slices.post, slices)
    short = tokens == short_token
    return {
        "enhancing_pixels_short": float(counts[short].mean()) if short.any() else 0.0,
        "enhancing_pixels_long": float(counts[~short].mean()) if (~short).any() else 0.0,
        "enhancing_pixels_pre": float(enhancing_pixels(slices.pre, slices).mean()),
    }


def _classifier_report(
    predictor: Predictor, slices: SliceSet, tokens: np.ndarray, long_token: int
) -> dict[str, float] | None:
    if predictor.networks.classifier is None:
        return None
    scores, truths = [], []
    for patient in np.unique(slices.patient):
        rows = slices.patient == patient
        choice = predictor.choose_class(slices.pre[rows], slices.gtv[rows], PredictionOptions(scheme="2-class"))
        scores.append(list(choice.probabilities.values())[-1])
        truths.append(tokens[rows][0] == long_token)
    scores, truths = np.array(scores), np.array(truths)
    if truths.all() or not truths.any():
        return None
    pairs = scores[truths][:, None] - scores[~truths][None]
    return {
        "auc": float((pairs > 0).mean() + 0.5 * (pairs == 0).mean()),
        "accuracy": float(np.mean((scores > 0.5) == truths)),
    }


def _evaluate_real(predictor: Predictor, slices: SliceSet, cases: Sequence[str]) -> dict[str, Any]:
    scheme = predictor.bundle.schemes["2-class"]
    scale = predictor.bundle.default_sampling.guidance_scale
    images = {
        entry.name: predict_slices(predictor, slices, np.full(len(slices.pre), entry.token), scale)
        for entry in scheme.classes
    }
    tables = {"copy of the pre image": slices.pre}
    tables |= {f"2-class, {name}, guidance {scale:g}": predicted for name, predicted in images.items()}
    tables["VQ-VAE of the truth (upper bound)"] = reconstruct(predictor, slices.post)
    empty = np.zeros(slices.pre.shape[1:])
    reconstruction = [
        slice_metrics(again, original, empty)
        for again, original in zip(reconstruct(predictor, slices.pre), slices.pre, strict=True)
    ]
    names = list(images)
    return {
        "cases": list(cases),
        "slices": len(slices.pre),
        "table": table(tables, slices),
        "class_effect": class_effect(images[names[0]], images[names[-1]], slices),
        "vq_vae_pre": {name: float(np.mean([row[name] for row in reconstruction])) for name in ("psnr", "ssim", "mse")},
    }
