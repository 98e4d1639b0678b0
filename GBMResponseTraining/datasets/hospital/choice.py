"""Which series and contours of a hospital's export are a patient's pair."""

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from GBMResponseCore.dicom.choice import DEFAULT_SERIES, choose_gtv, named_series, read_structure_sets
from GBMResponseCore.dicom.rtstruct import DEFAULT_ROI, Roi, StructureSet
from GBMResponseCore.dicom.series import is_inverted
from GBMResponseCore.dicom.tree import Series, Tree
from GBMResponseCore.errors import DicomSeriesError
from GBMResponseCore.inputs.reading import Note

from ..errors import DatasetError, TableValueError
from ..pair import DAYS_PER_WEEK, normalized_id
from ..tables import Row
from ..visits import Window


@dataclass(frozen=True)
class DicomRule:
    """How series, follow-up and GTV are chosen.

    :param series: regular expression of a T1-Gd series' description, in any case.
    :param roi: the same of a GTV's name.
    :param window: weeks of the follow-up after the pre-treatment MRI, where the table does not give its date.
    """

    series: str = DEFAULT_SERIES
    roi: str = DEFAULT_ROI
    window: Window = field(default_factory=Window)

    def __post_init__(self) -> None:
        for pattern in (self.series, self.roi):
            try:
                re.compile(pattern)
            except re.error as error:
                raise DatasetError(f"'{pattern}' is no regular expression ({error}).", "See --help.") from None


@dataclass(frozen=True)
class DicomPair:
    """One patient's series before they are converted.

    :param gtv_grid: the series that the GTV was drawn on, usually `pre`.
    :param row: of the table.
    :param notes: what was chosen or turned around without being asked for.
    """

    patient: str
    pre: Series
    post: Series
    gtv_grid: Series
    structures: StructureSet
    rois: tuple[Roi, ...]
    row: Row
    notes: tuple[Note, ...] = ()


def choose_series(candidates: Sequence[Series], wanted: str, pattern: str, drawn_on: Iterable[str] = ()) -> Series:
    """Choose the T1-Gd series among those of one study.

    :param wanted: SeriesInstanceUID, series number or description; empty: by the pattern.
    :param drawn_on: UIDs of series that structures were drawn on; of several that match, the one among them is taken.
    :raises DicomSeriesError: if none or more than one fits; it lists all.
    """
    listed = "; ".join(map(str, candidates)) or "none"
    if wanted:
        fitting = named_series(candidates, wanted)
        what = f"'{wanted}'"
    else:
        fitting = [
            item for item in candidates if item.modality == "MR" and re.search(pattern, item.description, re.IGNORECASE)
        ]
        what = "the description of T1-Gd"
    if len(fitting) > 1:
        drawn = [item for item in fitting if item.uid in set(drawn_on)]
        fitting = drawn if len(drawn) == 1 else fitting
    if len(fitting) == 1:
        return fitting[0]
    many = f"{len(fitting)} series match" if fitting else "No series matches"
    raise DicomSeriesError(
        f"{many} {what}; there are: {listed}.", "Name one in pre_series or post_series, or give --series."
    )


def choose_pair(row: Row, tree: Tree, rule: DicomRule) -> DicomPair:
    """Choose the series and contours of a row of the table.

    :raises GBMResponseError: if anything is missing or not clear.
    """
    patient = row["patient"]
    if not patient:
        raise TableValueError("The row has no patient id.")
    names = {normalized_id(patient)}
    series = [item for item in tree.series if names & {normalized_id(item.folder), normalized_id(item.patient_id)}]
    if not series:
        raise DicomSeriesError("There is no series of this patient.", "Compare folder names and PatientID.")
    structures, notes = read_structure_sets(
        path
        for folder, patient_id, path in tree.structure_sets
        if names & {normalized_id(folder), normalized_id(patient_id)}
    )
    drawn_on = frozenset().union(*(item.series for item in structures))
    pre = _pre(row, series, drawn_on, rule)
    post = _post(row, series, pre, rule)
    if len({item.patient_id for item in (pre, post)}) > 1:
        raise DicomSeriesError("Pre- and post-treatment series have different PatientIDs.", "Correct the folders.")
    if pre.uid == post.uid:
        raise DicomSeriesError("Pre- and post-treatment series are the same.", "Correct the table.")
    roi_names = [name.strip() for name in row.get("gtv_roi", "").split("|") if name.strip()]
    chosen, rois, notes_of_gtv = choose_gtv(structures, pre, rule.roi, roi_names)
    on_pre = pre.uid in chosen.series
    grid = next((item for item in series if item.uid in chosen.series and item.modality == "MR"), pre)
    notes += notes_of_gtv
    notes += [
        Note("inverted", f"The values of the {name}-treatment series are stored inverted; they were turned around.")
        for name, item in (("pre", pre), ("post", post))
        if is_inverted(item)
    ]
    return DicomPair(patient, pre, post, pre if on_pre else grid, chosen, tuple(rois), row, tuple(notes))


def _pre(row: Row, series: Sequence[Series], drawn_on: Iterable[str], rule: DicomRule) -> Series:
    wanted, date = row.get("pre_series", ""), read_date(row, "pre_date")
    if date:
        return choose_series(_on(series, date), wanted, rule.series, drawn_on)
    errors, found = [], []
    for day in sorted({item.study_date for item in series}):
        try:
            found.append(choose_series([s for s in series if s.study_date == day], wanted, rule.series, drawn_on))
        except DicomSeriesError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return next((item for item in found if item.uid in set(drawn_on)), found[0])


def _post(row: Row, series: Sequence[Series], pre: Series, rule: DicomRule) -> Series:
    wanted, date = row.get("post_series", ""), read_date(row, "post_date")
    if date:
        return choose_series(_on(series, date), wanted, rule.series)
    start, errors = study_day(pre), []
    first, last = rule.window.first_week * DAYS_PER_WEEK, rule.window.last_week * DAYS_PER_WEEK
    days = sorted({item.study_date for item in series if item.study_date and first <= _days(start, item) <= last})
    for day in days:
        try:
            return choose_series([item for item in series if item.study_date == day], wanted, rule.series)
        except DicomSeriesError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    later = ", ".join(
        f"{days / DAYS_PER_WEEK:.0f}" for days in sorted({_days(start, item) for item in series}) if days > 0
    )
    raise DicomSeriesError(
        f"There is no study {rule.window.first_week:g} to {rule.window.last_week:g} weeks after the pre-treatment MRI; "
        f"there are those after {later or 'no'} weeks.",
        "Give post_date, or change --post-weeks.",
    )


def _days(start: datetime.date | None, series: Series) -> float:
    day = study_day(series)
    return (day - start).days if start and day else -1.0


def study_day(series: Series) -> datetime.date | None:
    """Return the day of a series' study, None if it is not stated."""
    try:
        return datetime.datetime.strptime(series.study_date, "%Y%m%d").date()
    except ValueError:
        return None


def _on(series: Sequence[Series], date: datetime.date) -> list[Series]:
    """:raises DicomSeriesError: if there is no study on that day."""
    found = [item for item in series if study_day(item) == date]
    if not found:
        known = ", ".join(sorted({item.study_date or "unknown" for item in series}))
        raise DicomSeriesError(f"There is no study on {date.isoformat()}; there are: {known}.", "Correct the table.")
    return found


def read_date(row: Row, column: str) -> datetime.date | None:
    """:raises TableValueError: for a cell that is neither empty nor a date."""
    text = row.get(column, "")
    if not text:
        return None
    for form in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise TableValueError(f"The value of {column} is '{text}', not a date as 2024-01-31.")
