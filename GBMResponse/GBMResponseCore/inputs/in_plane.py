"""The rule by which slices are brought to the pixel size and matrix of a model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..errors import BundleSchemaError, OptionError


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
