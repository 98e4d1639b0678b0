"""From any mask to the GTV: what its values mean, which of them are asked for, and where it lies in the image."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk

from ..errors import EmptyGTVError, GeometryError, NoOverlapError, NotAMaskError, OptionError
from .preprocessing import ordinary_mean, ordinary_range
from .reading import Note
from .resampling import image_like, outer_corners, resample_mask, same_grid, voxel_centers, voxel_indices

_MOST_LABELS = 50
_HIGHEST_FRACTION = 255
"""Largest value of a soft mask: fractions come as 0...1, 0...100 or 0...255."""
_SOFT_LEVELS = 5
"""Fewest whole values of a soft mask: labels are fewer, or touch the background."""
_SMALL_LABEL = 10
"""Largest value up to which whole numbers are always labels."""
_PLATEAU = 0.02
"""Smallest fraction of a mask's voxels that a label holds after interpolation."""
_MOST_OF_THE_HEAD = 0.5
_LARGE_ML = 100.0
"""A GTV of less is believed whatever it takes of the image, which may be cropped about it."""
_DARKEST_TISSUE = 0.12
"""Intensity above that of air, relative to the mean of the head; liquor has about a quarter."""
_TISSUE_IN_AIR = 0.05
_SEGMENT = (("Layer", "0"), ("LabelValue", "1"))
"""Parts of a segment's description in a .seg.nrrd, and what Slicer takes for those that are absent."""
_MIRRORED = {"left and right": (-1, 1, 1), "front and back": (1, -1, 1), "LPS and RAS": (-1, -1, 1)}


def select_labels(
    mask: sitk.Image, labels: Sequence[int | str], values: Mapping[str, str], notes: list[Note]
) -> sitk.Image:
    """The voxels that have one of some labels, as uint8 0/1.

    :param labels: whole numbers, or names of segments.
    :param values: `key:=value` lines of the NRRD header, which name the segments of a `.seg.nrrd`.
    :raises OptionError: a name or a layer does not exist.
    :raises EmptyGTVError: no voxel has one of the labels.
    """
    names = segment_names(values)
    chosen = [_label_of(label, names) for label in labels]
    voxels = sitk.GetArrayViewFromImage(mask)
    layered = mask.GetNumberOfComponentsPerPixel() > 1
    inside = np.zeros(mask.GetSize()[::-1], bool)
    missing = []
    for label, (layer, value) in zip(labels, chosen, strict=True):
        if layered and layer >= voxels.shape[-1]:
            raise OptionError(f"The GTV file has no layer {layer}.", "Save the segmentation again.")
        found = (voxels[..., layer] if layered else voxels) == value
        missing += [] if found.any() else [str(label)]
        inside |= found
    if not inside.any():
        there = ", ".join(sorted(names)) or ", ".join(f"{v:g}" for v in distinct(voxels[voxels > 0], _MOST_LABELS)[:20])
        wanted = ", ".join(map(str, labels))
        message = f"The GTV has no voxels with the label {wanted}; it has {there or 'none'}."
        raise EmptyGTVError(message, "Choose one of these.")
    if missing:
        notes.append(Note("gtv-label-missing", f"The GTV has no voxels with the label {', '.join(missing)}."))
    return image_like(mask, inside.astype(np.uint8))


