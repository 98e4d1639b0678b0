"""Fine-tuning: a bundle becomes the beginning of a training run, which then goes on as any other.

The run keeps a copy of the bundle, its *parent*. Networks that are kept are written as finished stages; those that are
trained on begin with a finished phase, `parent`, whose weights are the bundle's.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from GBMResponseCore.errors import OptionError, OutputFolderError
from GBMResponseCore.files import ensure_output_folder, remove_folder, write_json
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.model.bundle import WEIGHTS, Bundle, Networks, open_bundle
from safetensors import safe_open

from ..engine.checkpoints import PHASES, SNAPSHOT, has_begun, is_finished, leave_weights
from ..engine.machine import Machine
from ..items.fingerprints import latents_sha256
from ..models.autoencoder import AutoencoderModule
from ..models.diffusion import DiffusionModule
from ..models.unet_config import noise_schedule
from ..settings.configuration import Configuration
from ..settings.model_configurations import BOTH_SCHEMES, TABLE_1, ModelConfiguration
from ..settings.networks import ConfigurationError
from ..settings.reader import load_configuration, parse_configuration, with_overrides
from ..stages.training_run import PARENT, TrainingRun
from ..store.slice_store import open_store, read_patients
from ..store.splits import SplitError, split_store
from .parent_settings import AUTOENCODERS, check_settings, parent_settings
from .stage import store_preprocessing

_TRAINING = {"validate_every": 100, "patience": 10, "checkpoint_every": 50}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "image_autoencoder": {"training": {"steps": 2000, "batch_size": 8, "learning_rate": 2e-5, **_TRAINING}},
    "gtv_autoencoder": {"training": {"steps": 1, "batch_size": 1, "learning_rate": 2e-5}},
    "classifier": {"training": {"epochs": 30, "batch_size": 32, "learning_rate": 1e-3, "weight_decay": 0.05,
                                **_TRAINING}},
    "diffusion": {"gtv_weight": 2.0, "gtv_margin": 8, "ema_decay": 0.998,
                  "training": {"steps": 5000, "batch_size": 16, "learning_rate": 5e-5, "warmup": 50,
                               "weight_decay": 1e-4, **_TRAINING}},
}  # fmt: skip
"""What a bundle does not say, for a few thousand slices: small steps, and an end as soon as they do not help."""


def fine_tuning_run(
    folder: Path,
    bundle: Path | None,
    store: Path | None,
    overrides: Sequence[str] = (),
    machine_of: Callable[[Configuration], Machine] = lambda _: Machine(),
) -> tuple[TrainingRun, ModelConfiguration]:
    """Begin the fine-tuning of a bundle, or continue the one in `folder`; return its run, and what it trains.

    :param bundle, store: needed for a new run.
    :param overrides: `dotted.key=value`, as of :func:`.reader.load_configuration`.
    :param machine_of: where a configuration is trained.
    :raises OptionError: the folder holds another run; the store was prepared in another way than the bundle asks for,
        or its classes say nothing about survival.
    :raises ConfigurationError: a setting is wrong, or is the bundle's.
    :raises SplitError: there is no patient to train or to validate with.
    :raises OutputFolderError: the run cannot be written.
    """
    known = (folder / SNAPSHOT).is_file()
    if known and not (folder / PARENT).is_dir():
        raise OptionError(f"The folder {folder} holds a run that fine-tunes no bundle.", "Choose another --run.")
    if not known and (bundle is None or store is None):
        raise OptionError(f"There is no run in {folder} yet.", "Name the bundle with --bundle, the store with --store.")
    parent = open_bundle(folder / PARENT if known else bundle)
    if known and bundle is not None and open_bundle(bundle).sha256 != parent.sha256:
        raise OptionError(f"The folder {folder} holds a run that fine-tunes another bundle.", "Choose another --run.")
    decided = parent_settings(parent)
    if known:
        configuration = load_configuration(folder / SNAPSHOT, overrides)
    else:
        configuration = _new_configuration(parent, decided, overrides)
    check_settings(parent, decided, configuration)
    if store is None:
        store = TrainingRun.reopen(folder).store_folder
    model = _model_configuration(parent)
    _check_store(store, parent)
    machine = machine_of(configuration)
    if not known:
        _copy(parent.folder, folder / PARENT)
    run = TrainingRun(folder, configuration, store, machine)
    _begin(run, model)
    return run, model


def stores_half(bundle: Bundle) -> bool:
    """Whether the weights of a bundle are fp16; written so again, those that are kept stay what they are."""
    with safe_open(bundle.folder / "denoiser" / WEIGHTS, "pt") as weights:
        return weights.get_slice(next(iter(weights.keys()))).get_dtype() == "F16"


def _new_configuration(parent: Bundle, decided: dict[str, Any], overrides: Sequence[str]) -> Configuration:
    values: dict[str, Any] = {
        "name": f"{parent.name}-fine-tuned",
        "description": f"{parent.description['description']} Fine-tuned from {parent.name} {parent.version}.",
        "license": parent.description["license"],
        "training_data": f"{parent.name}, from which it was fine-tuned: {parent.description['training_data']}",
        "sampling": decided["sampling"],
    }
    for section, defaults in _DEFAULTS.items():
        values[section] = {**defaults, **decided[section], **({} if section == "diffusion" else {"kept": True})}
    configuration = parse_configuration(with_overrides(values, overrides))
    if not configuration.gtv_autoencoder.kept:
        raise ConfigurationError("The GTV autoencoder of a bundle has no decoder to train with.", "Keep it.")
    trained = ["diffusion"] if configuration.image_autoencoder.kept else ["image_autoencoder", "diffusion"]
    phases = [{"network": name, "name": PARENT, "settings": {}} for name in trained]
    return parse_configuration({**configuration.to_dict(), "phases": phases})


def _model_configuration(parent: Bundle) -> ModelConfiguration:
    """The configuration with the bundle's class schemes, and true labels.

    :raises OptionError: none has these, or the limits of the classes are not known.
    """
    for scheme in parent.schemes.values():
        if any(entry.min_days is None for entry in scheme.classes):
            raise OptionError(
                f"The bundle {parent.name} does not say which survival the classes of {scheme.name} mean.",
                "Import its checkpoint again with --thresholds.",
            )
    for model in (*TABLE_1, BOTH_SCHEMES):
        if model.schemes == tuple(parent.schemes) and model.labels == "true":
            return model
    raise OptionError(f"The class schemes {', '.join(parent.schemes)} of {parent.name} are not known here.")


def _check_store(folder: Path, parent: Bundle) -> None:
    """:raises OptionError, SplitError: the store is not one that the bundle can learn from."""
    patients, size = read_patients(folder), open_store(folder).pre.shape[-1]
    wanted = {"in_plane": parent.in_plane_rule.to_dict(), "intensity": parent.normalization.to_dict()}
    for record in patients:
        stated = store_preprocessing(record, size)
        found = {
            "in_plane": InPlaneRule.from_dict(stated["in_plane"]).to_dict(),
            "intensity": NormalizationSettings.from_dict(stated["intensity"]).to_dict(),
        }
        different = [
            f"{part} {name} {found[part][name]}, not {value}"
            for part, values in wanted.items()
            for name, value in values.items()
            if found[part][name] != value
        ]
        if different:
            raise OptionError(
                f"The slices of {record['id']} were prepared otherwise than {parent.name} asks for: "
                f"{'; '.join(different)}.",
                "Import the patients again with --bundle, which prepares them as the bundle does.",
            )
    for name in ("train", "validation"):
        if name not in split_store(folder, patients).values():
            raise SplitError(
                f"The split of the slice store has no {name} patient.",
                "Fine-tuning needs both: `gbmresponse-train split` (docs/training.md says how to divide few patients).",
            )


def _copy(source: Path, target: Path) -> None:
    ensure_output_folder(target.parent)
    partial = target.with_name(f".{target.name}.partial")
    try:
        for folder in (partial, target):
            remove_folder(folder)
        shutil.copytree(source, partial)
        os.replace(partial, target)
    except OSError as error:
        raise OutputFolderError(f"Cannot copy the bundle to the folder {target.parent}.") from error


def _begin(run: TrainingRun, model: ModelConfiguration) -> None:
    """Write what the bundle's networks leave behind them, as far as it is not there."""
    stage = run.folder / "diffusion" / model.name
    parts = {name: run.folder / name for name in AUTOENCODERS}
    if has_begun(stage) and all(is_finished(folder) for folder in parts.values()):
        return
    networks = run.parent.load_networks()
    made_from = {name: _begin_autoencoder(run, networks, name, folder) for name, folder in parts.items()}
    if not run.configuration.image_autoencoder.kept:
        del made_from["image_autoencoder"]  # it is not there yet
    folder = stage / PHASES / PARENT
    if not (has_begun(stage) or is_finished(folder)):
        settings = run.configuration.diffusion
        module = DiffusionModule(settings, dict(networks.denoiser.unet.config), noise_schedule(settings.prediction), 1)
        for network in module.networks():
            network.load_state_dict(networks.denoiser.state_dict())
        leave_weights(module, folder, made_from)


def _begin_autoencoder(run: TrainingRun, networks: Networks, name: str, folder: Path) -> str:
    """Leave an autoencoder, kept or to be trained; return the SHA-256 of what its latents depend on."""
    settings, network = getattr(run.configuration, name), getattr(networks, name)
    standard = run.parent.description["latents"][name.removesuffix("_autoencoder")]
    place = folder if settings.kept else folder / PHASES / PARENT
    if not (has_begun(folder) or is_finished(place)):
        module = AutoencoderModule(settings, 1)
        module.model.load_state_dict(network.model.state_dict())
        leave_weights(module, place, {})
    write_json({**standard, "made_from": latents_sha256(network.model)}, folder / "standardization.json")
    return latents_sha256(network)
