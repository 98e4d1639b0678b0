"""Fixed recipes for a bundle: what is simulated, which networks, how long they train."""

from dataclasses import dataclass, field
from typing import Any

NOISE_SCHEDULE = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
}
"""The paper's schedule; velocity instead of noise prediction, which learns faster in few steps."""

CLASS_NAMES = {"2-class": ("short", "long"), "4-class": ("quartile1", "quartile2", "quartile3", "quartile4")}
CLASS_QUANTILES = {"2-class": (0.5,), "4-class": (0.25, 0.5, 0.75)}
TOKEN_COUNT = 7
"""Two classes, four classes and the null class."""


def vq_autoencoder(width: int, codes: int) -> dict[str, Any]:
    """Configuration of a residual VQ-VAE with f = 4 and four latent channels (diffusers `VQModel`)."""
    return {
        "_class_name": "VQModel",
        "in_channels": 1,
        "out_channels": 1,
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "block_out_channels": [width, 2 * width, 4 * width],
        "layers_per_block": 1,
        "latent_channels": 4,
        "num_vq_embeddings": codes,
        "vq_embed_dim": 4,
        "norm_num_groups": 8,
        "mid_block_add_attention": False,
    }


def folded_unet(widths: tuple[int, ...], fold: int, heads: tuple[int, ...], latent_size: int) -> dict[str, Any]:
    """Configuration of the class-conditional UNet: attention at every level but the first."""
    channels = 4 * fold**2
    lower = len(widths) - 1
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": latent_size // fold,
        "in_channels": 3 * channels,
        "out_channels": channels,
        "layers_per_block": 1,
        "block_out_channels": list(widths),
        "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * lower],
        "up_block_types": [*["CrossAttnUpBlock2D"] * lower, "UpBlock2D"],
        "attention_head_dim": list(heads),
        "cross_attention_dim": 64,
        "encoder_hid_dim": TOKEN_COUNT,
        "encoder_hid_dim_type": "text_proj",
        "num_class_embeds": TOKEN_COUNT,
        "norm_num_groups": 16,
    }


@dataclass(frozen=True)
class Training:
    """Steps, batch and learning rate of one network."""

    steps: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a bundle, apart from the input folders."""

    name: str
    version: str
    train_patients: int
    test_patients: int
    slices: int
    train_anatomies: dict[str, float]
    test_anatomies: dict[str, float]
    real_training_cases: tuple[str, ...]
    real_test_cases: tuple[str, ...]
    real_share: float
    crop: int
    image_autoencoder: dict[str, Any]
    image_training: Training
    gtv_autoencoder: dict[str, Any]
    gtv_training: Training
    quantize_after: float
    classifier: dict[str, Any]
    classifier_training: Training
    classifier_pooling: int
    unet: dict[str, Any]
    fold: int
    diffusion_training: Training
    predict_change: bool = True
    label_dropout: float = 0.15
    gtv_weight: float = 3.0
    ema_decay: float = 0.995
    seed: int = 2026
    noise_schedule: dict[str, Any] = field(default_factory=lambda: dict(NOISE_SCHEDULE))
    sampling: dict[str, Any] = field(
        default_factory=lambda: {"sampler": "unipc", "steps": 10, "guidance_scale": 2.0, "eta": 0.0}
    )


def _classifier(widths: tuple[int, ...]) -> dict[str, Any]:
    return {
        "_class_name": "ResNet",
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": list(widths),
        "n_input_channels": 2,
        "num_classes": 4,
        "conv1_t_size": 5,
        "conv1_t_stride": 2,
    }


DEMO = Recipe(
    name="gbm-response-demo-0",
    version="0.1.0",
    train_patients=320,
    test_patients=24,
    slices=6,
    train_anatomies={"colin27": 0.75, "icbm152": 0.25},
    test_anatomies={"robex": 1.0},
    real_training_cases=("01", "02", "03", "04"),
    real_test_cases=("05", "06"),
    real_share=0.3,
    crop=128,
    image_autoencoder=vq_autoencoder(16, 8192),
    image_training=Training(2000, 8, 1.5e-3),
    gtv_autoencoder=vq_autoencoder(8, 1024),
    gtv_training=Training(350, 8, 2e-3),
    quantize_after=0.5,
    classifier=_classifier((16, 32, 64, 96)),
    classifier_training=Training(250, 32, 1e-3),
    classifier_pooling=2,
    unet=folded_unet((64, 128, 192), 2, (2, 4, 6), 64),
    fold=2,
    diffusion_training=Training(1000, 16, 4e-4),
)

SMOKE = Recipe(
    name="gbm-response-smoke",
    version="0.0.0",
    train_patients=4,
    test_patients=2,
    slices=2,
    train_anatomies={"egg": 1.0},
    test_anatomies={"egg": 1.0},
    real_training_cases=("01",),
    real_test_cases=("05",),
    real_share=0.3,
    crop=64,
    image_autoencoder=vq_autoencoder(8, 64),
    image_training=Training(6, 2, 1e-3),
    gtv_autoencoder=vq_autoencoder(8, 32),
    gtv_training=Training(6, 2, 1e-3),
    quantize_after=0.5,
    classifier=_classifier((8, 8, 8, 8)),
    classifier_training=Training(4, 4, 1e-3),
    classifier_pooling=4,
    unet=folded_unet((16, 32), 4, (2, 4), 64),
    fold=4,
    diffusion_training=Training(6, 2, 1e-3),
    ema_decay=0.9,
    sampling={"sampler": "unipc", "steps": 2, "guidance_scale": 2.0, "eta": 0.0},
)

RECIPES = {"demo": DEMO, "smoke": SMOKE}
