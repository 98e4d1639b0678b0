"""How each network is built and trained, as checked dataclasses: the sections of a configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from GBMResponseCore.errors import GBMResponseError

ARCHITECTURES = ("residual", "plain", "product", "continuous")
PREDICTIONS = ("v_prediction", "epsilon")
SCHEDULES = ("constant", "cosine")
SELECTIONS = ("best", "last")
STANDARDIZATIONS = ("per-channel", "none")
_PRODUCT_GROUPS = 2
"""Halves of the latent channels that `product` quantizes apart."""
CLASSIFIER_SCHEMES = ("2-class", "4-class")


class ConfigurationError(GBMResponseError):
    """A configuration has an unknown key or an impossible value."""

    code = "configuration"
    exit_code = 50
    remedy = "Compare with the presets in GBMResponseTraining/configs and docs/training.md."


def require(condition: bool, message: str) -> None:
    """:raises ConfigurationError: the condition is not met."""
    if not condition:
        raise ConfigurationError(f"{message[0].upper()}{message[1:]}.")


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """:raises ConfigurationError: the value is none of those that are known."""
    require(value in known, f"{name} is '{value}', but must be one of {', '.join(known)}")


def _check_gain(gain: tuple[float, float]) -> None:
    require(0.0 < gain[0] <= gain[1], "gain must be two ascending factors above 0")


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
        require((self.epochs is None) != (self.steps is None), "training needs either epochs or steps")
        for name in ("epochs", "steps", "batch_size", "accumulate", "validate_every", "checkpoint_every"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"training.{name} must be 1 or more")
        require(self.learning_rate > 0, "training.learning_rate must be positive")
        require(self.patience >= 0 and self.warmup >= 0, "training.patience and warmup must be 0 or more")
        one_of("training.schedule", self.schedule, SCHEDULES)
        one_of("training.select", self.select, SELECTIONS)

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
    """An autoencoder, as the paper has it (section 2.1) a VQ-VAE.

    :param architecture: `residual` (diffusers `VQModel`) or `plain` (the authors' released stack); or, both a
        `GBMResponseCore.model.block_autoencoder.BlockAutoencoder`, `product`, whose latent channels are two halves with
        `codes` of their own each, and `continuous`, which does not quantize.
    :param channels: of every level; the latent is 2^(levels - 1) times smaller than the image. Those of the last two
        are not seen at the size of the image, but at half of it: their latent is twice as small.
    :param blocks: residual blocks per level; `decoder_blocks` those of the decoder, if it has others.
    :param crop: side of the square training crops; None trains on whole slices.
    :param gain: limits of a random factor of an item's brightness; [1, 1] leaves it, as the paper does. Not for masks.
    :param quantize_from: share of the training after which the codebook is filled and used; 0 from the start.
    :param legacy_beta: weight the codebook term by 0.25 and the commitment term by 1, as the released code does.
    :param squared_weight: of the mean square error beside the L1 loss: it sharpens strong edges first.
    :param blur, noise: largest SD of the Gaussian blur, in pixels, and of the noise that half of the items get, before
        they are shown and compared: what a scanner or a JPEG file adds to an image is not to be learned by heart.
    :param latent_noise: SD of noise on continuous latents in training, in SDs of each channel: it bounds what a latent
        can say, so that small errors of the denoiser do small harm.
    :param start: folder of a finished autoencoder stage, such as `OTHER_RUN/image_autoencoder`, whose weights the
        training starts from; for a last phase on whole slices after one on crops.
    :param frozen_encoder: train the decoder alone, so that the latents stay what they were.
    :param kept: do not train it: it is that of the bundle that is fine-tuned.
    :param perceptual_weight: of LPIPS; takes effect when its backbone is present, and the run says which it was.
    :param standardize: `per-channel` brings every latent channel to mean 0 and variance 1; `none` leaves them.
    """

    training: Training
    architecture: str = "residual"
    channels: tuple[int, ...] = (128, 256, 256)
    blocks: int = 2
    decoder_blocks: int | None = None
    groups: int = 32
    latent_channels: int = 4
    codes: int = 8192
    crop: int | None = None
    gain: tuple[float, float] = (0.85, 1.1)
    quantize_from: float = 0.0
    legacy_beta: bool = False
    squared_weight: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    latent_noise: float = 0.0
    start: str | None = None
    frozen_encoder: bool = False
    kept: bool = False
    perceptual_weight: float = 0.0
    adversarial: Adversarial | None = None
    standardize: str = "per-channel"

    def __post_init__(self) -> None:
        one_of("architecture", self.architecture, ARCHITECTURES)
        one_of("standardize", self.standardize, STANDARDIZATIONS)
        require(0.0 <= self.quantize_from < 1.0, "quantize_from must lie in [0, 1)")
        require(
            self.start is None or self.quantize_from == 0.0, "with start, quantize_from must be 0: the codes are there"
        )
        require(not (self.frozen_encoder and self.quantize_from), "with frozen_encoder, quantize_from must be 0")
        _check_gain(self.gain)
        require(len(self.channels) >= 2, "an autoencoder needs at least two levels")
        require(
            not self.of_blocks or self.latent_channels <= self.downsampling**2,
            "latent_channels exceed the pixels of a block",
        )
        require(self.codes >= 2 and self.latent_channels >= 1, "codes and latent_channels are too small")
        require(min(self.blur, self.noise, self.latent_noise) >= 0, "blur, noise and latent_noise must be 0 or more")
        if not self.of_blocks:
            require(all(width % self.groups == 0 for width in self.channels), "channels must be multiples of groups")
            require(self.decoder_blocks is None, f"decoder_blocks is not known to the architecture {self.architecture}")
        elif self.architecture == "product":
            require(self.latent_channels % _PRODUCT_GROUPS == 0, "latent_channels of product must be even")
        require(self.latent_noise == 0 or not self.quantizes, "latent_noise is for continuous latents")
        require(self.quantize_from == 0 or self.quantizes, "continuous latents are never quantized: no quantize_from")

    @property
    def of_blocks(self) -> bool:
        """True for a `BlockAutoencoder`."""
        return self.architecture in ("product", "continuous")

    @property
    def quantizes(self) -> bool:
        return self.architecture != "continuous"

    @property
    def downsampling(self) -> int:
        return 2 ** (len(self.channels) - 1 + self.of_blocks)

    def network(self) -> dict[str, Any]:
        """Configuration of the network class."""
        if self.of_blocks:
            return {
                "_class_name": "BlockAutoencoder",
                "block_out_channels": list(self.channels),
                "encoder_blocks": self.blocks,
                "decoder_blocks": self.decoder_blocks or self.blocks,
                "latent_channels": self.latent_channels,
                "patch": 2,
                "codebooks": _PRODUCT_GROUPS if self.quantizes else 0,
                "num_vq_embeddings": self.codes,
            }
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
    :param gain: limits of a random factor of an item's brightness; [1, 1] leaves it.
    :param folds: for the out-of-fold predictions of the training patients, see docs/training.md.
    :param kept: do not train it: it is that of the bundle that is fine-tuned, if that has one.
    """

    training: Training
    scheme: str = "4-class"
    layers: tuple[int, int, int, int] = (2, 2, 2, 2)
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    with_gtv: bool = True
    pooling: int = 1
    folds: int = 5
    gain: tuple[float, float] = (0.9, 1.1)
    label_smoothing: float = 0.1
    kept: bool = False

    def __post_init__(self) -> None:
        one_of("classifier.scheme", self.scheme, CLASSIFIER_SCHEMES)
        require(self.folds >= 2, "classifier.folds must be 2 or more")
        _check_gain(self.gain)
        require(0.0 <= self.label_smoothing < 1.0, "classifier.label_smoothing must lie in [0, 1)")
        require(self.pooling >= 1, "classifier.pooling must be 1 or more")

    @property
    def input_channels(self) -> int:
        return 2 if self.with_gtv else 1

    def network(self) -> dict[str, Any]:
        """Configuration of the network class."""
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
    :param class_width: length of the class token in the cross-attention; None: two numbers a class, as in the released
        code.
    :param fold: side of the pixel blocks that are moved into channels, see `GBMResponseCore.model.networks.Denoiser`.
    :param class_in_cross_attention, class_in_time_embedding: where the class enters; the paper has the first alone.
    :param label_dropout: share of items trained without class; 0 as in the released code, and no guidance then.
    :param prediction: `v_prediction` or `epsilon` (the paper's).
    :param min_snr_gamma: Min-SNR weighting of the loss (Hang et al. 2023, arXiv 2303.09556); None: equal weights.
    :param window: side of the windows around the GTV that it sees, in pixels of a slice; None: whole slices, as in the
        paper. What is outside of them does not change. A window covers the GTV and `window_margin`, or several do,
        which overlap by `window_overlap` at least, see `GBMResponseCore.model.windows`.
    :param gtv_weight: extra weight of the loss inside the GTV.
    :param gtv_margin: pixels around the GTV that count as inside for that weight, and for the scale of the change.
    :param predict_change: generate the change from the pre latent instead of the post latent.
    :param coarse_first: 0: the change has the same variance in all latent channels; 1: the variance that it has in the
        image; see :func:`GBMResponseTraining.items.latents.with_coarse_first`.
    :param keep_detail: predictions keep what the autoencoder loses of the input, see
        `GBMResponseCore.model.slice_model.SliceModel.detail`.
    :param neighbor_slices: slices on either side whose pre latents are conditions too (2.5-D).
    :param days_since_rt: condition on the days from the start of radiotherapy to the follow-up.
    :param flip: show left-right flipped slices too, as often.
    :param start: folder of a finished stage, such as `OTHER_RUN/diffusion/2-class`, whose averaged weights the training
        starts from; of a run with the same autoencoders.
    :param late_share: share of the items in the last twentieth of the time steps, where the expected image is decided.
    :param second_ema_decay: of another moving average of the weights; the validation chooses between the two.
    :param even_time_steps: time steps that cover the range evenly in every batch; else drawn independently, as usual.
    :param preview_slices, preview_steps: of the image grid at every validation.
    """

    training: Training
    channels: tuple[int, ...] = (160, 320, 480, 640)
    blocks: int = 2
    groups: int = 32
    attention_levels: tuple[int, ...] = (1, 2)
    head_channels: int = 16
    class_width: int | None = 64
    fold: int = 1
    class_in_cross_attention: bool = True
    class_in_time_embedding: bool = True
    label_dropout: float = 0.15
    prediction: str = "v_prediction"
    min_snr_gamma: float | None = None
    window: int | None = None
    window_margin: int = 24
    window_overlap: int = 32
    gtv_weight: float = 0.0
    gtv_margin: int = 0
    predict_change: bool = False
    coarse_first: float = 0.0
    keep_detail: bool = False
    neighbor_slices: int = 0
    days_since_rt: bool = False
    ema_decay: float = 0.9999
    second_ema_decay: float | None = None
    late_share: float = 0.05
    flip: bool = True
    start: str | None = None
    even_time_steps: bool = True
    preview_slices: int = 4
    preview_steps: int = 10

    def __post_init__(self) -> None:
        one_of("prediction", self.prediction, PREDICTIONS)
        require(0.0 <= self.label_dropout < 1.0, "label_dropout must lie in [0, 1)")
        require(self.neighbor_slices >= 0 and self.fold >= 1, "neighbor_slices or fold is too small")
        for name in ("ema_decay", "second_ema_decay", "late_share"):
            require(0.0 <= (getattr(self, name) or 0.0) < 1.0, f"{name} must lie in [0, 1)")
        require(self.gtv_margin >= 0 and self.window_margin >= 0, "gtv_margin and window_margin must be 0 or more")
        if self.window is not None:
            require(0 < self.window_overlap < self.window, "window_overlap must lie between 0 and window")
            require(self.predict_change, "a model of windows must predict the change: outside of them there is none")
        require(0.0 <= self.coarse_first <= 1.0, "coarse_first must lie in [0, 1]")
        require(self.predict_change or not self.coarse_first, "coarse_first is for a model that predicts the change")
        require(self.predict_change or not self.keep_detail, "keep_detail is for a model that predicts the change")
        levels = range(len(self.channels))
        require(all(level in levels for level in self.attention_levels), "attention_levels names a missing level")
        require(self.class_in_cross_attention or not self.days_since_rt, "days_since_rt needs class_in_cross_attention")
        require(all(width % self.groups == 0 for width in self.channels), "channels must be multiples of groups")

    def network(self) -> dict[str, Any]:
        """What weights of one training need to have in common to be of use in another one."""
        names = (
            "channels", "blocks", "groups", "attention_levels", "head_channels", "class_width", "fold",
            "class_in_cross_attention", "class_in_time_embedding", "prediction", "predict_change", "neighbor_slices",
            "days_since_rt", "flip",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
