"""How slices are brought to what a model knows: its pixel size and matrix, and intensities of about [-1, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ..errors import BundleSchemaError, ConstantImageError, OptionError

KINDS = ("percentile", "max")
_HIGHEST_PADDING = -900.0
_LEAST_PADDING = 0.001
_PADDING_GAP = 500.0
_HOT = 20.0
_LARGEST_BLACK = 0.2
"""Largest level of the background, relative to the brightest tissue."""
_CT_SIGNS = ((-200, 0.05), (-900, 0.01))
"""A volume with at least this fraction of voxels below this value is no MR, unless they are padding."""
_BRIGHTEST_SOFT_TISSUE = 100.0
"""Hounsfield units."""


@dataclass(frozen=True)
class InPlaneRule:
    """How slices are brought to the pixel size and matrix a model was trained with; stored in the model bundle.

    :param size: rows and columns of a stack slice.
    :param native_spacing_mm: pixel sizes (smallest, largest) that are kept as acquired.
    :param spacing_mm: pixel size used instead of one outside that range.
    :param slice_spacing_mm: distance of slices when a volume has no usable axial slices of its own.
    :param axial_tolerance_deg: largest angle between image axes and patient axes of an axial acquisition.
    """

    size: int = 256
    native_spacing_mm: tuple[float, float] = (0.8, 1.05)
    spacing_mm: float = 0.9375
    slice_spacing_mm: float = 3.0
    axial_tolerance_deg: float = 30.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InPlaneRule":
        """:raises BundleSchemaError: for an unknown key."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise BundleSchemaError(f"Unknown in-plane rule: {', '.join(sorted(unknown))}.")
        rule = cls(**values)
        return cls(**{**asdict(rule), "native_spacing_mm": tuple(rule.native_spacing_mm)})

    @classmethod
    def of_size(cls, size: int) -> "InPlaneRule":
        """Return the default rule on another matrix with the same field of view.

        :raises OptionError: networks that halve a slice five times cannot take this size.
        """
        if size < 64 or size % 32:
            raise OptionError(f"Slices of {size} pixels are not possible.", "Use a multiple of 32 from 64.")
        rule = cls()
        factor = rule.size / size
        low, high = (factor * value for value in rule.native_spacing_mm)
        return replace(rule, size=size, native_spacing_mm=(low, high), spacing_mm=factor * rule.spacing_mm)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "native_spacing_mm": list(self.native_spacing_mm)}


@dataclass(frozen=True)
class NormalizationSettings:
    """How a model's inputs are normalized; stored in the model bundle.

    :param kind: ``percentile`` (robust), or ``max``: the volume's maximum, as the authors of the method did.
    :param percentile: of the foreground, mapped to 1 (``percentile`` only).
    :param clip_high: largest normalized value: a few bright vessels must not dominate.
    """

    kind: str = "percentile"
    percentile: float = 99.5
    clip_high: float = 1.5

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NormalizationSettings":
        """:raises BundleSchemaError: for an unknown key or kind."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise BundleSchemaError(f"Unknown normalization setting: {', '.join(sorted(unknown))}.")
        settings = cls(**values)
        if settings.kind not in KINDS:
            raise BundleSchemaError(f"Unknown normalization '{settings.kind}', known are {', '.join(KINDS)}.")
        return settings

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class IntensityScale:
    """Maps ``low`` to -1 and ``high`` to 1.

    :param low: intensity, in the image's units.
    :param high: intensity, in the image's units, above ``low``.
    :param clip_high: largest normalized value; the smallest is -1.
    """

    low: float
    high: float
    clip_high: float = 1.5

    def normalize(self, array: np.ndarray) -> np.ndarray:
        """Intensities of any shape -> float32 in [-1, clip_high]."""
        scaled = (np.asarray(array, np.float32) - self.low) * (2 / (self.high - self.low)) - 1
        return np.clip(scaled, -1, self.clip_high).astype(np.float32)

    def restore(self, array: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`normalize`; float32, the image's units. Values beyond the clip range count as its ends."""
        clipped = np.clip(np.asarray(array, np.float32), -1, self.clip_high)
        restored = (clipped + 1) * ((self.high - self.low) / 2) + self.low
        return restored.astype(np.float32)


