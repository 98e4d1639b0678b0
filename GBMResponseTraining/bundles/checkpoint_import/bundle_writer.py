"""Write an imported run as a model bundle, with what is known and not known about it."""

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.errors import OptionError, OutputFolderError
from GBMResponseCore.files import ensure_output_folder, sha256_of_file
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.model.bundle import open_bundle

from ..export import export_bundle
from .classes import ClassStatement
from .project_config import ProjectConfig, read_project_config
from .state_dict import read_state_dict, unet_weights
from .unet import convert_unet
from .vqvae import autoencoder_weights, convert_vqvae

log = logging.getLogger(__name__)

_CLASS_TABLE = "cond_stage_model.embedding.weight"


@dataclass(frozen=True)
class ImportRequest:
    """What to import, and where to.

    :param ldm: Lightning checkpoint of the latent diffusion model.
    :param config: `*-project.yaml` of the same run.
    :param image_autoencoder, gtv_autoencoder: VQ-VAE checkpoints; None takes the copies inside `ldm`.
    :param name: of the bundle; default: the name of `out`.
    :param half: store fp16 weights, half the size; the outputs then differ by the rounding.
    """

    ldm: Path
    config: Path
    out: Path
    image_autoencoder: Path | None = None
    gtv_autoencoder: Path | None = None
    name: str | None = None
    classes: ClassStatement = field(default_factory=ClassStatement)
    half: bool = False


def import_checkpoint(request: ImportRequest) -> Path:
    """Convert a run to a bundle, open it as a check, and return its folder.

    :raises OptionError: the run cannot be imported, or an option does not fit it.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    :raises OutputFolderError: `out` exists already or cannot be written.
    """
    name = request.name or request.out.name
    if not re.fullmatch("[A-Za-z0-9._-]+", name):
        raise OptionError(f"The bundle name {name!r} is not possible.", "Use letters, digits, dot, dash, underscore.")
    if request.out.exists():
        raise OutputFolderError(f"The folder {request.out.name} exists already.", "Choose a new folder.")
    project = read_project_config(request.config)
    conditioning = _conditioning(project, request.classes)
    ensure_output_folder(request.out.parent)

    state = read_state_dict(request.ldm)
    weights, averaged = unet_weights(state)
    if not averaged:
        log.warning("The checkpoint has no moving average: the raw weights of the UNet are imported.")
    networks = {"denoiser": convert_unet(weights, state.get(_CLASS_TABLE), project)}
    for part, modality, separate in (
        ("image_autoencoder", "preMRI", request.image_autoencoder),
        ("gtv_autoencoder", "gtv", request.gtv_autoencoder),
    ):
        what = f"{modality} VQ-VAE"
        networks[part] = convert_vqvae(autoencoder_weights(state, modality, separate), what)
        if networks[part][1]["latent_channels"] != project.channels:
            raise OptionError(f"The {what} and the configuration have different latent channels.", "Check the files.")

    autoencoders = [networks[part][1] for part in ("image_autoencoder", "gtv_autoencoder")]
    factors = {2 ** (len(config["block_out_channels"]) - 1) for config in autoencoders}
    if len(factors) > 1:
        raise OptionError("The two VQ-VAEs have latents of different size.", "Check the files.")
    sentences = _sentences(request, project, averaged)
    description = _description(name, project, conditioning, factors.pop(), sentences)
    export_bundle(
        request.out,
        networks,
        _scheduler(project),
        description,
        {"MODEL_CARD.md": _model_card(description)},
        request.half,
    )
    open_bundle(request.out)
    return request.out


def _conditioning(project: ProjectConfig, classes: ClassStatement) -> dict[str, Any]:
    if project.class_count:
        scheme = classes.scheme(project.class_count)
        schemes = {scheme.name: scheme.to_list()}
    elif classes != ClassStatement():
        raise OptionError("The run has no survival classes, so it needs no statement about them.", "Leave it out.")
    else:
        schemes = {}
    return {"label_dropout": 0.0, "null_token": project.class_count, "schemes": schemes}


def _scheduler(project: ProjectConfig) -> dict[str, Any]:
    """Return the training schedule: "linear" in the authors' code is linear in the square root of beta."""
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": project.train_steps,
        "beta_start": project.beta_start,
        "beta_end": project.beta_end,
        "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon",
        "clip_sample": False,
    }


def _sentences(request: ImportRequest, project: ProjectConfig, averaged: bool) -> list[str]:
    return [
        f"Imported from a checkpoint of the authors' released code (SHA-256 {sha256_of_file(request.ldm)}).",
        f"UNet weights: {'moving average' if averaged else 'raw, as the checkpoint has no moving average'}.",
        request.classes.sentence if project.class_count else "The model has no survival classes.",
        "No label dropout in training: only guidance scale 1 is possible.",
        "The pixel size of the training slices is not known; the extension's rule for in-plane spacing is used.",
    ]


def _description(
    name: str, project: ProjectConfig, conditioning: dict[str, Any], downsampling: int, sentences: list[str]
) -> dict[str, Any]:
    unscaled = {"shift": [0.0] * project.channels, "scale": [1.0] * project.channels}
    return {
        "name": name,
        "version": "imported",
        "license": "Not known: decided by whoever trained the checkpoint.",
        "description": " ".join(sentences),
        "intended_use": "Research only; not for clinical decisions.",
        "preprocessing": {
            "in_plane": InPlaneRule(size=project.latent_size * downsampling).to_dict(),
            "intensity": NormalizationSettings(kind="max", clip_high=1.0).to_dict(),
        },
        "latents": {
            "channels": project.channels,
            "downsampling": downsampling,
            "fold": 1,
            "requantize": False,
            "image": unscaled,
            "gtv": unscaled,
        },
        "sources": ["pre", "gtv"],
        "conditioning": conditioning,
        "sampling": {
            "sampler": "ddim",
            "steps": project.sampling_steps,
            "guidance_scale": 1.0,
            "eta": 1.0,
            "noise_length": 0.0,
        },
        "neighbour_slices": 0,
        "training_data": "Not recorded in the checkpoint.",
        "ranges": {},
        "metrics": {},
    }


def _model_card(description: dict[str, Any]) -> str:
    parts = [
        f"# {description['name']}",
        description["description"],
        f"{description['intended_use']} {SYNTHETIC_NOTICE}",
        f"Training data: {description['training_data']} Held-out figures: none. License: {description['license']}",
        "Method: Leclercq et al., doi 10.1007/978-3-032-05472-2_18.",
    ]
    return "\n\n".join(parts) + "\n"
