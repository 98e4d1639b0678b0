"""One pair's images -> checked, aligned and normalized slices, as a network sees them at prediction time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.errors import EmptyGTVError, GBMResponseError, OptionError
from GBMResponseCore.inputs.case import Case, load_case
from GBMResponseCore.inputs.follow_up import LOWEST_CORRELATION, SMALLEST_COVERAGE, correlation, match_follow_up
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings, fit_scale
from GBMResponseCore.inputs.reading import Note, read_image
from GBMResponseCore.inputs.registration import register_rigidly
from GBMResponseCore.inputs.resampling import resample_onto, same_grid

from ..datasets.errors import FollowUpCoverageError, RegistrationQualityError, SameImageError
from ..datasets.pair import PairSource
from .person import patient_key
from .skull_strip import find_brain, keep_brain

REGISTER = ("auto", "always", "never")

_MOST_LABELS = 20


@dataclass(frozen=True)
class AlignmentRule:
    """When a follow-up is registered, and when the result is good enough.

    Correlations are those of pre and post over the head outside the GTV in the imported slices, -1...1, see
    :data:`GBMResponseCore.inputs.follow_up.LOWEST_CORRELATION`.

    :param register: `auto`: if its grid differs from the pre-treatment image's, or if the two correlate by less than
        `register_below`; `always`; or `never`.
    :param lowest_correlation: pairs that end below it are bad.
    :param keep_bad: import bad pairs too, with a note.
    :param same_scan: the images were acquired alike, as `simulate --same-scan` does: the follow-up is not registered,
        and gets the scale of the pre-treatment image, since a scale of its own would move with the tumor's brightness.
    """

    register: str = "auto"
    register_below: float = 0.7
    lowest_correlation: float = LOWEST_CORRELATION
    keep_bad: bool = False
    same_scan: bool = False

    def __post_init__(self) -> None:
        if self.register not in REGISTER:
            raise OptionError(f"Unknown value '{self.register}' of register; known are {', '.join(REGISTER)}.")


@dataclass(frozen=True)
class PreparedPair:
    """The slices of one pair that hold GTV, inferior first; row 0 is anterior, column 0 the patient's right.

    :param pre, post: float32 (n, size, size), normalized, each with the scale of its own volume unless both are of the
        same scan.
    :param gtv: bool (n, size, size).
    :param record: JSON values for the slice store.
    """

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    record: dict[str, Any]


@dataclass(frozen=True)
class _FollowUp:
    """The follow-up's slices on the stack, normalized, and how they came there.

    :param transform: maps points of the pre-treatment image to points of the follow-up.
    """

    slices: np.ndarray
    transform: sitk.Transform
    registered: bool
    correlation_before: float
    correlation_after: float
    notes: list[Note]


def prepare_pair(
    pair: PairSource,
    rule: InPlaneRule,
    normalization: NormalizationSettings,
    alignment: AlignmentRule,
    skull_strip: bool = False,
) -> PreparedPair:
    """Read, check, align and normalize one pair.

    :param skull_strip: keep the brain alone in both images, with the pair's brain mask or that of
        :func:`.skull_strip.find_brain`. Registration and its check come first, on the images as they are.
    :raises GBMResponseError: an error of :func:`GBMResponseCore.inputs.case.load_case`, or one of the importers' own.
    """
    case, labels = _load(pair)
    grid = StackGrid.for_image(case.image, rule)
    gtv = grid.to_stack(case.gtv, label=True)
    rows = np.flatnonzero(gtv.any(axis=(1, 2)))
    if not rows.size:
        raise EmptyGTVError("No slice of the stack holds GTV.", "Check that the GTV lies in the head.")
    gtv = gtv[rows]
    pre = _normalized(case.image, grid.to_stack(case.image)[rows], normalization)
    follow_up = _align(case, grid, rows, pre, gtv, normalization, alignment)
    notes = [*pair.notes, *case.notes, *follow_up.notes]
    if None not in (pair.survival_days, pair.interval_days) and pair.survival_days < pair.interval_days:
        notes.append(Note("survival-before-follow-up", "Survival is shorter than the time between the images."))
    post = follow_up.slices
    if skull_strip:
        pre, post = _without_skull(pair, case, grid, rows, follow_up.transform, normalization)

    record = {
        "person": patient_key(pair.patient),
        **pair.extra,
        "id": pair.patient,
        "survival_days": pair.survival_days,
        "censored": pair.censored,
        "interval_days": pair.interval_days,
        "days_since_rt": pair.days_since_radiotherapy,
        "spacing_mm": grid.spacing[0],
        "stack_spacing_mm": list(grid.spacing),
        "slice_positions_mm": grid.slice_positions_mm[rows].tolist(),
        "mode": grid.mode,
        "registered": follow_up.registered,
        "correlation_before": round(follow_up.correlation_before, 4),
        "correlation_after": round(follow_up.correlation_after, 4),
        "skull_strip": bool(skull_strip),
        "gtv_volume_ml": round(case.gtv_volume_ml, 3),
        "post_gtv_volume_ml": _post_gtv_volume(pair, notes),
        **_label_fields(pair, labels),
        "notes": [{"code": note.code, "sentence": note.sentence} for note in notes],
        "sources": {name: dict(source) for name, source in case.sources.items()},
    }
    return PreparedPair(pre, post, gtv, record)


def _normalized(volume: sitk.Image, slices: np.ndarray, normalization: NormalizationSettings) -> np.ndarray:
    """Slices with the scale of the volume that they come from."""
    return fit_scale(sitk.GetArrayViewFromImage(volume), normalization).normalize(slices)


def _without_skull(
    pair: PairSource,
    case: Case,
    grid: StackGrid,
    rows: np.ndarray,
    transform: sitk.Transform,
    normalization: NormalizationSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Both images' slices with nothing but brain, that of the pre-treatment image; scales are those of the brains.

    :raises BrainMaskError, MissingPackageError: if there is no brain mask.
    """
    mask = read_image(pair.brain_mask, "brain mask") if pair.brain_mask else find_brain(case.image)
    slab, inside = grid.slab(rows)
    moved = sitk.GetArrayFromImage(resample_onto(case.follow_up, slab, transform))[inside]
    pre = _normalized(keep_brain(case.image, mask), grid.to_stack(case.image)[rows], normalization)
    post = _normalized(keep_brain(case.follow_up, mask, transform.GetInverse()), moved, normalization)
    brain = grid.to_stack(mask, label=True)[rows]
    outside = np.float32(-1)
    return np.where(brain, pre, outside), np.where(brain, post, outside)


