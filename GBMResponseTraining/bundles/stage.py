"""Stage: export a configuration's networks as a bundle, the form in which they are evaluated and used."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import write_text
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.model.bundle import Bundle, open_bundle
from GBMResponseCore.model.networks import LatentAutoencoder
from GBMResponseCore.request import SamplingOptions, check_guidance

from ..evaluation.model_predictions import head_sha256, networks_sha256
from ..evaluation.results import EXPECTED
from ..evaluation.score_report import sentences
from ..items.slices import images_of
from ..models.unet_config import noise_schedule
from ..settings.model_configurations import ModelConfiguration
from ..stages.autoencoder import train_autoencoder
from ..stages.classifier import classifier_skill, train_classifier
from ..stages.diffusion import check_diffusion, train_diffusion
from ..stages.training_run import TrainingRun
from .card import bundle_card
from .export import export_bundle, write_description
from .feature_ranges import autoencoder_ranges, image_ranges
from .inheritance import inherit, lineage

log = logging.getLogger(__name__)

BUNDLES = "bundles"
CARD, NOTES = "MODEL_CARD.md", "notes.md"
_INTENDED_USE = "Research only; not for clinical decisions. Every image it makes is synthetic."


def check_bundle_name(name: str | None) -> None:
    """:raises OptionError: a bundle cannot be called that; None is the default name."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise OptionError(f"A bundle cannot be called {name!r}.", "Use letters, digits, dots, dashes and underscores.")


def export_configuration(
    run: TrainingRun,
    configuration: ModelConfiguration,
    half: bool = True,
    name: str | None = None,
    guidance_scale: float | None = None,
) -> Path:
    """Train what is not trained yet and write `bundles/<configuration>`; return that folder.

    A file `notes.md` in the run folder becomes a section of the model card. Held-out figures enter the card, and
    `bundle.json`, when the run has been evaluated.

    :param name: of the bundle; None: that of the training's configuration with that of the model configuration.
    :param guidance_scale: that the bundle is used with by default; None: as configured.
    :raises OptionError: the guidance scale is no number.
    :raises GuidanceError: guidance is asked of a model that cannot be guided.
    """
    sampling = _sampling(run, configuration, guidance_scale)
    check_diffusion(run, configuration)
    settings = run.configuration
    autoencoders = {part: train_autoencoder(run, part) for part in ("image", "gtv")}
    classifier = train_classifier(run) if configuration.schemes else None
    model = train_diffusion(run, configuration)
    networks = {
        "image_autoencoder": (autoencoders["image"].model, settings.image_autoencoder.network()),
        "gtv_autoencoder": (autoencoders["gtv"].model, settings.gtv_autoencoder.network()),
        "denoiser": (model.denoiser.unet, model.unet),
    }
    latents = {
        "channels": settings.image_autoencoder.latent_channels,
        "downsampling": settings.image_autoencoder.downsampling,
        "fold": settings.diffusion.fold,
        "requantize": False,
        **{part: _standardization(run, part) for part in ("image", "gtv")},
    }
    if model.scale is not None:
        latents["change_scale"] = model.scale
    if settings.diffusion.keep_detail:
        latents["keep_detail"] = True
    if model.windows is not None:
        latents["windows"] = asdict(model.windows)
    conditioning: dict[str, Any] = {
        "label_dropout": settings.diffusion.label_dropout if model.schemes else 0.0,
        "null_token": model.null_token,
        "schemes": {name: scheme.to_list() for name, scheme in model.schemes.items()},
    }
    days = _training_values(run, "days_since_rt")
    if settings.diffusion.days_since_rt and days:
        conditioning["default_days_since_rt"] = float(np.median(days))
    description: dict[str, Any] = {
        "name": name or f"{settings.name}-{configuration.name}",
        "version": settings.version,
        "license": settings.license,
        "description": settings.description,
        "intended_use": _INTENDED_USE,
        "preprocessing": store_preprocessing(run.patients[0], run.image_size),
        "latents": latents,
        "sources": ["pre", "gtv"],
        "conditioning": conditioning,
        "sampling": sampling,
        "neighbour_slices": settings.diffusion.neighbor_slices,
        "training_data": training_data(run),
        "ranges": _ranges(run, autoencoders["image"]),
        "metrics": {},
    }
    if run.parent is not None:
        inherit(description, run.parent)
    if classifier is not None:
        networks["classifier"] = (classifier.network, settings.classifier.network())
        description["classifier"] = {
            "scheme": classifier.scheme.name,
            "classes": classifier.scheme.to_list(),
            "pooling": settings.classifier.pooling,
            "temperature": classifier.temperature,
        }
        held_out = classifier_skill(run)
        if held_out is not None:
            description["classifier"]["held_out"] = held_out
    folder = run.folder / BUNDLES / configuration.name
    schedule = noise_schedule(settings.diffusion.prediction)
    export_bundle(folder, networks, schedule, description, {}, half)
    describe_bundle(run, configuration, [])
    open_bundle(folder)
    log.info("Bundle: %s", folder)
    return folder


