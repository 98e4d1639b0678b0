"""A bundle of randomly initialised small networks: everything is real but the training."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from GBMResponseCore.geometry import InPlaneRule
from GBMResponseCore.intensity import NormalisationSettings
from GBMResponseCore.networks import build_autoencoder, build_classifier, build_denoiser
from GBMResponseCore.survival import ClassScheme

from GBMResponseTraining.export import export_bundle
from GBMResponseTraining.recipes import CLASS_NAMES, SMOKE, TOKEN_COUNT

THRESHOLDS = {"2-class": (400.0,), "4-class": (250.0, 400.0, 540.0)}


def write_tiny_bundle(
    folder: Path, label_dropout: float = 0.15, size: int = 64, change_scale: list[float] | None = None, **changes: Any
) -> Path:
    """Write the bundle and return its folder; `changes` replace fields of bundle.json."""
    torch.manual_seed(0)
    recipe = SMOKE
    image, gtv = build_autoencoder(recipe.image_autoencoder), build_autoencoder(recipe.gtv_autoencoder)
    denoiser = build_denoiser(recipe.unet, recipe.fold)
    networks = {
        "image_autoencoder": (image, recipe.image_autoencoder),
        "gtv_autoencoder": (gtv, recipe.gtv_autoencoder),
        "denoiser": (denoiser.unet, recipe.unet),
        "classifier": (build_classifier(recipe.classifier), recipe.classifier),
    }
    schemes, token = {}, 0
    for name, names in CLASS_NAMES.items():
        schemes[name] = ClassScheme.from_thresholds(name, names, THRESHOLDS[name], token).to_list()
        token += len(names)
    standard = {"shift": [0.0] * 4, "scale": [1.0] * 4}
    description = {
        "name": "tiny",
        "version": "0",
        "license": "Apache-2.0",
        "description": "Random weights.",
        "intended_use": "Tests.",
        "preprocessing": {
            "in_plane": dataclasses.replace(InPlaneRule(), size=size).to_dict(),
            "intensity": NormalisationSettings().to_dict(),
        },
        "latents": {
            "channels": 4, "downsampling": 4, "fold": recipe.fold, "requantize": False,
            "image": standard, "gtv": standard, **({"change_scale": change_scale} if change_scale else {}),
        },
        "sources": ["pre", "gtv"],
        "conditioning": {"label_dropout": label_dropout, "null_token": TOKEN_COUNT - 1, "schemes": schemes},
        "classifier": {"scheme": "4-class", "pooling": recipe.classifier_pooling, "temperature": 1.0},
        "sampling": {"sampler": "unipc", "steps": 2, "guidance_scale": 2.0 if label_dropout else 1.0, "eta": 0.0},
        "neighbour_slices": 0,
        "training_data": "None.",
        "ranges": {},
        "metrics": {},
    }  # fmt: skip
    export_bundle(folder, networks, recipe.noise_schedule, {**description, **changes}, {"MODEL_CARD.md": "tiny"})
    return folder
