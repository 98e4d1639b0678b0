"""Everything that decides a training run, in one validated YAML file.

A configuration starts from a preset in `configs/` (`paper`, `small`, `demo`) or from a file, takes `--set` overrides,
and is written into the run folder as `configuration.yaml`: that snapshot repeats the run.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import check_file
from GBMResponseCore.request import SamplingOptions

T = TypeVar("T")

PRESET_FOLDER = Path(__file__).resolve().parents[1] / "configs"
ARCHITECTURES = ("residual", "plain")
PREDICTIONS = ("v_prediction", "epsilon")
PRECISIONS = ("auto", "32-true", "bf16-mixed")
SCHEDULES = ("constant", "cosine")
SELECTIONS = ("best", "last")
STANDARDIZATIONS = ("per-channel", "none")
CLASSIFIER_SCHEMES = ("2-class", "4-class")


class ConfigurationError(GBMResponseError):
    """A configuration has an unknown key or an impossible value."""

    code = "configuration"
    exit_code = 50
    remedy = "Compare with the presets in GBMResponseTraining/configs and docs/training.md."


@dataclass(frozen=True)
class Training:
    """How one network is trained.

    :param epochs, steps: length; exactly one of them. An epoch shows every training slice once.
    :param batch_size: items per device and step.
    :param accumulate: batches per optimizer step.
    :param learning_rate: as the optimizer uses it, whatever the number of devices.
    :param schedule: `constant`, or `cosine` decay to 5 %; both after `warmup` steps of linear growth.
    :param validate_every: optimizer steps between validations.
    :param patience: validations without improvement before training stops; 0 never stops early.
    :param select: which weights are used afterwards: those of the best validation, or the last.
    :param checkpoint_every: optimizer steps between checkpoints.
    """

    batch_size: int
    learning_rate: float
    epochs: int | None = None
    steps: int | None = None
    accumulate: int = 1
    schedule: str = "cosine"
    warmup: int = 20
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0
    validate_every: int = 200
    patience: int = 0
    select: str = "best"
    checkpoint_every: int = 50

    def __post_init__(self) -> None:
        _require((self.epochs is None) != (self.steps is None), "training needs either epochs or steps")
        for name in ("epochs", "steps", "batch_size", "accumulate", "validate_every", "checkpoint_every"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"training.{name} must be 1 or more")
        _require(self.learning_rate > 0, "training.learning_rate must be positive")
        _require(self.patience >= 0 and self.warmup >= 0, "training.patience and warmup must be 0 or more")
        _one_of("training.schedule", self.schedule, SCHEDULES)
        _one_of("training.select", self.select, SELECTIONS)

    def optimizer_steps(self, items: int, devices: int = 1) -> int:
        """Steps in all, for `items` training slices on `devices` devices."""
        if self.steps is not None:
            return self.steps
        per_step = self.batch_size * self.accumulate * devices
        return max(1, -(-self.epochs * items // per_step))


@dataclass(frozen=True)
class Adversarial:
    """PatchGAN hinge loss (Esser et al. 2021, arXiv 2012.09841), as the paper's released code has it.

    :param start_step: optimizer step of the autoencoder from which it counts.
    :param weight: factor of the adaptive weight.
    """

    start_step: int
    weight: float = 0.8
    channels: int = 32
    layers: int = 3
    learning_rate: float | None = None


@dataclass(frozen=True)
class Autoencoder:
    """A VQ-VAE (paper, section 2.1).

    :param architecture: `residual` (diffusers `VQModel`) or `plain` (the authors' released stack).
    :param channels: of every level; the latent is 2^(levels - 1) times smaller than the image.
    :param crop: side of the square training crops; None trains on whole slices.
    :param quantize_from: share of the training after which the codebook is filled and used; 0 from the start.
    :param legacy_beta: weight the codebook term by 0.25 and the commitment term by 1, as the released code does.
    :param squared_weight: of the mean square error beside the L1 loss: it sharpens strong edges first.
    :param start: folder of a finished autoencoder stage, such as `OTHER_RUN/image_autoencoder`, whose weights the
        training starts from; for a last phase on whole slices after one on crops.
    :param perceptual_weight: of LPIPS; takes effect when its backbone is present, and the run says which it was.
    :param standardize: `per-channel` brings every latent channel to mean 0 and variance 1; `none` leaves them.
    """

    training: Training
    architecture: str = "residual"
    channels: tuple[int, ...] = (128, 256, 256)
    blocks: int = 2
    groups: int = 32
    latent_channels: int = 4
    codes: int = 8192
    crop: int | None = None
    quantize_from: float = 0.0
    legacy_beta: bool = False
    squared_weight: float = 0.0
    start: str | None = None
    perceptual_weight: float = 0.0
    adversarial: Adversarial | None = None
    standardize: str = "per-channel"

    def __post_init__(self) -> None:
        _one_of("architecture", self.architecture, ARCHITECTURES)
        _one_of("standardize", self.standardize, STANDARDIZATIONS)
        _require(0.0 <= self.quantize_from < 1.0, "quantize_from must lie in [0, 1)")
        _require(
            self.start is None or self.quantize_from == 0.0, "with start, quantize_from must be 0: the codes are there"
        )
        _require(len(self.channels) >= 2, "an autoencoder needs at least two levels")
        _require(self.codes >= 2 and self.latent_channels >= 1, "codes and latent_channels are too small")
        _require(all(width % self.groups == 0 for width in self.channels), "channels must be multiples of groups")

    @property
    def downsampling(self) -> int:
        return 2 ** (len(self.channels) - 1)

    def network(self) -> dict[str, Any]:
        """Configuration of the network class."""
        sizes = {
            "in_channels": 1,
            "out_channels": 1,
            "block_out_channels": list(self.channels),
            "layers_per_block": self.blocks,
            "latent_channels": self.latent_channels,
            "num_vq_embeddings": self.codes,
            "norm_num_groups": self.groups,
        }
        if self.architecture == "plain":
            return {"_class_name": "PlainVQVAE", **sizes}
        return {
            "_class_name": "VQModel",
            **sizes,
            "down_block_types": ["DownEncoderBlock2D"] * len(self.channels),
            "up_block_types": ["UpDecoderBlock2D"] * len(self.channels),
            "vq_embed_dim": self.latent_channels,
            "mid_block_add_attention": False,
        }


@dataclass(frozen=True)
class Classifier:
    """The survival classifier: a ResNet on pre-treatment slices and GTV, pooled per patient.

    :param scheme: the classes it tells apart; a 4-class classifier also serves two classes.
    :param layers, channels: residual blocks and channels per stage.
    :param with_gtv: show it the GTV beside the image; without, the image alone.
    :param pooling: average pooling of its input.
    :param folds: for the out-of-fold predictions of the training patients, see docs/training.md.
    """

    training: Training
    scheme: str = "4-class"
    layers: tuple[int, int, int, int] = (2, 2, 2, 2)
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    with_gtv: bool = True
    pooling: int = 1
    folds: int = 5
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        _one_of("classifier.scheme", self.scheme, CLASSIFIER_SCHEMES)
        _require(self.folds >= 2, "classifier.folds must be 2 or more")
        _require(self.pooling >= 1, "classifier.pooling must be 1 or more")

    @property
    def input_channels(self) -> int:
        return 2 if self.with_gtv else 1

    def network(self) -> dict[str, Any]:
        """Keyword arguments of MONAI's `ResNet`."""
        return {
            "_class_name": "ResNet",
            "block": "basic",
            "layers": list(self.layers),
            "block_inplanes": list(self.channels),
            "n_input_channels": self.input_channels,
            "num_classes": int(self.scheme[0]),
            "conv1_t_size": 5,
            "conv1_t_stride": 2,
        }


@dataclass(frozen=True)
class Diffusion:
    """The latent diffusion model (paper, section 2.2).

    :param channels, blocks: channels of every level and residual blocks per level.
    :param attention_levels: levels (0 is the highest resolution) with attention.
    :param head_channels: channels per attention head.
    :param class_width: length of the class token in the cross-attention.
    :param fold: side of the pixel blocks that are moved into channels, see `GBMResponseCore.model.networks.Denoiser`.
    :param class_in_cross_attention, class_in_time_embedding: where the class enters; the paper has the first alone.
    :param label_dropout: share of items trained without class; 0 as in the released code, and no guidance then.
    :param prediction: `v_prediction` or `epsilon` (the paper's).
    :param min_snr_gamma: Min-SNR weighting of the loss (Hang et al. 2023, arXiv 2303.09556); None: equal weights.
    :param gtv_weight: extra weight of the loss inside the GTV.
    :param predict_change: generate the change from the pre latent instead of the post latent.
    :param neighbor_slices: slices on either side whose pre latents are conditions too (2.5-D).
    :param days_since_rt: condition on the days from the start of radiotherapy to the follow-up.
    :param flip: show left-right flipped slices too, as often.
    :param start: folder of a finished stage, such as `OTHER_RUN/diffusion/2-class`, whose averaged weights the training
        starts from; of a run with the same autoencoders.
    :param preview_slices, preview_steps: of the image grid at every validation.
    """

    training: Training
    channels: tuple[int, ...] = (160, 320, 480, 640)
    blocks: int = 2
    groups: int = 32
    attention_levels: tuple[int, ...] = (1, 2)
    head_channels: int = 16
    class_width: int = 64
    fold: int = 1
    class_in_cross_attention: bool = True
    class_in_time_embedding: bool = True
    label_dropout: float = 0.15
    prediction: str = "v_prediction"
    min_snr_gamma: float | None = None
    gtv_weight: float = 0.0
    predict_change: bool = False
    neighbor_slices: int = 0
    days_since_rt: bool = False
    ema_decay: float = 0.9999
    flip: bool = True
    start: str | None = None
    preview_slices: int = 4
    preview_steps: int = 10

    def __post_init__(self) -> None:
        _one_of("prediction", self.prediction, PREDICTIONS)
        _require(0.0 <= self.label_dropout < 1.0, "label_dropout must lie in [0, 1)")
        _require(self.neighbor_slices >= 0 and self.fold >= 1, "neighbor_slices or fold is too small")
        _require(0.0 <= self.ema_decay < 1.0, "ema_decay must lie in [0, 1)")
        levels = range(len(self.channels))
        _require(all(level in levels for level in self.attention_levels), "attention_levels names a missing level")
        _require(
            self.class_in_cross_attention or not self.days_since_rt, "days_since_rt needs class_in_cross_attention"
        )
        _require(all(width % self.groups == 0 for width in self.channels), "channels must be multiples of groups")


@dataclass(frozen=True)
class Configuration:
    """A whole experiment: both autoencoders, the classifier, and the diffusion model of every configuration.

    :param extra_images_share: share of the image autoencoder's training slices that come from the run's extra stores,
        where it has any.
    """

    name: str
    description: str
    license: str
    training_data: str
    image_autoencoder: Autoencoder
    gtv_autoencoder: Autoencoder
    classifier: Classifier
    diffusion: Diffusion
    version: str = "0.1.0"
    seed: int = 2026
    precision: str = "auto"
    workers: int = 0
    extra_images_share: float = 0.25
    sampling: Mapping[str, Any] = field(
        default_factory=lambda: {"sampler": "unipc", "steps": 10, "guidance_scale": 2.0, "eta": 0.0}
    )

    def __post_init__(self) -> None:
        _one_of("precision", self.precision, PRECISIONS)
        _require(self.seed >= 0 and self.workers >= 0, "seed and workers must be 0 or more")
        _require(0.0 <= self.extra_images_share <= 1.0, "extra_images_share must lie in [0, 1]")
        try:
            SamplingOptions(**self.sampling)
        except (TypeError, GBMResponseError) as error:
            raise ConfigurationError(f"Sampling is not possible: {error}") from None
        image, gtv = self.image_autoencoder, self.gtv_autoencoder
        _require(
            image.downsampling == gtv.downsampling and image.latent_channels == gtv.latent_channels,
            "image and GTV autoencoder must have latents of one size (levels and latent_channels)",
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON and YAML values."""
        return _plain(dataclasses.asdict(self))


def presets() -> list[str]:
    """Names of the presets."""
    return sorted(path.stem for path in PRESET_FOLDER.glob("*.yaml"))


def load_configuration(source: str | Path, overrides: Sequence[str] = ()) -> Configuration:
    """Read a configuration.

    :param source: name of a preset, or a YAML file.
    :param overrides: `dotted.key=value` with YAML values, for example `diffusion.training.epochs=50`.
    :raises ConfigurationError: for an unknown key, a missing one, or a value of the wrong kind or range.
    """
    import yaml

    path = PRESET_FOLDER / f"{source}.yaml" if str(source) in presets() else Path(source)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"There is no preset '{source}'.", f"Choose {', '.join(presets())}, or a YAML file.")
    try:
        values = yaml.safe_load(check_file(path, "configuration").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path.name} is not valid YAML: {error}.") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path.name} is not a mapping of settings.")
    # Places that a YAML alias joins get values of their own, so that an override changes the one that it names.
    values = _plain(values)
    for override in overrides:
        _override(values, override)
    return parse_configuration(values)


def parse_configuration(values: Mapping[str, Any]) -> Configuration:
    """:raises ConfigurationError: see :func:`load_configuration`."""
    return _build(Configuration, values, "")


def _override(values: dict[str, Any], override: str) -> None:
    import yaml

    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigurationError(f"'{override}' is not of the form key=value.")
    *parents, last = key.strip().split(".")
    place: Any = values
    for parent in parents:
        place = place.setdefault(parent, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ConfigurationError(f"'{key}' is not a setting.")
    place[last] = yaml.safe_load(text)
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if last == one and place[last] is not None:
            place.pop(other, None)


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where or 'The configuration'} must be a mapping, not {values!r}.")
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    unknown = [key for key in values if key not in fields]
    if unknown:
        raise ConfigurationError(f"Unknown setting {_join(where, unknown[0])}.", f"Known are {', '.join(fields)}.")
    missing = [
        name
        for name, entry in fields.items()
        if name not in values and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigurationError(f"The setting {_join(where, missing[0])} is missing.")
    arguments = {name: _convert(hints[name], value, _join(where, name)) for name, value in values.items()}
    try:
        return kind(**arguments)
    except ConfigurationError as error:
        if where and where not in error.message:
            raise ConfigurationError(f"{where}: {error.message}") from None
        raise


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check a value against a type hint; YAML's lists become tuples and whole numbers may stand for floats."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(entry for entry in arguments if entry is not type(None)), value, where)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{where} must be a list, not {value!r}.")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise ConfigurationError(f"{where} needs {len(kinds)} values, not {len(value)}.")
        return tuple(_convert(kind, entry, where) for kind, entry in zip(kinds, value, strict=True))
    if origin is not None:
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{where} must be a mapping, not {value!r}.")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        # YAML reads 1e-4 without a dot as text.
        try:
            return float(value)
        except ValueError:
            raise ConfigurationError(f"{where} must be a number, not {value!r}.") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigurationError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigurationError(f"{message[0].upper()}{message[1:]}.")


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    _require(value in known, f"{name} is '{value}', but must be one of {', '.join(known)}")