def describe_bundle(
    run: TrainingRun,
    configuration: ModelConfiguration,
    reports: Sequence[tuple[str, Mapping[str, Any]]],
    fitted: Mapping[str, Any] | None = None,
) -> None:
    """Write the model card of an exported bundle, and held-out figures where there are any.

    :param reports: title and content of `report.json` of evaluations with the bundle. `metrics` of `bundle.json` are
        what :func:`evaluation_metrics` takes of the first, and of the others by title below `others`.
    :param fitted: fields of `bundle.json` that were fitted since.
    """
    folder = exported_bundle(run, configuration)
    description = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    del description["schema_version"], description["files"]
    description |= fitted or {}
    if reports:
        first, *others = (evaluation_metrics(_of_bundle(description, report)) for _, report in reports)
        description["metrics"] = first | ({"title": reports[0][0]} if reports[0][0] else {})
        if others:
            titles = [title for title, _ in reports[1:]]
            description["metrics"]["others"] = dict(zip(titles, others, strict=True))
    notes = run.folder / NOTES
    text = notes.read_text(encoding="utf-8") if notes.is_file() else ""
    text = f"{lineage(run, configuration)}\n\n{_left_out(run)}\n\n{text}"
    write_text(bundle_card(description, run.configuration.to_dict(), reports, text), folder / CARD)
    write_description(folder, description)


def evaluation_metrics(report: Mapping[str, Any]) -> dict[str, Any]:
    """What `metrics` of `bundle.json` holds of a `report.json`: the table, and where a baseline is as good."""
    sentences = (report.get("scores") or {}).get("sentences", [])
    return {"split": report.get("split"), "table": report.get("table"), "sentences": sentences}


