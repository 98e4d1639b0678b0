"""Stage: encode the slices once and train the latent diffusion model of one configuration."""

import dataclasses
import math
from functools import partial

import numpy as np
import torch
from GBMResponseCore.model.classes import ClassScheme, coarsen
from GBMResponseCore.model.networks import Denoiser, LatentAutoencoder
from GBMResponseCore.model.sampling import sample_latents
from GBMResponseCore.model.windows import WindowRule, find_windows
from GBMResponseCore.request import SamplingOptions
from torch.utils.data import DataLoader, Dataset

from ..engine.checkpoints import PHASES, has_begun, is_finished, start_from
from ..engine.fit import fit
from ..engine.made_from import StaleStageError, check_made_from, stated_made_from
from ..items.class_labels import true_class
from ..items.fingerprints import content_sha256, latents_sha256
from ..items.latent_items import (
    Conditions,
    Target,
    latent_items,
    latent_validation,
    source_latents,
    store_neighbors,
)
from ..items.latents import CHANGE_SCALE, LatentStore, encode_store, residual_scale, with_coarse_first
from ..models.diffusion import DiffusionModule
from ..models.unet_config import noise_schedule, unet_config
from ..settings.model_configurations import ModelConfiguration
from ..settings.networks import ConfigurationError
from .autoencoder import PARTS, train_autoencoder
from .classifier import train_classifier
from .image_grid import ImageGrid
from .training_run import PARENT, StagePhase, TrainingRun

BEFORE_AND_AFTER = "validation_loss.json"
"""File of a fine-tuned denoiser: its loss and that of the one it comes from."""
_AUTOENCODERS = tuple(f"{part}_autoencoder" for part in PARTS)


@dataclasses.dataclass(frozen=True)
class DiffusionModel:
    """A trained denoiser and all that is needed to use it.

    :param denoiser: averaged weights.
    :param unet: configuration of its UNet.
    :param schemes: its class schemes.
    :param null_token: stands for "no class".
    :param scale: per latent channel: its output is the change from the pre latent times this; None: the post latent.
    :param windows: what it sees of a slice; None: all.
    """

    denoiser: Denoiser
    unet: dict
    schemes: dict[str, ClassScheme]
    null_token: int
    scale: list[float] | None
    windows: WindowRule | None


def cached_latents(run: TrainingRun) -> tuple[LatentStore, dict[str, LatentAutoencoder]]:
    """Latents of the run's store, and the autoencoders that made them."""
    autoencoders = trained_autoencoders(run)
    return _latents(run, autoencoders), autoencoders


def trained_autoencoders(run: TrainingRun) -> dict[str, LatentAutoencoder]:
    """The autoencoders `image` and `gtv`, trained if they are not yet."""
    return {part: train_autoencoder(run, part) for part in PARTS}


def _latents(run: TrainingRun, autoencoders: dict[str, LatentAutoencoder]) -> LatentStore:
    settings = run.configuration
    return encode_store(
        run.store,
        run.folder / "latents",
        autoencoders,
        settings.image_autoencoder.downsampling,
        settings.diffusion.flip,
        device=run.device,
        bfloat16=run.machine.lightning_precision() == "bf16-mixed",
    )


def check_diffusion(run: TrainingRun, configuration: ModelConfiguration) -> None:
    """Better known before than after hours of training.

    :raises ConfigurationError: the diffusion model cannot be built, or what it should start from is not there.
    :raises SplitError: its classes need the survival of training patients, and none is known.
    :raises StaleStageError: it has begun in the latents of an autoencoder that is gone.
    """
    run.schemes(configuration.schemes)
    settings = run.configuration
    channels = settings.image_autoencoder.latent_channels
    unet_config(settings.diffusion, len(configuration.schemes), channels, _seen_size(run))
    folder = run.folder / _folder(configuration)
    if run.parent is not None and not (has_begun(folder) or is_finished(folder / PHASES / PARENT)):
        raise ConfigurationError(
            f"The run fine-tunes {run.parent.name}, which is no model of the configuration {configuration.name}.",
            "Name the configuration that it fine-tunes: see the folder `diffusion` of the run.",
        )
    run.check_start("diffusion", folder)
    for phase in run.phases("diffusion", folder):
        for name in _AUTOENCODERS:
            if name in (stated_made_from(phase.folder) or {}) and not is_finished(run.folder / name):
                raise StaleStageError(f"The {name.replace('_', ' ')} that {phase.folder} was made with is gone.")


def train_diffusion(run: TrainingRun, configuration: ModelConfiguration) -> DiffusionModel:
    """Train the diffusion model of one configuration, or take the finished one."""
    check_diffusion(run, configuration)
    settings = run.configuration.diffusion
    autoencoders = trained_autoencoders(run)
    schemes = run.schemes(configuration.schemes)
    conditions = _conditions(run, configuration, schemes)
    made_from = _made_from(run, autoencoders, conditions)
    phases = run.phases("diffusion", run.folder / _folder(configuration))
    for folder in {phase.folder for phase in phases} | {phase.initial_weights for phase in phases} - {None}:
        # In time, before the slices are encoded again; of another run only the autoencoders must be the same.
        own = folder.is_relative_to(run.folder)
        check_made_from(folder, made_from if own else {name: made_from[name] for name in _AUTOENCODERS})
    latents = _latents(run, autoencoders)
    scale = None if run.parent is None else run.parent.residual_scale
    if settings.predict_change and scale is None:
        scale = run.once(f"latents/{CHANGE_SCALE}", partial(_change_scale, run, latents, autoencoders["image"]))
    tokens = conditions.null_token + 1 if schemes else 0
    unet = unet_config(settings, tokens, run.configuration.image_autoencoder.latent_channels, _seen_size(run))
    factor = None if scale is None else np.array(scale)
    for phase in phases:
        module = _train(run, phase, unet, latents, conditions, factor, autoencoders["image"], made_from)
    return DiffusionModel(module.averaged.eval(), unet, schemes, conditions.null_token, scale, _windows(run))


