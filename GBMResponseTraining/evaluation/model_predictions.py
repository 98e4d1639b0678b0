"""Predictions of model bundles for held-out slices, through the same engine that serves the user."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from GBMResponseCore.model.bundle import WEIGHTS, Bundle, open_bundle
from GBMResponseCore.model.classes import ClassScheme, coarsen
from GBMResponseCore.model.networks import decode_continuous, encode_continuous
from GBMResponseCore.model.runtime import batch_size
from GBMResponseCore.model.sampling import Conditions, generate_slices
from GBMResponseCore.model.slice_cache import SliceCache, kept_batch_size, request_key
from GBMResponseCore.model.slice_model import SliceModel
from GBMResponseCore.request import NO_CLASS, PredictionOptions, SamplingOptions, check_guidance
from tqdm import tqdm

from ..items.class_labels import true_class
from .held_out import EvaluationError, HeldOut

CLASS_SOURCES = ("true", "predicted", "none")


@dataclass(frozen=True)
class EvaluatedModel:
    """One row of Table 1.

    :param name: title of the row.
    :param scheme: class scheme of the bundle, such as `2-class`; None: no class.
    :param class_source: `true` (from the survival), `predicted` (by the bundle's classifier) or `none`.
    """

    name: str
    bundle: Path
    scheme: str | None = None
    class_source: str = "none"

    def __post_init__(self) -> None:
        if self.class_source not in CLASS_SOURCES:
            raise EvaluationError(
                f"Unknown class source {self.class_source!r} of {self.name}.", f"Use {', '.join(CLASS_SOURCES)}."
            )
        if (self.scheme is None) != (self.class_source == "none"):
            raise EvaluationError(
                f"{self.name} has the class scheme {self.scheme or 'none'} and the class source {self.class_source}.",
                "Give a scheme and a source (true or predicted), or neither.",
            )


@dataclass(frozen=True)
class OpenedModel:
    """A model whose bundle is verified and can do what is asked; its networks are not loaded yet."""

    model: EvaluatedModel
    bundle: Bundle
    sampling: SamplingOptions
    compose: bool = True

    def load(
        self,
        device: str = "auto",
        precision: str = "float32",
        batch: int | None = None,
        before: "LoadedModel | None" = None,
    ) -> "LoadedModel":
        """Load the networks.

        :param batch: slices at once; None lets free memory decide.
        :param before: model loaded on the same device, whose networks are used again if its bundle is the same.
        """
        if before is not None and before.shares_networks(self):
            return LoadedModel(self.model, before.predictor, self.sampling, batch, self.compose)
        return LoadedModel(self.model, SliceModel(self.bundle, device, precision), self.sampling, batch, self.compose)


@dataclass(frozen=True)
class LoadedModel:
    """A model with its networks on the device, and how it samples."""

    model: EvaluatedModel
    predictor: SliceModel
    sampling: SamplingOptions
    batch: int | None = None
    compose: bool = True

    def shares_networks(self, other: OpenedModel) -> bool:
        """Whether another model is of the same bundle."""
        return self.predictor.bundle.sha256 == other.bundle.sha256

    @property
    def scheme(self) -> ClassScheme | None:
        return None if self.model.scheme is None else self.predictor.bundle.schemes[self.model.scheme]

    @property
    def autoencoder(self) -> str:
        """SHA-256 of the image autoencoder's weights: models that share it have one reconstruction."""
        return self.predictor.bundle.description["files"][f"image_autoencoder/{WEIGHTS}"]["sha256"]


@dataclass(frozen=True)
class ClassAssignment:
    """The class every patient is predicted for.

    :param tokens: int (patients,).
    :param names: name of the class, or `none`.
    :param unknown: ids of patients whose true class is not known; they have no class.
    """

    tokens: np.ndarray
    names: list[str]
    unknown: list[str]


def open_model(model: EvaluatedModel, sampling: Mapping[str, Any] | None = None, compose: bool = True) -> OpenedModel:
    """Open a bundle for evaluation.

    :param sampling: fields of `SamplingOptions` to use instead of the bundle's; a model without class keeps guidance
        scale 1, which needs one network call per step instead of two and gives the same.
    :param compose: show the input away from the GTV, as users see it.
    :raises BundleError: it is missing, damaged or not valid.
    :raises OptionError, GuidanceError: the sampling is not possible with it.
    :raises EvaluationError: it has no such scheme, or no classifier to predict the class.
    """
    bundle = open_bundle(model.bundle)
    if model.scheme is not None and model.scheme not in bundle.schemes:
        known = ", ".join(bundle.schemes) or "none"
        raise EvaluationError(f"The bundle of {model.name} has no class scheme {model.scheme!r}.", f"It has: {known}.")
    if model.class_source == "predicted" and "classifier" not in bundle.description:
        raise EvaluationError(
            f"The bundle of {model.name} has no survival classifier.", "Use the true class, or export a classifier."
        )
    options = replace(bundle.default_sampling, **(sampling or {}))
    if model.scheme is None:
        options = replace(options, guidance_scale=1.0, guidance_form="standard")
    check_guidance(options, bundle.label_dropout, uses_class=bool(bundle.schemes))
    return OpenedModel(model, bundle, options, compose)


def networks_sha256(bundle: Bundle) -> str:
    """Hash of all that decides what a bundle predicts; unlike that of `bundle.json`, a new model card keeps it."""
    description = bundle.description
    content = {key: description[key] for key in ("preprocessing", "latents", "sources", "conditioning")}
    # Networks and scheduler lie in folders, texts beside bundle.json.
    content["files"] = {name: entry["sha256"] for name, entry in description["files"].items() if "/" in name}
    content["neighbour_slices"] = bundle.neighbor_slices
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def head_sha256(bundle: Bundle) -> str | None:
    """Hash of the network by which a bundle finds enhancing tissue; None if it has none."""
    head = bundle.enhancement_head
    return None if head is None else hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()


def assign_classes(loaded: LoadedModel, slices: HeldOut) -> ClassAssignment:
    """Class of every patient, by the model's class source.

    A true class is not known if the survival is not, or if the patient was still alive (`censored`) before the last
    class begins. Such patients are predicted without class.

    :raises GuidanceError: patients have no class, and the model's null class was never trained.
    """
    tokens, names, unknown = [], [], []
    for number, record in enumerate(slices.records):
        token, name = _class_of(loaded, slices, number)
        if loaded.model.class_source == "true" and name == NO_CLASS:
            unknown.append(record["id"])
        tokens.append(token)
        names.append(name)
    return ClassAssignment(np.array(tokens), names, unknown)


def _class_of(loaded: LoadedModel, slices: HeldOut, patient: int) -> tuple[int, str]:
    """Token and name of the class of one patient."""
    options = PredictionOptions(scheme=loaded.model.scheme or NO_CLASS)
    if loaded.model.class_source == "true":
        index = true_class(slices.records[patient], loaded.scheme)
        if index is not None:
            entry = loaded.scheme.classes[index]
            return entry.token, entry.name
        options = PredictionOptions(scheme=NO_CLASS)
    rows = slices.rows_of(patient)
    choice = loaded.predictor.choose_class(slices.pre[rows], slices.gtv[rows], options)
    return choice.class_token, choice.name


@dataclass(frozen=True)
class ClassProbabilities:
    """What a classifier says of the records whose class is known.

    :param scheme: of the model, or the classifier's own if that is coarser.
    :param probabilities: (p, K).
    :param labels: true classes, int (p,).
    :param persons: number of each record's person, int (p,).
    """

    scheme: ClassScheme
    probabilities: np.ndarray
    labels: np.ndarray
    persons: np.ndarray


def class_probabilities(loaded: LoadedModel, slices: HeldOut) -> ClassProbabilities | None:
    """Ask a model's classifier; None if the model has no class or no classifier, or if no class is known."""
    predictor = loaded.predictor
    own, scheme = predictor.bundle.classifier_scheme, loaded.scheme
    if own is None or scheme is None:
        return None
    if len(own.classes) < len(scheme.classes):
        scheme = own
    probabilities, labels, persons = [], [], []
    for patient, record in enumerate(slices.records):
        label, rows = true_class(record, scheme), slices.rows_of(patient)
        if label is None or not len(rows):
            continue
        probabilities.append(coarsen(predictor.classify(slices.pre[rows], slices.gtv[rows]), own, scheme))
        labels.append(label)
        persons.append(slices.persons[patient])
    if not labels:
        return None
    return ClassProbabilities(scheme, np.array(probabilities), np.array(labels), np.array(persons))


def predict_slices(
    loaded: LoadedModel,
    slices: HeldOut,
    tokens: np.ndarray,
    *,
    seed: int,
    sample: int | None = 0,
    guidance_scale: float | None = None,
    finished: Path | None = None,
) -> np.ndarray:
    """One sample of every slice, or its expected image, normalized float32 (n, H, W).

    The only place where evaluation samples. A model that knows the days since radiotherapy is told the record's
    `days_since_rt`, or its bundle's default where that is not known.

    :param tokens: class token of every patient (patients,).
    :param sample: counted from 0; None is the expected image.
    :param guidance_scale: None takes the model's.
    :param finished: folder that keeps finished slices, from which the same request continues.
    """
    sampling = loaded.sampling
    if guidance_scale is not None:
        sampling = replace(sampling, guidance_scale=guidance_scale, guidance_form="standard")
        check_guidance(sampling, loaded.predictor.bundle.label_dropout, loaded.predictor.networks.denoiser.uses_class)
    predicted = np.empty_like(slices.pre)
    picture = "expected image" if sample is None else f"sample {sample + 1}"
    title = f"{loaded.model.name}, guidance {sampling.guidance_scale:g}, {picture}"
    for patient in tqdm(range(len(slices.records)), desc=title, unit="patient"):
        rows = slices.rows_of(patient)
        if len(rows):
            predicted[rows] = _predict_patient(
                loaded, slices, patient, int(tokens[patient]), sampling, seed, sample, finished
            )
    if not loaded.compose:
        return predicted
    shares = loaded.predictor.bundle.composition.shares(slices.gtv.astype(bool))
    return shares * predicted + (1.0 - shares) * slices.pre


def _predict_patient(
    loaded: LoadedModel,
    slices: HeldOut,
    patient: int,
    token: int,
    sampling: SamplingOptions,
    seed: int,
    sample: int | None,
    finished: Path | None,
) -> np.ndarray:
    """A sample, or the expected image, of one patient's slices (n, H, W), taking finished ones from the folder."""
    predictor = loaded.predictor
    rows = slices.rows_of(patient)
    pre, gtv, positions = slices.pre[rows], slices.gtv[rows].astype(np.float32), slices.positions_mm[rows]
    indices = slices.stack_indices[rows]
    days = None
    if predictor.networks.denoiser.uses_days:
        days = predictor.choose_days(slices.records[patient].get("days_since_rt"))
    noise_seed = patient_seed(seed, slices.records[patient]["id"])
    request = {
        "networks": networks_sha256(predictor.bundle),
        "token": token,
        "sampling": asdict(sampling),
        "seed": noise_seed,
        "days_since_rt": days,
        "precision": str(predictor.precision(sampling)),
    }
    batch, cache, conditions, parts = loaded.batch, None, None, []
    if finished:
        key = request_key(request, pre, gtv, positions, indices)
        batch = batch or kept_batch_size(finished, key) or _batch(loaded, pre[0].size)
        cache = SliceCache(finished, key, batch)
    batch = batch or _batch(loaded, pre[0].size)
    for start in range(0, len(rows), batch):
        chunk = list(range(start, min(start + batch, len(rows))))
        pixels = cache.load_together(sample, chunk, pre.shape[1:]) if cache else None
        if pixels is None:
            if conditions is None:
                sources = predictor.encode(pre, gtv, batch, indices)
                windows, detail = predictor.windows(gtv), predictor.detail(pre, sources, None, batch)
                conditions = Conditions(sources, positions, token, days, windows=windows, detail=detail)
            # The first of each antithetic pair: fair scores are for independent samples.
            number = None if sample is None else 2 * sample
            pixels = generate_slices(predictor, conditions[chunk], sampling, seed=noise_seed, sample=number)
            for k, image in zip(chunk, pixels, strict=True) if cache else ():
                cache.store(sample, k, image)
        parts.append(pixels)
    return np.concatenate(parts)


def patient_seed(seed: int, patient: str) -> int:
    """Seed of a patient's noise: equal slice positions of two patients must not share it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{patient}".encode()).digest()[:6], "little")


def has_codes(loaded: LoadedModel) -> bool:
    """Whether the model's image autoencoder quantizes latents."""
    return len(loaded.predictor.networks.image_autoencoder.codebooks) > 0


@torch.inference_mode()
def reconstruct(loaded: LoadedModel, images: np.ndarray, *, quantized: bool = True) -> np.ndarray:
    """Slices (n, H, W) encoded, quantized or not, and decoded by the model's image autoencoder."""
    autoencoder = loaded.predictor.networks.image_autoencoder
    batch = _batch(loaded, images[0].size)
    decoded = []
    for start in range(0, len(images), batch):
        chunk = torch.from_numpy(np.ascontiguousarray(images[start : start + batch], dtype=np.float32))[:, None]
        chunk = chunk.to(loaded.predictor.device)
        if quantized:
            image = autoencoder.decode(autoencoder.encode(chunk))
        else:
            image = decode_continuous(autoencoder.model, encode_continuous(autoencoder.model, chunk))
        decoded.append(image[:, 0].float().cpu().numpy())
    return np.concatenate(decoded)


def _batch(loaded: LoadedModel, pixels: int) -> int:
    widest = int(loaded.predictor.networks.image_autoencoder.model.config.block_out_channels[0])
    return batch_size(loaded.batch, loaded.predictor.device, pixels, widest)
