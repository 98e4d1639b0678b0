"""Stage: train an autoencoder and find the scale of its latents."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.errors import OptionError
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.networks import (
    LatentAutoencoder,
    build_autoencoder,
    codebooks,
    decode_continuous,
    encode_continuous,
)
from GBMResponseCore.model.quantizer import quantize

from ..engine.checkpoints import has_begun, is_finished, last_weights, selected_weights, start_from
from ..engine.fit import fit
from ..items.fingerprints import content_sha256, latents_sha256, store_sha256
from ..items.slices import gtv_items, gtv_validation, image_items, image_validation
from ..models.autoencoder import AutoencoderModule, latent_statistics
from ..models.lpips import MISSING_BACKBONE, load_lpips_if_present
from ..settings.networks import Autoencoder
from ..settings.reader import load_configuration
from .image_grid import ImageGrid
from .training_run import PHASES, SNAPSHOT, StagePhase, TrainingRun

log = logging.getLogger(__name__)

PARTS = ("image", "gtv")
_STATISTICS_SLICES = 256
_GRID_SLICES = 4


def train_autoencoder(run: TrainingRun, part: str) -> LatentAutoencoder:
    """Train the autoencoder `image` or `gtv`, or take the finished one; return it with standardized latents."""
    name = f"{part}_autoencoder"
    for phase in run.phases(name, run.folder / name):
        module = _train(run, part, phase)
    return _autoencoder(run, part, module)


def load_autoencoder(folder: Path) -> LatentAutoencoder:
    """The image autoencoder of a bundle, or of a training that need not be finished; its latents as they are.

    :param folder: a bundle, or `RUN/image_autoencoder` or a phase below it.
    :raises OptionError: it is neither.
    """
    if (folder / "bundle.json").is_file():
        return open_bundle(folder).load_networks().image_autoencoder
    run = folder.parents[2] if folder.parent.name == PHASES else folder.parent
    if not ((run / SNAPSHOT).is_file() and has_begun(folder)):
        raise OptionError(f"{folder} is neither a bundle nor an autoencoder in training.")
    settings = load_configuration(run / SNAPSHOT).image_autoencoder
    weights = selected_weights(folder) if is_finished(folder) else last_weights(folder)
    model, prefix = build_autoencoder(settings.network()), "model."
    # Without the discriminator, which an earlier phase may lack.
    model.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)})
    channels = settings.latent_channels
    return LatentAutoencoder(model, [0.0] * channels, [1.0] * channels).eval()


def _train(run: TrainingRun, part: str, phase: StagePhase) -> AutoencoderModule:
    settings: Autoencoder = getattr(phase.configuration, f"{part}_autoencoder")
    store, train, validation = run.store, run.rows("train"), run.rows("validation")
    seed = run.configuration.seed
    if part == "image":
        extra, share = run.extra_images, phase.configuration.extra_images_share
        looks = settings.gain, settings.blur, settings.noise
        items = image_items(store, train, settings.crop, seed, extra, share, *looks)
        held_out = image_validation(store, validation)
        slices_per_epoch = 2 * len(train)
    else:
        items, held_out = gtv_items(store, train, settings.crop, seed), gtv_validation(store, validation)
        slices_per_epoch = len(train)
    steps = settings.training.optimizer_steps(slices_per_epoch, run.machine.processes)
    perceptual = _perceptual(settings)
    torch.manual_seed(seed)
    module = AutoencoderModule(settings, steps, perceptual)
    if phase.initial_weights is not None:
        start_from(module.model, phase.initial_weights, "model.")
    shown = torch.stack([held_out[index] for index in _spread(len(held_out), _GRID_SLICES)]) if len(held_out) else None
    grids = [ImageGrid(partial(_reconstructions, shown), phase.folder / "images")] if shown is not None else []
    report = fit(
        module,
        items,
        held_out,
        phase.folder,
        settings.training,
        epoch_items=slices_per_epoch,
        seed=seed,
        machine=run.machine,
        callbacks=grids,
        made_from=_made_from(run, part),
    )
    losses = {"perceptual": "LPIPS (AlexNet)" if perceptual is not None else "none", "steps": report["steps"]}
    run.once(f"{phase.folder.relative_to(run.folder).as_posix()}/losses.json", lambda: losses)
    return module


def _made_from(run: TrainingRun, part: str) -> dict[str, str]:
    """What an autoencoder is made from -> SHA-256."""
    if part == "gtv" or not run.extra_images:
        return run.made_from
    return run.made_from | {"extra_images": content_sha256([store_sha256(store) for store in run.extra_images])}


def _autoencoder(run: TrainingRun, part: str, module: AutoencoderModule) -> LatentAutoencoder:
    """Return a trained autoencoder with the scale of its latents, kept in `standardization.json`."""
    settings: Autoencoder = getattr(run.configuration, f"{part}_autoencoder")

    def statistics() -> dict[str, list[float]]:
        if settings.standardize == "none":
            return {"shift": [0.0] * settings.latent_channels, "scale": [1.0] * settings.latent_channels}
        rows = run.rows("train")
        rows = rows[_spread(len(rows), _STATISTICS_SLICES)]
        arrays = (run.store.pre, run.store.post) if part == "image" else (run.store.gtv,)
        images = torch.from_numpy(np.concatenate([array[rows] for array in arrays]).astype(np.float32))
        shift, scale = latent_statistics(module.model.eval().to(run.device), images[:, None])
        module.model.cpu()
        return {"shift": shift, "scale": scale}

    encoder = latents_sha256(module.model.eval())
    standard = run.once(f"{part}_autoencoder/standardization.json", statistics, made_from=encoder)
    return LatentAutoencoder(module.model, standard["shift"], standard["scale"]).eval()


def _perceptual(settings: Autoencoder) -> torch.nn.Module | None:
    if settings.perceptual_weight <= 0:
        return None
    lpips = load_lpips_if_present()
    if lpips is None:
        log.warning("No perceptual loss. %s", MISSING_BACKBONE)
    return lpips


def _reconstructions(images: torch.Tensor, module: AutoencoderModule) -> np.ndarray:
    latents = encode_continuous(module.model, images.to(module.device))
    if module.codebook_filled:
        latents = quantize(latents, codebooks(module.model))
    again = decode_continuous(module.model, latents).float().cpu()
    rows = [torch.cat(list(stack[:, 0]), dim=1) for stack in (images, again)]
    return torch.cat(rows).numpy()


def _spread(count: int, wanted: int) -> np.ndarray:
    """Indices of `wanted` (or all) evenly spread entries of `count`."""
    return np.linspace(0, count - 1, min(wanted, count)).astype(int)