def _post_gtv_volume(pair: PairSource, notes: list[Note]) -> float | None:
    """Volume of the follow-up's GTV in ml, 0 after a complete response; None with a note if it cannot be read."""
    if pair.post_gtv is None:
        return None
    try:
        mask = read_image(pair.post_gtv, "follow-up GTV")
    except GBMResponseError as error:
        notes.append(Note("post-gtv", error.message))
        return None
    voxels = sitk.GetArrayViewFromImage(mask)
    inside = voxels > 0 if pair.gtv_labels is None else np.isin(voxels, pair.gtv_labels)
    return round(float(np.count_nonzero(inside) * np.prod(mask.GetSpacing()) / 1000), 3)


def _label_fields(pair: PairSource, labels: dict[str, dict[str, float]] | None) -> dict[str, Any]:
    """What the record says about the label values of the GTV file; None if it is not a label map."""
    names = {str(value): name for value, name in (pair.label_names or {}).items()}
    return {
        "gtv_labels": None if labels is None else {value: found["voxels"] for value, found in labels.items()},
        "gtv_label_signal": None if labels is None else {value: found["signal"] for value, found in labels.items()},
        "gtv_label_names": names,
        "gtv_labels_used": None if pair.gtv_labels is None else list(pair.gtv_labels),
    }


def _align(
    case: Case,
    grid: StackGrid,
    rows: np.ndarray,
    pre: np.ndarray,
    gtv: np.ndarray,
    normalization: NormalizationSettings,
    alignment: AlignmentRule,
) -> _FollowUp:
    """Bring the follow-up to the stack's slices `rows`, those of `pre` and `gtv`.

    :raises FollowUpCoverageError, RegistrationQualityError: if it does not show, or not match, the other image.
    """
    scale = fit_scale(sitk.GetArrayViewFromImage(case.image if alignment.same_scan else case.follow_up), normalization)
    slab, inside = grid.slab(rows)
    slices = scale.normalize(grid.to_stack(case.follow_up)[rows])
    before = after = correlation(pre, slices, gtv)
    transform, registered, notes = sitk.Transform(), False, []
    if _needs_registration(alignment, case, before):
        result = register_rigidly(case.image, case.follow_up)
        registered = result.improved
        if registered:
            transform = result.transform
            moved = sitk.GetArrayFromImage(resample_onto(case.follow_up, slab, transform))[inside]
            slices = scale.normalize(moved)
            after = correlation(pre, slices, gtv)
        else:
            notes.append(Note("not-registered", "Registration did not improve the match; the images were left as is."))
    match = match_follow_up(case.follow_up, transform, grid, rows, (pre, slices), gtv)
    unshown, unlike = match.coverage_note(), match.correlation_note(alignment.lowest_correlation)
    if match.coverage < SMALLEST_COVERAGE:
        raise FollowUpCoverageError(unshown.sentence)
    if unlike and not alignment.keep_bad:
        raise RegistrationQualityError(unlike.sentence)
    notes += [note for note in (unshown, unlike) if note]
    return _FollowUp(slices, transform, registered, before, after, notes)


def _load(pair: PairSource) -> tuple[Case, dict[str, dict[str, float]] | None]:
    """The checked case; and the labels of the GTV file, None if it is not a label map."""
    case = load_case(pair.pre, pair.gtv, pair.post, pair.gtv_labels)
    if case.sources["image"]["sha256"] == case.sources["follow-up"]["sha256"]:
        raise SameImageError("Pre- and post-treatment image are the same file.")
    mask = read_image(pair.gtv, "GTV")
    return case, _labels(sitk.GetArrayFromImage(mask), case.image if same_grid(mask, case.image) else None)


def _labels(voxels: np.ndarray, image: sitk.Image | None) -> dict[str, dict[str, float]] | None:
    """Positive values of a mask: `voxels`, and `signal`, the mean of the image there relative to its head; or None.

    :param image: on the mask's grid; None: it has another one, and signals are left out as None.
    """
    values, counts = np.unique(voxels[voxels > 0], return_counts=True)
    if values.size > _MOST_LABELS:
        return None
    intensity = None if image is None else sitk.GetArrayViewFromImage(image)
    head = None if intensity is None else float(intensity[intensity > intensity.mean()].mean())
    return {
        f"{value:g}": {
            "voxels": int(count),
            "signal": None if not head else round(float(intensity[voxels == value].mean()) / head, 3),
        }
        for value, count in zip(values, counts, strict=True)
    }


def _needs_registration(alignment: AlignmentRule, case: Case, correlation: float) -> bool:
    if alignment.same_scan:
        return False
    if alignment.register != "auto":
        return alignment.register == "always"
    return not same_grid(case.image, case.follow_up) or correlation < alignment.register_below