def segment_names(values: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Layer and label value of each segment of a `.seg.nrrd`, by name; empty for other files."""
    found = {}
    for key, name in values.items():
        match = re.fullmatch(r"(Segment\d+)_Name", key)
        if match:
            layer, label = (values.get(f"{match[1]}_{part}", default) for part, default in _SEGMENT)
            if layer.isdigit() and label.isdigit():
                found[name] = int(layer), int(label)
    return found


def binary(mask: sitk.Image, notes: list[Note]) -> sitk.Image:
    """A mask as uint8 0/1, whatever its labels, fractions or distances.

    :raises EmptyGTVError, NotAMaskError: it has no voxels, or its values have no clear meaning.
    """
    voxels = sitk.GetArrayViewFromImage(mask)
    positive = voxels[voxels > 0]
    if not positive.size:
        raise EmptyGTVError("The GTV has no voxels.")
    if voxels.min() < 0 and np.count_nonzero(voxels == 0) < 0.01 * voxels.size:
        return image_like(mask, _inside_of_distances(voxels, notes).astype(np.uint8))
    levels = distinct(positive, _MOST_LABELS)
    many, highest = levels.size > _MOST_LABELS, float(positive.max())
    whole = not many and bool(np.all(levels == np.round(levels)))
    if many and highest > _HIGHEST_FRACTION:
        raise NotAMaskError(f"The GTV has more than {_MOST_LABELS} different values up to {highest:g}.")
    if not whole or _is_soft(voxels, levels):
        _refuse_interpolated_labels(positive)
        threshold = highest / 2
        if levels.size > 1:
            notes.append(Note("gtv-fractional", f"The GTV is not binary; values from {threshold:g} up are inside."))
        return image_like(mask, (voxels >= threshold).astype(np.uint8))
    if levels.size > 1:
        labels = ", ".join(f"{level:g}" for level in levels)
        notes.append(Note("gtv-labels", f"The GTV has the labels {labels}; all of them are used as one GTV."))
    return image_like(mask, (voxels > 0).astype(np.uint8))


def on_grid(mask: sitk.Image, image: sitk.Image, oriented: bool, notes: list[Note]) -> sitk.Image:
    """A binary mask on the image's grid.

    :param oriented: whether both headers say which way their axes point.
    :raises NoOverlapError: it lies outside the image.
    :raises GeometryError: its header is mirrored, or one of the two has no orientation.
    :raises EmptyGTVError: nothing is left of it.
    """
    voxels = sitk.GetArrayViewFromImage(mask)
    if same_grid(mask, image):
        return image_like(image, voxels)
    if not oriented:
        message = "Image and GTV have different grids, and the header of one does not say which way its axes point."
        raise GeometryError(message, "Save both with their orientation, as NRRD or NIfTI, for example from 3D Slicer.")
    _refuse_mirrored(mask, image)
    _, within = voxel_indices(image, voxel_centers(mask, voxels > 0))
    if not within.any():
        raise NoOverlapError("The GTV lies outside the image.")
    notes.append(Note("gtv-grid", "The GTV has another grid than the image; it was resampled to the image's grid."))
    if not within.all():
        outside = f"{100 * (1 - within.mean()):.3g} %"
        notes.append(Note("gtv-partly-outside", f"{outside} of the GTV lie outside the image and are not used."))
    result = resample_mask(mask, image)
    if not result.any():
        raise EmptyGTVError("Nothing is left of the GTV on the image's grid.", "Check that the GTV lies in the image.")
    return image_like(image, result.astype(np.uint8))


def check_place(gtv: sitk.Image, image: sitk.Image, notes: list[Note]) -> None:
    """Look whether a GTV is where a tumor can be.

    :param gtv: 0/1 on the image's grid.
    :raises NotAMaskError: it takes most of the head, as an inverted mask does.
    """
    inside = sitk.GetArrayViewFromImage(gtv) > 0
    voxels = sitk.GetArrayViewFromImage(image)
    head = voxels > ordinary_mean(voxels)
    covered = np.count_nonzero(head & inside) / np.count_nonzero(head)
    volume_ml = np.count_nonzero(inside) * float(np.prod(image.GetSpacing())) / 1000
    if covered > _MOST_OF_THE_HEAD and volume_ml > _LARGE_ML:
        remedy = "Choose the GTV's mask: this looks like one of the brain, or like an inverted mask."
        raise NotAMaskError(f"The GTV takes {100 * covered:.0f} % of the head.", remedy)
    black, bright = ordinary_range(voxels)[0], ordinary_mean(voxels[head])
    if np.mean(voxels[inside] > black + _DARKEST_TISSUE * (bright - black)) < _TISSUE_IN_AIR:
        notes.append(Note("gtv-in-air", "The GTV lies in air: hardly any of its voxels is as bright as tissue."))


def distinct(voxels: np.ndarray, most: int) -> np.ndarray:
    """The different values of an array in rising order; of more than `most` values only the first `most` + 1 found.

    Sorting a whole volume takes seconds; a part of it tells nearly always that there are many values.
    """
    flat = voxels.ravel()
    part = np.unique(flat[:: max(1, flat.size // 100_000)])
    if part.size > most or flat.size <= 100_000:
        return part[: most + 1]
    rest = flat[~np.isin(flat, part)]
    found = part.tolist()
    while rest.size and len(found) <= most:
        found.append(rest[0])
        rest = rest[rest != rest[0]]
    return np.array(sorted(found), dtype=voxels.dtype)


def _label_of(label: int | str, names: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Layer and value of a label.

    :raises OptionError: there is no segment of that name.
    """
    text = str(label).strip()
    by_name = {name.lower(): place for name, place in names.items()}
    if text.lower() in by_name:
        return names.get(text, by_name[text.lower()])
    if text.lstrip("-").isdigit():
        return 0, int(text)
    known = f"the segments {', '.join(names)}" if names else "no named segments"
    raise OptionError(
        f"The GTV file has no segment '{text}'; it has {known}.", "Choose one of these, or a label value."
    )


def _is_soft(voxels: np.ndarray, levels: np.ndarray) -> bool:
    """Whether whole values are fractions of the highest: many, and the upper half never touches the background."""
    if levels.size > _MOST_LABELS:
        return True
    if levels.size < _SOFT_LEVELS or levels[-1] <= _SMALL_LABEL or levels[-1] > _HIGHEST_FRACTION:
        return False
    upper, background = voxels >= levels[-1] / 2, voxels <= 0
    steps = touching = 0
    for axis in (1, 2):
        first = tuple(slice(None, -1) if other == axis else slice(None) for other in range(3))
        last = tuple(slice(1, None) if other == axis else slice(None) for other in range(3))
        touching += int(np.count_nonzero(upper[first] & background[last]))
        touching += int(np.count_nonzero(background[first] & upper[last]))
        steps += int(np.count_nonzero(upper[first] != upper[last]))
    return touching <= 0.1 * steps


def _refuse_interpolated_labels(positive: np.ndarray) -> None:
    """:raises NotAMaskError: large parts have different whole values, and what lies between is a mixture of them."""
    whole = positive[np.abs(positive - np.round(positive)) < 1e-3]
    values, counts = np.unique(np.round(whole).astype(np.int64), return_counts=True)
    values = values[(counts >= _PLATEAU * positive.size) & (values > 0)]
    if values.size > 1 and values.size <= _MOST_LABELS and whole.size < positive.size:
        labels = ", ".join(map(str, values.tolist()))
        message = f"The GTV has the labels {labels} and values between them: labels were interpolated."
        raise NotAMaskError(message, "Resample the labelmap with nearest-neighbor interpolation, or give the original.")


def _inside_of_distances(voxels: np.ndarray, notes: list[Note]) -> np.ndarray:
    """The inside of a mask that is given as signed distances: the sign that the corners do not have."""
    corners = voxels[:: max(1, voxels.shape[0] - 1), :: max(1, voxels.shape[1] - 1), :: max(1, voxels.shape[2] - 1)]
    negative_outside = np.count_nonzero(corners < 0) * 2 >= corners.size
    sign = "above" if negative_outside else "below"
    notes.append(
        Note("gtv-signed", f"The GTV has positive and negative values, as distances; those {sign} 0 are inside.")
    )
    inside = voxels > 0 if negative_outside else voxels < 0
    if not inside.any():
        raise EmptyGTVError("The GTV has no voxels.")
    return inside


def _refuse_mirrored(mask: sitk.Image, image: sitk.Image) -> None:
    """:raises GeometryError: the mask lies on the image's grid once a sign of its header is turned."""
    here = outer_corners(mask)
    image_corners = outer_corners(image)
    boxes = [np.array([c.min(axis=0), c.max(axis=0)]) for c in (here, image_corners)]
    if np.abs(boxes[0] - boxes[1]).max() < min(image.GetSpacing()):
        return
    for what, signs in _MIRRORED.items():
        turned = sitk.Image(mask)
        turned.SetOrigin((np.array(mask.GetOrigin()) * signs).tolist())
        turned.SetDirection((np.array(signs)[:, None] * np.reshape(mask.GetDirection(), (3, 3))).ravel().tolist())
        if same_grid(turned, image):
            message = f"The GTV's header is mirrored against the image's: {what} are exchanged."
            raise GeometryError(message, "Export the GTV again, or correct its header: its voxels fit the image's.")
