"""Stage: encode the slices once and train the latent diffusion model of one configuration."""

import dataclasses
import math
from functools import partial
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.model.classes import ClassScheme, coarsen
from GBMResponseCore.model.networks import Denoiser, LatentCodec
from GBMResponseCore.model.sampling import sample_latents
from GBMResponseCore.request import SamplingOptions

from ..engine.fit import check_start, fit, has_begun, start_from
from ..items.latent_items import Conditions, latent_items, latent_validation, source_latents, store_neighbors
from ..items.latents import LatentStore, change_scale, encode_store
from ..items.model_configurations import ModelConfiguration, true_class
from ..models.diffusion import DiffusionModule
from ..models.unet_config import noise_schedule, unet_config
from .autoencoder import train_autoencoder
from .classifier import train_classifier
from .image_grid import ImageGrid
from .training_run import TrainingRun


@dataclasses.dataclass(frozen=True)
class DiffusionModel:
    """A trained denoiser and all that is needed to use it.

    :param denoiser: averaged weights.
    :param unet: configuration of its UNet.
    :param schemes: its class schemes.
    :param null_token: stands for "no class".
    :param scale: per latent channel: its output is the change from the pre latent times this; None: the post latent.
    """

    denoiser: Denoiser
    unet: dict
    schemes: dict[str, ClassScheme]
    null_token: int
    scale: list[float] | None


def cached_latents(run: TrainingRun) -> tuple[LatentStore, dict[str, LatentCodec]]:
    """Latents of the run's store, and the autoencoders that made them."""
    codecs = {part: train_autoencoder(run, part) for part in ("image", "gtv")}
    settings = run.configuration
    latents = encode_store(
        run.store,
        run.folder / "latents",
        codecs,
        settings.image_autoencoder.downsampling,
        settings.diffusion.flip,
        device=run.device,
        bfloat16=run.machine.lightning_precision() == "bf16-mixed",
    )
    return latents, codecs


def check_diffusion(run: TrainingRun, configuration: ModelConfiguration) -> None:
    """Better known before than after hours of training.

    :raises ConfigurationError: the diffusion model cannot be built, or what it should start from is not there.
    :raises SplitError: its classes need the survival of training patients, and none is known.
    """
    run.schemes(configuration.schemes)
    settings = run.configuration
    unet_config(
        settings.diffusion, len(configuration.schemes), settings.image_autoencoder.latent_channels, run.latent_size
    )
    check_start(settings.diffusion.start, run.folder / _folder(configuration), _folder(configuration))


def train_diffusion(run: TrainingRun, configuration: ModelConfiguration) -> DiffusionModel:
    """Train the diffusion model of one configuration, or take the finished one."""
    check_diffusion(run, configuration)
    settings, seed = run.configuration.diffusion, run.configuration.seed
    latents, codecs = cached_latents(run)
    schemes = run.schemes(configuration.schemes)
    conditions = _conditions(run, configuration, schemes)
    train, validation = run.rows("train"), run.rows("validation")
    folder = _folder(configuration)
    scale = None
    if settings.predict_change:
        scale = run.once("latents/change_scale.json", lambda: change_scale(latents, train).tolist())
    tokens = conditions.null_token + 1 if schemes else 0
    unet = unet_config(settings, tokens, run.configuration.image_autoencoder.latent_channels, run.latent_size)
    schedule = noise_schedule(settings.prediction)
    steps = settings.training.optimizer_steps(len(train), run.machine.processes)
    torch.manual_seed(seed)
    module = DiffusionModule(settings, unet, schedule, steps)
    if settings.start is not None and not has_begun(run.folder / folder):
        for network in (module.denoiser, module.ema):
            start_from(network, Path(settings.start), "ema.")
    factor = None if scale is None else np.array(scale)
    held_out = latent_validation(latents, conditions, validation, scale=factor, seed=seed)
    grids = []
    if len(validation) and settings.preview_slices:
        chosen = validation[np.linspace(0, len(validation) - 1, settings.preview_slices).astype(int)]
        preview = partial(_preview, run, codecs["image"], latents, conditions, chosen, schedule, factor)
        grids.append(ImageGrid(preview, run.folder / folder / "images"))
    fit(
        module,
        latent_items(latents, conditions, train, label_dropout=settings.label_dropout, scale=factor, seed=seed),
        held_out,
        run.folder / folder,
        settings.training,
        epoch_items=len(train),
        seed=seed,
        machine=run.machine,
        callbacks=grids,
    )
    return DiffusionModel(module.ema.eval(), unet, schemes, conditions.null_token, scale)


def _folder(configuration: ModelConfiguration) -> str:
    return f"diffusion/{configuration.name}"


def _conditions(run: TrainingRun, configuration: ModelConfiguration, schemes: dict[str, ClassScheme]) -> Conditions:
    null_token = sum(len(scheme.classes) for scheme in schemes.values())
    patients = [[_token(scheme, record, null_token) for scheme in schemes.values()] for record in run.patients]
    if configuration.labels == "predicted" and schemes:
        classifier = train_classifier(run)
        for tokens, record in zip(patients, run.patients, strict=True):
            chances = np.array(classifier.probabilities[record["id"]])
            for place, scheme in enumerate(schemes.values()):
                best = int(np.argmax(coarsen(chances, classifier.scheme, scheme)))
                tokens[place] = scheme.classes[best].token
    of_slice = np.asarray(run.store.patient)
    days = np.array([record.get("days_since_rt", math.nan) for record in run.patients], dtype=float)
    count = run.configuration.diffusion.neighbor_slices
    return Conditions(
        tokens=np.array(patients, dtype=np.int64).reshape(len(run.patients), len(schemes))[of_slice],
        null_token=null_token,
        days=days[of_slice],
        neighbors=store_neighbors(run.store, count),
    )


def _token(scheme: ClassScheme, record: dict, null_token: int) -> int:
    """The token of a patient's true class; the null token where it is not known."""
    label = true_class(record, scheme)
    return null_token if label is None else scheme.classes[label].token


def _preview(
    run: TrainingRun,
    codec: LatentCodec,
    latents: LatentStore,
    conditions: Conditions,
    rows: np.ndarray,
    schedule: dict,
    scale: np.ndarray | None,
    module: DiffusionModule,
) -> np.ndarray:
    """Columns are slices; rows are pre, predicted, truth. Noise belongs to the column, so it never changes."""
    device = module.device
    sources = torch.from_numpy(np.stack([source_latents(latents, conditions, row, 0) for row in rows])).to(device)
    tokens = [conditions.tokens[row][0] if conditions.tokens.shape[1] else conditions.null_token for row in rows]
    channels = latents.pre.shape[2]
    drawn = sample_latents(
        module.ema,
        schedule,
        SamplingOptions(steps=module.settings.preview_steps),
        sources,
        torch.tensor(tokens, device=device),
        null_token=conditions.null_token,
        seed=run.configuration.seed,
        sample=0,
        positions_mm=np.arange(len(rows)),
        channels=channels,
        days=torch.from_numpy(conditions.days[rows]).float().to(device),
    )
    if scale is not None:
        drawn = sources[:, :channels] + drawn / torch.from_numpy(scale).float().to(device).view(1, -1, 1, 1)
    predicted = codec.to(device).decode(drawn)[:, 0].float().cpu().numpy()
    codec.cpu()
    stacks = (run.store.pre[rows], predicted, run.store.post[rows])
    return np.concatenate([np.concatenate(list(stack.astype(np.float32)), axis=1) for stack in stacks])