def _of_bundle(description: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without the rows and sentences of other models, which nobody may take for those of this bundle."""
    whose = {entry["name"]: (entry["bundle"]["name"], entry["bundle"]["version"]) for entry in report["models"]}
    own = [name for name, bundle in whose.items() if bundle == (description["name"], description["version"])]
    foreign = {f"{name}{what}" for name in whose.keys() - set(own) for what in ("", f", {EXPECTED}")}
    table = {name: row for name, row in report["table"].items() if name not in foreign}
    rows = (report.get("scores") or {}).get("rows", {})
    said = [sentence for name in own if name in rows for sentence in sentences(name, rows[name]["skill"])]
    return {**report, "table": table, "scores": {"sentences": said}}


def exported_bundle(run: TrainingRun, configuration: ModelConfiguration) -> Path:
    """Folder of a bundle of the run.

    :raises OptionError: it was not exported.
    """
    folder = run.folder / BUNDLES / configuration.name
    if not (folder / "bundle.json").is_file():
        raise OptionError(f"The run has no bundle {configuration.name}.", "Run `gbmresponse-train export` first.")
    return folder


def check_evaluated(bundle: Bundle, title: str, report: Mapping[str, Any]) -> None:
    """Make sure that a report has figures of these very networks, and of this probability of enhancement.

    :raises OptionError: it has no row of the bundle, or the bundle has other networks, or was calibrated, by now.
    """
    own = [
        model["bundle"]
        for model in report["models"]
        if (model["bundle"]["name"], model["bundle"]["version"]) == (bundle.name, bundle.version)
    ]
    remedy = "Evaluate the bundle as it is now; finished predictions of the same networks are kept."
    if not own:
        raise OptionError(f"The report {title!r} has no row of the bundle {bundle.name} {bundle.version}.", remedy)
    if any(entry["networks_sha256"] != networks_sha256(bundle) for entry in own):
        raise OptionError(f"The report {title!r} is of other networks than those of {bundle.name}.", remedy)
    if report["models"][0]["bundle"].get("enhancement_head_sha256") != head_sha256(bundle):
        raise OptionError(f"Enhancing tissue is found otherwise in the report {title!r} than by {bundle.name}.", remedy)
    fitted = (bundle.enhancement_probability, bundle.volume_interval_factor)
    if any((e.get("enhancement_probability", {}), e.get("volume_interval_factor", 1.0)) != fitted for e in own):
        raise OptionError(f"{bundle.name} was calibrated after the report {title!r}.", remedy)


def training_data(run: TrainingRun) -> str:
    """What the networks were trained on, in words."""
    chosen = [record for record in run.patients if run.split[record["id"]] == "train"]
    sets = sorted({str(record.get("dataset", "a cohort without a name")) for record in chosen})
    text = f"{len(chosen)} patients ({len(run.rows('train'))} slices) of {', '.join(sets)}."
    for extra in run.extra_images:
        sources = sorted({str(record["source"]) for record in extra.patients if "source" in record})
        whose = "; ".join(sources) or ", ".join(str(record["id"]) for record in extra.patients)
        slices = len(images_of(extra, np.arange(len(extra))))
        text += f" The image autoencoder also learned {slices} slices of {whose}."
    stated = run.configuration.training_data
    return text if stated == "Not stated." else f"{text} {stated}"


def _standardization(run: TrainingRun, part: str) -> dict[str, Any]:
    stated = run.read(f"{part}_autoencoder/standardization.json")
    return {"shift": stated["shift"], "scale": stated["scale"]}


def _left_out(run: TrainingRun) -> str:
    """What the configuration asks for and the training did without."""
    lacking = [
        part
        for part in ("image_autoencoder", "gtv_autoencoder")
        if getattr(run.configuration, part).perceptual_weight > 0
        and run.read(f"{part}/losses.json")["perceptual"] == "none"
    ]
    if not lacking:
        return ""
    return (
        f"Trained without the perceptual loss of the configuration, whose backbone was missing: {', '.join(lacking)}."
    )


def store_preprocessing(record: Mapping[str, Any], size: int) -> dict[str, Any]:
    """How the slices of a patient of a store, of this size, were made: how a case must be prepared."""
    stated = record.get("preprocessing", {})
    return {
        "in_plane": stated.get("in_plane", InPlaneRule(size=size).to_dict()),
        "intensity": stated.get("intensity", NormalizationSettings().to_dict()),
    }


def _sampling(run: TrainingRun, configuration: ModelConfiguration, guidance_scale: float | None) -> dict[str, Any]:
    """How the bundle is used by default."""
    sampling = dict(run.configuration.sampling)
    dropout = run.configuration.diffusion.label_dropout if configuration.schemes else 0.0
    if guidance_scale is not None:
        sampling["guidance_scale"] = guidance_scale
        check_guidance(SamplingOptions(**sampling), dropout, uses_class=bool(configuration.schemes))
    return sampling if dropout > 0 else sampling | {"guidance_scale": 1.0}


def _ranges(run: TrainingRun, autoencoder: LatentAutoencoder) -> dict[str, Any]:
    """Smallest and largest value among the training patients, by which an input can be judged unusual."""
    ranges = {}
    for name in ("spacing_mm", "gtv_volume_ml", "interval_days", "days_since_rt"):
        values = _training_values(run, name)
        if values:
            ranges[name] = [min(values), max(values)]
    known = (run.store, run.split, run.patients)
    return ranges | image_ranges(*known) | autoencoder_ranges(*known, autoencoder)


def _training_values(run: TrainingRun, name: str) -> list[float]:
    records = [record for record in run.patients if run.split[record["id"]] == "train"]
    return [float(record[name]) for record in records if record.get(name) is not None]
