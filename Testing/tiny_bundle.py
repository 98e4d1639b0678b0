"""A bundle of randomly initialized small networks: everything is real but the training."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.model.classes import ClassScheme
from GBMResponseCore.model.networks import build_autoencoder, build_classifier, build_denoiser

from GBMResponseTraining.bundles.export import export_bundle
from GBMResponseTraining.models.unet_config import noise_schedule, unet_config
from GBMResponseTraining.settings.model_configurations import CLASS_NAMES
from GBMResponseTraining.settings.reader import load_configuration

SETTINGS = load_configuration("smoke")
TOKEN_COUNT = 7
THRESHOLDS = {"2-class": (400.0,), "4-class": (250.0, 400.0, 540.0)}
SKILLED = {"auc": 0.8, "ci_low": 0.7, "ci_high": 0.9, "patients": 10_000}
CHANCE = {"auc": 0.51, "ci_low": 0.45, "ci_high": 0.57, "patients": 150}


def write_tiny_bundle(
    folder: Path,
    label_dropout: float = 0.15,
    size: int = 64,
    change_scale: list[float] | None = None,
    neighbor_slices: int = 0,
    days_since_rt: float | None = None,
    architecture: str | None = None,
    prediction: str = SETTINGS.diffusion.prediction,
    held_out: dict[str, Any] | None = SKILLED,
    **changes: Any,
) -> Path:
    """Write the bundle and return its folder; `changes` replace fields of bundle.json.

    :param architecture: of both autoencoders, with 8 latent channels; None: that of the preset, with 4.
    :param prediction: what the denoiser predicts, see `noise_schedule`.
    :param held_out: what the classifier has shown on held-out patients.
    :param days_since_rt: default of a model that knows the days since radiotherapy; None: one that does not.
    """
    torch.manual_seed(0)
    parts = [SETTINGS.image_autoencoder, SETTINGS.gtv_autoencoder]
    if architecture is not None:
        blocks = {"channels": (8, 8), "latent_channels": 8, "quantize_from": 0.0}
        parts = [dataclasses.replace(part, architecture=architecture, **blocks) for part in parts]
    image, gtv, classifier = (part.network() for part in (*parts, SETTINGS.classifier))
    channels = parts[0].latent_channels
    diffusion = dataclasses.replace(
        SETTINGS.diffusion, neighbor_slices=neighbor_slices, days_since_rt=days_since_rt is not None
    )
    unet = unet_config(diffusion, TOKEN_COUNT, latent_channels=channels, latent_size=size // 4)
    networks = {
        "image_autoencoder": (build_autoencoder(image), image),
        "gtv_autoencoder": (build_autoencoder(gtv), gtv),
        "denoiser": (build_denoiser(unet, SETTINGS.diffusion.fold).unet, unet),
        "classifier": (build_classifier(classifier), classifier),
    }
    schemes, token = {}, 0
    for name, names in CLASS_NAMES.items():
        schemes[name] = ClassScheme.from_thresholds(name, names, THRESHOLDS[name], token).to_list()
        token += len(names)
    standard = {"shift": [0.0] * channels, "scale": [1.0] * channels}
    description = {
        "name": "tiny",
        "version": "0",
        "license": "Apache-2.0",
        "description": "Random weights.",
        "intended_use": "Tests.",
        "preprocessing": {
            "in_plane": dataclasses.replace(InPlaneRule(), size=size).to_dict(),
            "intensity": NormalizationSettings().to_dict(),
        },
        "latents": {
            "channels": channels, "downsampling": 4, "fold": SETTINGS.diffusion.fold, "requantize": False,
            "image": standard, "gtv": standard, **({"change_scale": change_scale} if change_scale else {}),
        },
        "sources": ["pre", "gtv"],
        "conditioning": {
            "label_dropout": label_dropout, "null_token": TOKEN_COUNT - 1, "schemes": schemes,
            **({} if days_since_rt is None else {"default_days_since_rt": days_since_rt}),
        },
        "classifier": {
            "scheme": "4-class", "pooling": SETTINGS.classifier.pooling, "temperature": 1.0,
            **({"held_out": held_out} if held_out else {}),
        },
        "sampling": {"sampler": "unipc", "steps": 2, "guidance_scale": 2.0 if label_dropout else 1.0, "eta": 0.0},
        "neighbour_slices": neighbor_slices,
        "training_data": "None.",
        "ranges": {},
        "metrics": {},
    }  # fmt: skip
    export_bundle(
        folder,
        networks,
        noise_schedule(prediction),
        {**description, **changes},
        {"MODEL_CARD.md": "tiny"},
    )
    return folder