def fit_scale(volume: np.ndarray, settings: NormalizationSettings | Mapping[str, Any] | None = None) -> IntensityScale:
    """Find the scale of a volume (any shape); padding and single hot voxels do not count, see `ordinary_range`.

    ``percentile``: low is 0, or the 0.1 percentile of a volume with negative values or with a background far above 0;
    high is a percentile of the foreground, which are the voxels above the mean of the positive voxels. Zero padding is
    not positive, so it does not change high. ``max``: low is 0, so negative values become 0, and high is the maximum.

    :raises ConstantImageError: if the volume has no contrast.
    """
    if not isinstance(settings, NormalizationSettings):
        settings = NormalizationSettings.from_dict(settings or {})
    volume = np.asarray(volume)
    offset = settings.kind != "max" and _has_bright_background(volume)
    volume = _ordinary(volume)
    if settings.kind == "max":
        low, high = 0.0, float(volume.max())
    else:
        low = 0.0 if volume.min() >= 0 and not offset else float(np.percentile(volume, 0.1))
        high = float(np.percentile(_foreground(volume, low if offset else 0.0), settings.percentile))
    if not high > low:
        raise ConstantImageError("The intensities of the volume cannot be scaled: it has no contrast.")
    return IntensityScale(low, high, settings.clip_high)


def ordinary_mean(volume: np.ndarray) -> float:
    """Mean of a volume without padding and hot voxels."""
    return float(_ordinary(volume).mean())


def ordinary_range(volume: np.ndarray) -> tuple[float, float]:
    """Lowest and highest intensity of a volume without what is not signal.

    Padding is a value of -900 or less that many voxels share and that is far below all others (-1024, -32768). Hot
    voxels are more than 20 times brighter than all but 0.1 % of the positive ones; vessels are not.
    """
    lowest, highest = float(volume.min()), float(volume.max())
    if lowest <= _HIGHEST_PADDING and np.count_nonzero(volume == lowest) >= _LEAST_PADDING * volume.size:
        above = volume[volume > lowest]
        if above.size and above.min() - lowest >= _PADDING_GAP:
            lowest = float(above.min())
    sample = _sample(volume)
    positive = sample[sample > 0]
    if positive.size:
        limit = _HOT * float(np.percentile(positive, 99.9))
        if highest > limit > 0:
            highest = float(volume[volume <= limit].max())
    return lowest, highest


def is_ct(volume: np.ndarray) -> bool:
    """Whether a volume has values like a CT in Hounsfield units, whose air is -1000, rather than a padded MR."""
    lowest = float(volume.min())
    if not _has_air_of_ct(volume, lowest):
        return False
    signal = ordinary_range(volume)[0]
    if signal == lowest:
        return True
    rest = volume[volume >= signal]
    return _has_air_of_ct(rest, signal) or float(np.median(rest[rest > rest.mean()])) <= _BRIGHTEST_SOFT_TISSUE


def _has_air_of_ct(volume: np.ndarray, lowest: float) -> bool:
    return any(lowest < limit and np.mean(volume < limit) >= fraction for limit, fraction in _CT_SIGNS)


def _ordinary(volume: np.ndarray) -> np.ndarray:
    """The volume itself if there is nothing to leave out, else its signal, shape (m,)."""
    lowest, highest = ordinary_range(volume)
    if lowest == volume.min() and highest == volume.max():
        return volume
    return volume[(volume >= lowest) & (volume <= highest)]


def _sample(volume: np.ndarray) -> np.ndarray:
    """About a million voxels (m,), evenly spread."""
    return volume.ravel()[:: max(1, volume.size // 1_000_000)]


def _has_bright_background(volume: np.ndarray) -> bool:
    """Whether black is far above 0: the corners, which are air, are as dark as the darkest voxels and yet bright."""
    if volume.min() <= 0:
        return False
    darkest, brightest = np.percentile(_sample(volume), (0.1, 99.5))
    if darkest <= _LARGEST_BLACK * brightest:
        return False
    corners = [np.r_[: max(1, size // 16), size - max(1, size // 16) : size] for size in volume.shape]
    air = float(np.median(volume[np.ix_(*corners)]))
    return air <= darkest + _LARGEST_BLACK * (brightest - darkest)


def _foreground(volume: np.ndarray, black: float) -> np.ndarray:
    """Voxels (m,) above the mean of the voxels brighter than black, or of all voxels if none is."""
    positive = volume[volume > black]
    tissue = positive if positive.size else volume.ravel()
    return tissue[tissue >= tissue.mean(dtype=np.float64)]


def bounding_box(selected: np.ndarray, margin: Sequence[int] = (0, 0, 0)) -> tuple[slice, ...] | None:
    """Slices around the True voxels of an array and `margin` voxels more, within it; None if there are none."""
    box = []
    for axis in range(selected.ndim):
        others = tuple(a for a in range(selected.ndim) if a != axis)
        hits = np.flatnonzero(selected.any(axis=others))
        if not hits.size:
            return None
        last = min(int(hits[-1]) + margin[axis], selected.shape[axis] - 1)
        box.append(slice(max(int(hits[0]) - margin[axis], 0), last + 1))
    return tuple(box)
