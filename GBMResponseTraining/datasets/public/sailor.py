"""SAILOR (EBRAINS): the visit before chemoradiation and one three to six months later, on one grid, with dose maps.

Pair rule: pre is the last session marked `no` or `unknown` in `treatment.txt` before the first one under treatment, or
else the first session; that this is before chemoradiation is inferred, not published. Post is the first session in the
weeks 12 to 24 after pre. Days come from `intervals-days.txt`, which the publishers call approximate. GTV: the enhancing
mask of pre.

Survival is taken to start at the first session, and to end in death: both are not verified.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from GBMResponseCore.files import check_file

from ..errors import DatasetError, TableValueError
from ..pair import PairSource, Skipped, attempt, natural_order, parse_number
from ..visits import DAYS_PER_MONTH, Visit, Window

_SUBJECT, _SESSION = re.compile(r"^sub-\d+$"), re.compile(r"^ses-(\d+)$")
_IMAGE = "T1c.nii.gz"
_UNTREATED = ("no", "unknown")


@dataclass(frozen=True)
class SailorRule:
    """Which sessions make a pair, and what counts as GTV.

    :param window: weeks of the follow-up after the pre-treatment session.
    :param mask: name of the mask file without `.nii.gz`.
    """

    window: Window = field(default_factory=Window)
    mask: str = "ContrastEnhancedMask-CL"


def read_sailor(source: Path, rule: SailorRule | None = None) -> tuple[list[PairSource], list[Skipped]]:
    """Read the folders `sub-NN`, wherever below a folder they lie.

    :return: the pairs, and every other patient with the reason.
    :raises DatasetError: if there is no such folder, or one patient has two.
    """
    rule = rule or SailorRule()
    folders = sorted(
        {path.parents[1] for path in source.rglob(_IMAGE) if _SUBJECT.match(path.parents[1].name)},
        key=lambda path: natural_order(path.name),
    )
    if not folders:
        raise DatasetError(
            f"There is no image named like SAILOR's, sub-01/ses-01/{_IMAGE}.",
            "Give the folder that holds the folders sub-NN.",
        )
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"There is more than one folder {twice}.", "Give one version: that of the MNI derivatives.")
    pairs: list[Any] = []
    skipped: list[Any] = []
    for folder in folders:
        result = attempt(folder.name, _pair, folder, rule)
        (pairs if isinstance(result, PairSource) else skipped).append(result)
    return pairs, skipped


def _pair(folder: Path, rule: SailorRule) -> PairSource | Skipped:
    """:raises GBMResponseError: for a file or a value."""
    visits = _visits(folder, rule.mask)
    treatments = {visit.name: _text(folder / visit.name / "treatment.txt").casefold() for visit in visits}
    pre = _before_treatment(visits, treatments)
    post = rule.window.follow_up(visits, pre.day)
    if post is None:
        return rule.window.skipped(folder.name, visits, pre.day)
    if pre.mask is None:
        return Skipped(folder.name, "no-gtv", f"{pre.name} has no {rule.mask}.nii.gz.", "Change --mask.")
    months = parse_number(_text(folder / "overall-survival-months.txt"), "survival in months")
    survival = None if months is None else months * DAYS_PER_MONTH - pre.day
    if survival is not None and survival < 0:
        return Skipped(folder.name, "table-value", f"Survival of {months:g} months ends before {pre.name}.")
    return PairSource(
        patient=folder.name,
        pre=pre.image,
        post=post.image,
        gtv=pre.mask,
        survival_days=survival,
        interval_days=post.day - pre.day,
        post_gtv=post.mask,
        extra={
            "dataset": "SAILOR",
            "pre_visit": pre.name,
            "post_visit": post.name,
            "pre_treatment": treatments[pre.name] or "not stated",
            "post_treatment": treatments[post.name] or "not stated",
            "gtv_by": rule.mask,
            "age_years": _text(folder / "age-years.txt"),
        },
    )


def _visits(folder: Path, mask: str) -> list[Visit]:
    """Sessions with T1-Gd, first one first.

    :raises TableValueError: if the intervals are not one less than the sessions.
    """
    numbers = sorted((int(match[1]), path) for path in folder.iterdir() if (match := _SESSION.match(path.name)))
    intervals = check_file(folder / "intervals-days.txt", "intervals'").read_text(encoding="utf-8")
    gaps = [parse_number(text, "interval in days") for text in re.split(r"[\s,;]+", intervals.strip())]
    if None in gaps or len(gaps) != len(numbers) - 1:
        raise TableValueError(
            f"{folder.name} has {len(numbers)} sessions, but {len(gaps)} intervals between them.", "Download it again."
        )
    visits, day = [], 0.0
    for (_, path), gap in zip(numbers, [0, *gaps], strict=True):
        day += gap
        if (path / _IMAGE).is_file():
            drawn = path / f"{mask}.nii.gz"
            visits.append(Visit(path.name, day, path / _IMAGE, drawn if drawn.is_file() else None))
    return visits


def _before_treatment(visits: list[Visit], treatments: dict[str, str]) -> Visit:
    chosen = visits[0]
    for visit in visits:
        if treatments[visit.name] not in _UNTREATED:
            break
        chosen = visit
    return chosen


def _text(path: Path) -> str:
    """First word of a small text file, empty if there is no such file."""
    words = path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else []
    return words[0] if words else ""
