"""Whether what is in a bundle fits what it says about itself: hashes only tell that it came as it was packed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.module import register_module_module_registration_hook

from ..errors import BundleError, BundleSchemaError
from ..setting import decided
from .environment import lacks_memory
from .sampling import build_scheduler

if TYPE_CHECKING:
    from .bundle import Bundle, Networks

_QUICK_SIZE = 64
"""Rows and columns of a slice that any of our networks takes, and that costs little."""


_MOST_LAYERS = 5_000


@contextmanager
def must_fit(what: str) -> Iterator[None]:
    """Turn whatever a part of a bundle makes of the code into an error of that bundle.

    :param what: the part, for the message.
    :raises BundleSchemaError: the part cannot be used.
    """
    layers = 0

    def count(*_: object) -> None:
        nonlocal layers
        layers += 1
        if layers > _MOST_LAYERS:  # their number may be one that no loop comes to
            raise ValueError("it has more layers than any network")

    hook = register_module_module_registration_hook(count)
    try:
        yield
    except BundleError:
        raise
    except Exception as error:
        # What is no fault of the bundle: the memory, or a package that does not load.
        if isinstance(error, ImportError) or lacks_memory(error):
            raise
        if isinstance(error.__cause__, (ImportError, OSError)):
            raise
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        message = f"{what} cannot be used ({type(error).__name__}: {reason})."
        raise BundleSchemaError(message, "Install the bundle again, or ask who made it.") from error
    finally:
        hook.remove()


def check_description(bundle: "Bundle") -> None:
    """Read every field that is used later.

    :raises BundleSchemaError: one has a value that cannot be.
    """
    with must_fit(f"bundle.json of {bundle.folder.name!r}"):
        sampling, rule = bundle.default_sampling, bundle.in_plane_rule
        tokens = [bundle.null_token, *(entry.token for scheme in bundle.schemes.values() for entry in scheme.classes)]
        _ = sampling, rule, bundle.normalization, bundle.composition, bundle.classifier_scheme, tokens
        for scheme in bundle.schemes.values():
            scheme.check_ranges()
        latents = bundle.description["latents"]
        for name in ("shift", "scale"):
            for part in ("image", "gtv"):
                _expect(f"latents/{part}/{name}", len(latents[part][name]), {1, bundle.latent_channels})
        if (bundle.window_rule is not None or bundle.keeps_detail) and bundle.residual_scale is None:
            raise ValueError("a model of windows, or one that keeps the input's detail, must generate the change")
        if bundle.residual_scale is not None:
            _expect("latents/change_scale", len(bundle.residual_scale), {1, bundle.latent_channels})
        head = bundle.enhancement_head
        for name in ("hidden_bias", "output"):
            if head is not None:
                _expect(f"enhancement_head/{name}", len(head[name]), {len(head["hidden"])})
        _expect("in_plane/size modulo latents/downsampling", rule.size % latents["downsampling"], {0})


@torch.inference_mode()
def try_networks(bundle: "Bundle", networks: "Networks") -> None:
    """Send a slice through all networks, which are on the CPU: on a graphics card a wrong class ends the process.

    :raises BundleSchemaError: they do not fit each other or the description, or compute no numbers.
    """
    with must_fit(f"The noise schedule of the bundle {bundle.name!r}"):
        _expect("num_train_timesteps", bundle.scheduler_config["num_train_timesteps"], range(1, 10_001))
        _expect("prediction_type", bundle.scheduler_config["prediction_type"], {"epsilon", "sample", "v_prediction"})
        kept = build_scheduler(bundle.scheduler_config, bundle.default_sampling).alphas_cumprod
        if not bool(((kept >= 0) & (kept <= 1)).all()):
            raise ValueError("it adds no noise, or less than none")
    size = bundle.in_plane_rule.size
    with must_fit(f"A network of the bundle {bundle.name!r}"):
        try:
            _try(bundle, networks, min(_QUICK_SIZE, size))
        except RuntimeError:  # a deep network may need larger slices
            _try(bundle, networks, size)


def _try(bundle: "Bundle", networks: "Networks", size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 1, size, size), generator=generator) * 2 - 1
    latents = [networks.image_autoencoder.encode(image), networks.gtv_autoencoder.encode((image > 0).float())]
    side = size // bundle.description["latents"]["downsampling"]
    for part in latents:
        _expect("shape of a latent", tuple(part.shape), {(1, bundle.latent_channels, side, side)})
    sources = torch.cat([*latents, *[latents[0]] * (2 * bundle.neighbor_slices)], dim=1)
    config = networks.denoiser.unet.config
    known = config.get("num_class_embeds") or config.get("encoder_hid_dim")
    tokens = {entry.token for scheme in bundle.schemes.values() for entry in scheme.classes} | {bundle.null_token}
    if networks.denoiser.uses_class:
        _expect("largest token of a class", max(tokens), range(known))
    token, step = torch.tensor([max(tokens)]), torch.tensor(500)
    output = networks.denoiser(torch.randn(latents[0].shape, generator=generator), sources, step, token)
    _expect("shape of the denoiser's output", tuple(output.shape), {tuple(latents[0].shape)})
    decoded = networks.image_autoencoder.decode(latents[0])
    _expect("shape of a decoded slice", tuple(decoded.shape), {(1, 1, size, size)})
    results = [*latents, output, decoded]
    if networks.classifier is not None:
        pooling = bundle.description["classifier"]["pooling"]
        inputs = torch.cat([image, image], dim=1)[:, : networks.classifier.conv1.in_channels]
        logits = networks.classifier(torch.nn.functional.avg_pool2d(inputs, pooling))
        _expect("classes of the classifier", tuple(logits.shape), {(1, len(decided(bundle.classifier_scheme).classes))})
        results.append(logits)
    if not all(bool(result.isfinite().all()) for result in results):
        raise ValueError("it computes values that are no numbers")


def _expect(name: str, value: object, allowed: set[Any] | range) -> None:
    if isinstance(value, bool) or value not in allowed:
        raise ValueError(f"{name} is {value!r}, expected {_text(allowed)}")


def _text(allowed: set[Any] | range) -> str:
    return f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else " or ".join(map(str, sorted(allowed)))
