"""Everything that decides a training run.

A configuration starts from a preset in `configs/` (`paper`, `small`, `demo`) or from a file, takes `--set` overrides,
and is written into the run folder as `configuration.yaml`: that snapshot repeats the run. `reader` reads the YAML.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.request import SamplingOptions

from .networks import Autoencoder, Classifier, ConfigurationError, Diffusion, one_of, require

PHASED_NETWORKS = ("image_autoencoder", "gtv_autoencoder", "diffusion")
PRECISIONS = ("auto", "32-true", "bf16-mixed")


@dataclass(frozen=True)
class Phase:
    """An earlier part of a network's training: what is trained next starts from its weights.

    Crops before whole slices, say. The last part is the network's own section of the configuration.

    :param network: `image_autoencoder`, `gtv_autoencoder` or `diffusion`.
    :param name: of its folder, below that of the network.
    :param settings: the network's section during this phase. YAML states what differs from the last part.
    :param extra_images_share: if it differs from the configuration's.
    """

    network: str
    name: str
    settings: Autoencoder | Diffusion
    extra_images_share: float | None = None

    def __post_init__(self) -> None:
        one_of("network", self.network, PHASED_NETWORKS)
        require(re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name) is not None, f"'{self.name}' is no name of a folder")


@dataclass(frozen=True)
class Configuration:
    """A whole experiment: both autoencoders, the classifier, and the diffusion model of every configuration.

    :param phases: what is trained before the sections above, in this order. A `start` of a section is that of its
        first phase.
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
        default_factory=lambda: {"sampler": "unipc", "steps": 10, "guidance_scale": 1.0, "eta": 0.0}
    )
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        one_of("precision", self.precision, PRECISIONS)
        require(self.seed >= 0 and self.workers >= 0, "seed and workers must be 0 or more")
        require(0.0 <= self.extra_images_share <= 1.0, "extra_images_share must lie in [0, 1]")
        try:
            SamplingOptions(**self.sampling)
        except (TypeError, GBMResponseError) as error:
            raise ConfigurationError(f"Sampling is not possible: {error}") from None
        image, gtv = self.image_autoencoder, self.gtv_autoencoder
        require(
            image.downsampling == gtv.downsampling and image.latent_channels == gtv.latent_channels,
            "image and GTV autoencoder must have latents of one size (levels and latent_channels)",
        )
        for network in PHASED_NETWORKS:
            self._check_phases(network)

    def phases_of(self, network: str) -> list[tuple[str | None, "Configuration"]]:
        """Parts of a network's training in their order, as (name, configuration); the name of the last one is None."""
        parts: list[tuple[str | None, Configuration]] = []
        for phase in self.phases:
            if phase.network == network:
                share = self.extra_images_share if phase.extra_images_share is None else phase.extra_images_share
                changed: dict[str, Any] = {network: phase.settings, "extra_images_share": share, "phases": ()}
                parts.append((phase.name, dataclasses.replace(self, **changed)))
        return [*parts, (None, self)]

    def _check_phases(self, network: str) -> None:
        """Better known before than after the first phase.

        :raises ConfigurationError: a phase cannot start from the one before.
        """
        parts = self.phases_of(network)
        names = [name for name, _ in parts]
        require(len(set(names)) == len(names), f"two phases of {network} have one name")
        last = getattr(self, network)
        for place, (name, configuration) in enumerate(parts):
            section = getattr(configuration, network)
            where = f"phase {name} of {network}" if name else network
            require(section.network() == last.network(), f"{where} has another network than {network}")
            if place and isinstance(section, Autoencoder):
                require(section.quantize_from == 0.0, f"{where} follows a phase: quantize_from must be 0")

    def to_dict(self) -> dict[str, Any]:
        """JSON and YAML values."""
        return plain(dataclasses.asdict(self))


def plain(value: Any) -> Any:
    """Return a value as JSON and YAML have it: dictionaries and lists of their own."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
