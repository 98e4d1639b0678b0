"""The `*-project.yaml` of a run of the authors' code: what the import needs, and what it refuses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import check_file

_LDM = ("model", "params")
_UNET = (*_LDM, "unet_config", "params")
_DATA = ("data", "params")
_UNCONDITIONAL = "__is_unconditional__"

# (path, value that the import supports, value that the authors' code uses when the key is absent)
_SUPPORTED = (
    ((*_LDM, "source_keys"), ["preMRI", "gtv"], None),
    ((*_LDM, "parameterization"), "eps", "eps"),
    ((*_LDM, "beta_schedule"), "linear", "linear"),
    ((*_LDM, "given_betas"), None, None),
    ((*_LDM, "scale_factor"), 1.0, 1.0),
    ((*_LDM, "scale_by_std"), False, False),
    ((*_UNET, "dims"), 2, 2),
    ((*_UNET, "conv_resample"), True, True),
    ((*_UNET, "num_classes"), None, None),
    ((*_UNET, "resblock_updown"), False, False),
    ((*_UNET, "use_scale_shift_norm"), False, False),
    ((*_UNET, "use_new_attention_order"), False, False),
    ((*_UNET, "num_attention_blocks"), None, None),
    ((*_UNET, "disable_self_attentions"), None, None),
    ((*_UNET, "disable_middle_self_attn"), False, False),
    ((*_DATA, "normalization"), "max", None),
    ((*_DATA, "tanh_range"), True, None),
)


@dataclass(frozen=True)
class ProjectConfig:
    """The supported part of a run's configuration.

    :param latent_size: rows and columns of a latent.
    :param channels: channels of one latent.
    :param unet: keyword arguments of the authors' `UNetModel`.
    :param class_count: survival classes without the unconditional one; 0 for a model without class.
    :param class_width: length d of a class embedding; 0 for a model without class.
    """

    latent_size: int
    channels: int
    beta_start: float
    beta_end: float
    train_steps: int
    sampling_steps: int
    unet: dict[str, Any]
    class_count: int
    class_width: int


def read_project_config(path: Path) -> ProjectConfig:
    """Read the YAML file.

    :raises MissingFileError, EmptyFileError: there is no such file, or nothing in it.
    :raises OptionError: it is not the YAML of an LDM run, or the run cannot be imported.
    """
    import yaml

    check_file(path, "configuration")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"The configuration {path.name} is not readable YAML.", "Give *-project.yaml.") from error
    _refuse_noised_sources(config)
    for keys, supported, default in _SUPPORTED:
        value = _get(config, keys, default)
        if value != supported:
            raise OptionError(
                f"The configuration has {'.'.join(keys)} = {value!r}; the import supports {supported!r} only.",
                "Import a run that was configured like the authors' image_2_image_src_* files.",
            )
    class_count, class_width = _class_embedding(config)
    return ProjectConfig(
        latent_size=int(_need(config, (*_LDM, "image_size"))),
        channels=int(_need(config, (*_LDM, "channels"))),
        beta_start=float(_need(config, (*_LDM, "linear_start"))),
        beta_end=float(_need(config, (*_LDM, "linear_end"))),
        train_steps=int(_need(config, (*_LDM, "timesteps"))),
        sampling_steps=int(_get(config, (*_LDM, "ddim_steps"), None) or 200),
        unet={
            **_need(config, _UNET),
            **{name: _need(config, (*_UNET, name)) for name in ("model_channels", "num_res_blocks", "channel_mult")},
            **{name: _need(config, (*_UNET, name)) for name in ("attention_resolutions", "num_head_channels")},
        },
        class_count=class_count,
        class_width=class_width,
    )


def _refuse_noised_sources(config: Any) -> None:
    if _get(config, (*_LDM, "noised_source"), False):
        raise OptionError(
            "A run with noised sources (noised_source: true, the noisy_src files) cannot be imported: its UNet has a "
            "time step per modality and predicts three noises, which no diffusers UNet holds, and the released "
            "sampling adds noise to the source at every step until nothing of it is left.",
            "Import a run of the image_2_image_src_* configurations, which the paper describes.",
        )


def _class_embedding(config: Any) -> tuple[int, int]:
    """Return class count and embedding length; zeros for a model without class."""
    stage = _need(config, (*_LDM, "cond_stage_config"))
    transformer = bool(_get(config, (*_UNET, "use_spatial_transformer"), False))
    if stage == _UNCONDITIONAL and not transformer:
        return 0, 0
    if not transformer or not str(_get(stage, ("target",), "")).endswith(".ClassEmbedder"):
        raise OptionError(
            "The configuration conditions the UNet in a way that the import does not know.",
            "Supported are ClassEmbedder with use_spatial_transformer, and __is_unconditional__ without it.",
        )
    return int(_need(stage, ("params", "n_classes"))), int(_need(stage, ("params", "embed_dim")))


def _get(config: Any, keys: tuple[str, ...], default: Any) -> Any:
    for key in keys:
        if not isinstance(config, dict) or key not in config:
            return default
        config = config[key]
    return config


def _need(config: Any, keys: tuple[str, ...]) -> Any:
    value = _get(config, keys, None)
    if value is None:
        raise OptionError(
            f"The configuration lacks {'.'.join(keys)}.", "Give logs/<run>/configs/*-project.yaml of an LDM run."
        )
    return value
