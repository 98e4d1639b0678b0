"""LUMIERE (Suter 2022, doi 10.1038/s41597-022-01881-7): a post-operative visit and one three to six months later.

Images and masks are taken from the atlas space of DeepBraTumIA, where all visits of a patient lie on one grid: 182 x
218 x 182 voxels of 1 mm, rigidly registered and skull-stripped. The native images have no mask on their grid.

Pair rule: pre is the last visit rated Post-Op up to week 6, which is before radiotherapy as a rule (no dates of
radiotherapy are published); post is the first visit in the weeks 12 to 24. Weeks are those of the folders, which count
from the pre-operative MRI. Visits without an atlas T1-Gd do not count. GTV: the labels of pre that DeepBraTumIA calls
enhancing core and necrosis.

The values of those labels are not documented consistently. They are decided for every mask by the volumes shipped
beside it; a mask that they do not fit, or fit in two ways, is not imported.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import check_file
from GBMResponseCore.inputs.reading import read_image

from ..errors import DatasetError, LabelMappingError
from ..pair import DAYS_PER_WEEK, PairSource, Skipped, attempt, natural_order, parse_number
from ..tables import Row, find_one, read_csv
from ..visits import Visit, Window

COMPARTMENTS = {"enhancing": "Enhancing_Core", "necrosis": "Necrotic_NonEnhancing", "edema": "Edema_Compartment"}
"""Our names and those in `measured_volumes_in_mm3.json`."""

_IMAGE = "DeepBraTumIA-segmentation/atlas/skull_strip/ct1_skull_strip.nii.gz"
_MASK = "DeepBraTumIA-segmentation/atlas/segmentation/seg_mask.nii.gz"
_BRAIN = "DeepBraTumIA-segmentation/atlas/skull_strip/brain_mask.nii.gz"
_VOLUMES = "measured_volumes_in_mm3.json"
_WEEK = re.compile(r"^week-(\d+)(?:-(\d+))?$", re.IGNORECASE)
_SURVIVAL, _RATING = "survival time (weeks)", "rating ("
_EXTRA = {"age_at_surgery_years": "age at surgery (years)", "sex": "sex", "idh": "idh (wt: wild type)",
          "mgmt": "mgmt qualitative"}  # fmt: skip
_TOLERANCE = 0.005
"""Largest relative difference of a measured and a shipped volume."""


@dataclass(frozen=True)
class LumiereRule:
    """Which visits make a pair, and what counts as GTV.

    :param last_pre_week: latest week of the pre-treatment visit.
    :param window: weeks of the follow-up, as the folders count them.
    :param compartments: of :data:`COMPARTMENTS`.
    """

    last_pre_week: float = 6
    window: Window = field(default_factory=Window)
    compartments: tuple[str, ...] = ("enhancing", "necrosis")


def read_lumiere(source: Path, rule: LumiereRule | None = None) -> tuple[list[PairSource], list[Skipped]]:
    """Read the tables and the unpacked folder `Imaging`, wherever below a folder they lie.

    :return: the pairs, and every other patient with the reason.
    :raises DatasetError, TableValueError: by the tables, or if there is no image.
    """
    rule = rule or LumiereRule()
    patients = {row["patient"]: row for _, row in read_csv(find_one(source, "LUMIERE-Demographics*.csv"),
                                                           ("patient", _SURVIVAL))}  # fmt: skip
    ratings = _ratings(find_one(source, "LUMIERE-ExpertRating*.csv"))
    visits = _visits(source)
    if not visits:
        raise DatasetError(
            f"There is no image named like LUMIERE's, Patient-001/week-000-1/{_IMAGE}.",
            "Unpack the imaging archive below this folder, with the DeepBraTumIA results.",
        )
    pairs: list[Any] = []
    skipped: list[Any] = []
    for patient in sorted({*patients, *visits}, key=natural_order):
        result = attempt(
            patient, _pair, patient, patients.get(patient), ratings[patient], visits.get(patient, []), rule
        )
        (pairs if isinstance(result, PairSource) else skipped).append(result)
    return pairs, skipped


def resolve_labels(
    voxels: Mapping[int, int], voxel_mm3: float, volumes_mm3: Mapping[str, float], wanted: Collection[str]
) -> dict[int, str]:
    """Find out what the label values of a mask mean from the volumes that were published with it.

    :param voxels: label value -> voxels; values that do not occur may be left out.
    :param volumes_mm3: our name of a compartment -> volume.
    :param wanted: compartments that must be told from the others; a mix-up among them does no harm.
    :return: label value -> compartment, of the values 1 to 3.
    :raises LabelMappingError: if no assignment fits, or if several do that differ in what is wanted.
    """
    found = {label: voxels.get(label, 0) * voxel_mm3 for label in (1, 2, 3)}
    strange = sorted(set(voxels) - set(found))
    if strange:
        raise LabelMappingError(f"The mask has the labels {', '.join(map(str, strange))} beside 1, 2 and 3.")
    fitting = []
    for names in permutations(volumes_mm3):
        mapping = dict(zip(found, names, strict=True))
        # Half a voxel of tolerance: the volumes are rounded.
        if all(abs(found[label] - volumes_mm3[name]) <= _TOLERANCE * volumes_mm3[name] + voxel_mm3 / 2
               for label, name in mapping.items()):  # fmt: skip
            fitting.append(mapping)
    if not fitting:
        measured = ", ".join(f"{label}: {volume:.0f}" for label, volume in found.items())
        shipped = ", ".join(f"{name}: {volume:.0f}" for name, volume in volumes_mm3.items())
        raise LabelMappingError(
            f"Volumes of the mask's labels ({measured} mm3) do not fit the published ({shipped} mm3)."
        )
    chosen = {frozenset(label for label, name in mapping.items() if name in wanted and voxels.get(label))
              for mapping in fitting}  # fmt: skip
    if len(chosen) > 1:
        raise LabelMappingError("The published volumes fit the mask's labels in several ways: two are equal.")
    return fitting[0]


def _ratings(table: Path) -> dict[str, dict[str, str]]:
    """Patient -> visit in lower case -> rating in lower case."""
    rows = read_csv(table, ("patient", "date"))
    column = next((name for name in rows[0][1] if name.startswith(_RATING)), None)
    if column is None:
        raise DatasetError(f"The table {table.name} has no column that begins with 'Rating ('.")
    ratings: dict[str, dict[str, str]] = defaultdict(dict)
    for _, row in rows:
        ratings[row["patient"]][row["date"].casefold()] = row[column].casefold()
    return ratings


def _visits(source: Path) -> dict[str, list[Visit]]:
    """Patient -> visits with an atlas T1-Gd, by week and then by the number behind it."""
    visits: dict[str, list[Visit]] = defaultdict(list)
    for image in sorted(source.rglob(Path(_IMAGE).name)):
        folder = image.parents[3]
        week = _WEEK.match(folder.name)
        if week and image == folder / _IMAGE:
            # Several examinations of one week are in order, but have no day of their own.
            day = int(week[1]) * DAYS_PER_WEEK
            mask = folder / _MASK
            visits[folder.parent.name].append(Visit(folder.name, day, image, mask if mask.is_file() else None))
    for found in visits.values():
        found.sort(key=lambda visit: natural_order(visit.name))
    return visits


def _pair(
    patient: str, row: Row | None, ratings: Mapping[str, str], visits: list[Visit], rule: LumiereRule
) -> PairSource | Skipped:
    """:raises GBMResponseError: for a value, a file or a label."""
    early = [visit for visit in visits if visit.day <= rule.last_pre_week * DAYS_PER_WEEK]
    operated = [visit for visit in early if ratings.get(visit.name.casefold(), "").startswith("post-op")]
    if not operated:
        reason = f"No visit with T1-Gd up to week {rule.last_pre_week:g} is rated Post-Op."
        return Skipped(patient, "no-pre-image", reason, "Change --pre-weeks.")
    pre = operated[-1]
    post = rule.window.follow_up(visits, 0)
    if post is None:
        return rule.window.skipped(patient, visits, 0)
    if pre.mask is None:
        return Skipped(patient, "no-gtv", f"{pre.name} has no mask of DeepBraTumIA.")
    mapping = _mapping(pre.mask, rule.compartments)
    weeks = parse_number((row or {}).get(_SURVIVAL), "survival in weeks")
    survival = None if weeks is None else weeks * DAYS_PER_WEEK - pre.day
    if survival is not None and survival < 0:
        return Skipped(patient, "table-value", f"Survival of {weeks:g} weeks ends before {pre.name}.")
    brain = pre.image.with_name(Path(_BRAIN).name)
    return PairSource(
        patient=patient,
        pre=pre.image,
        post=post.image,
        gtv=pre.mask,
        gtv_labels=_values(mapping, rule.compartments),
        label_names=mapping,
        survival_days=survival,
        interval_days=post.day - pre.day,
        post_gtv=_post_mask(post, mapping, rule),
        brain_mask=brain if brain.is_file() else None,
        extra={
            "dataset": "LUMIERE",
            "pre_visit": pre.name,
            "post_visit": post.name,
            "post_rating": ratings.get(post.name.casefold(), ""),
            "gtv_by": "DeepBraTumIA",
            **{key: row[column] for key, column in _EXTRA.items() if row and row.get(column, "na") not in ("", "na")},
        },
    )


def _mapping(mask: Path, compartments: Collection[str]) -> dict[int, str]:
    """:raises GBMResponseError: if mask or volumes cannot be read, or do not fit."""
    path = check_file(mask.with_name(_VOLUMES), "volumes'")
    try:
        shipped = json.loads(path.read_text(encoding="utf-8"))
        volumes = {name: float(shipped.get(key, 0)) for name, key in COMPARTMENTS.items()}
    except (ValueError, TypeError, AttributeError):
        raise LabelMappingError(f"The file {path.name} does not hold volumes.") from None
    image = read_image(mask, "GTV")
    values, counts = np.unique(sitk.GetArrayViewFromImage(image), return_counts=True)
    voxels = {int(value): int(count) for value, count in zip(values, counts, strict=True) if value > 0}
    return resolve_labels(voxels, float(np.prod(image.GetSpacing())), volumes, compartments)


def _values(mapping: Mapping[int, str], compartments: Collection[str]) -> tuple[int, ...]:
    return tuple(sorted(label for label, name in mapping.items() if name in compartments))


def _post_mask(post: Visit, mapping: Mapping[int, str], rule: LumiereRule) -> Path | None:
    """The follow-up's mask if its labels mean the same, else None: only its volume would be kept."""
    if post.mask is None:
        return None
    try:
        found = _mapping(post.mask, rule.compartments)
    except GBMResponseError:
        return None
    return post.mask if _values(found, rule.compartments) == _values(mapping, rule.compartments) else None