def _train(
    run: TrainingRun,
    phase: StagePhase,
    unet: dict,
    latents: LatentStore,
    conditions: Conditions,
    scale: np.ndarray | None,
    autoencoder: LatentAutoencoder,
    made_from: dict[str, str],
) -> DiffusionModule:
    settings, seed = phase.configuration.diffusion, run.configuration.seed
    train, validation = run.rows("train"), run.rows("validation")
    schedule = noise_schedule(settings.prediction)
    steps = settings.training.optimizer_steps(len(train), run.machine.processes)
    torch.manual_seed(seed)
    module = DiffusionModule(settings, unet, schedule, steps)
    if phase.initial_weights is not None:
        for network in module.networks():
            start_from(network, phase.initial_weights, "ema.")
    margin = settings.gtv_margin // run.configuration.image_autoencoder.downsampling
    target = Target(scale, _windows(run), margin)
    held_out = latent_validation(latents, conditions, validation, target=target, seed=seed)
    grids = []
    if len(validation) and settings.preview_slices:
        chosen = validation[np.linspace(0, len(validation) - 1, settings.preview_slices).astype(int)]
        preview = partial(_preview, run, autoencoder, latents, conditions, chosen, schedule, scale)
        grids.append(ImageGrid(preview, phase.folder / "images"))
    items = latent_items(
        latents,
        conditions,
        train,
        label_dropout=settings.label_dropout,
        target=target,
        seed=seed,
        even_time_steps=settings.even_time_steps,
        late_share=settings.late_share,
    )
    fit(
        module,
        items,
        held_out,
        phase.folder,
        settings.training,
        epoch_items=len(train),
        seed=seed,
        machine=run.machine,
        callbacks=grids,
        made_from=made_from,
    )
    if run.parent is not None and phase.folder.name != PARENT:
        run.once(
            f"{phase.folder.relative_to(run.folder).as_posix()}/{BEFORE_AND_AFTER}",
            partial(_losses, run, module, held_out),
        )
    return module


@torch.inference_mode()
def _losses(run: TrainingRun, module: DiffusionModule, held_out: Dataset) -> dict[str, float]:
    """Validation loss of the denoiser that is fine-tuned, and of what has become of it."""
    means = {}
    batches = DataLoader(held_out, batch_size=module.settings.training.batch_size)
    for name, network in (("before", run.parent.load_networks().denoiser), ("after", module.averaged)):
        network.to(run.device)
        losses = [
            float(module.loss(network, {key: value.to(run.device) for key, value in batch.items()}))
            * len(batch["token"])
            for batch in batches
        ]
        network.cpu()
        means[name] = sum(losses) / len(held_out)
    return means


def _made_from(run: TrainingRun, autoencoders: dict[str, LatentAutoencoder], conditions: Conditions) -> dict[str, str]:
    """What a diffusion model is made from -> SHA-256."""
    told = [conditions.tokens.tolist(), conditions.null_token, np.nan_to_num(conditions.days, nan=-1e9).tolist()]
    made_by = {name: latents_sha256(autoencoders[part]) for part, name in zip(PARTS, _AUTOENCODERS, strict=True)}
    return run.made_from | made_by | {"labels": content_sha256(told)}


def _change_scale(run: TrainingRun, latents: LatentStore, autoencoder: LatentAutoencoder) -> list[float]:
    settings = run.configuration.diffusion
    margin = settings.gtv_margin // run.configuration.image_autoencoder.downsampling or None
    factor = residual_scale(latents, run.rows("train"), margin)
    return with_coarse_first(factor, autoencoder.scale.flatten().cpu().numpy(), settings.coarse_first).tolist()


def _windows(run: TrainingRun) -> WindowRule | None:
    """The settings' windows in latent pixels."""
    settings, factor = run.configuration.diffusion, run.configuration.image_autoencoder.downsampling
    if settings.window is None:
        return None
    lengths = (settings.window, settings.window_margin, settings.window_overlap)
    return WindowRule(*(length // factor for length in lengths)).fitted(run.latent_size)


def _seen_size(run: TrainingRun) -> int:
    """Side of the latents that the denoiser sees."""
    windows = _windows(run)
    return run.latent_size if windows is None else windows.size


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
    autoencoder: LatentAutoencoder,
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
    channels, rule = latents.pre.shape[2], _windows(run)
    windows = (
        None
        if rule is None
        else find_windows(run.store.gtv[rows], rule, run.configuration.image_autoencoder.downsampling)
    )
    drawn = sample_latents(
        module.averaged if windows is None else windows.within(module.averaged),
        schedule,
        SamplingOptions(steps=module.settings.preview_steps, noise_length=0.0),
        sources,
        torch.tensor(tokens, device=device),
        null_token=conditions.null_token,
        seed=run.configuration.seed,
        sample=0,
        positions_mm=np.arange(len(rows)),
        channels=channels,
        days=torch.from_numpy(conditions.days[rows]).float().to(device),
    )
    drawn = drawn if windows is None else windows.keep(drawn)
    if scale is not None:
        drawn = sources[:, :channels] + drawn / torch.from_numpy(scale).float().to(device).view(1, -1, 1, 1)
    predicted = autoencoder.to(device).decode(drawn)[:, 0].float().cpu().numpy()
    autoencoder.cpu()
    stacks = (run.store.pre[rows], predicted, run.store.post[rows])
    return np.concatenate([np.concatenate(list(stack.astype(np.float32)), axis=1) for stack in stacks])
