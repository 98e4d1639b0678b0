"""Hospital data: a tree of DICOM series and RTSTRUCTs, and a CSV file with survival and dates.

A lab's guide to it is docs/hospital-dicom.md.

==================  ========  =========================================================================================
column                        meaning
==================  ========  =========================================================================================
patient             required  name of the patient's folder below SRC, or PatientID in the headers
survival_days       either    days from the pre-treatment MRI to death, or to the last contact
death_date          or        date of death
last_contact_date   or        the patient was alive on this date, and nothing later is known
censored            optional  with survival_days: 1 if the patient was alive then
pre_date            optional  study date of the pre-treatment MRI; else the earliest study whose T1-Gd has an RTSTRUCT
post_date           optional  study date of the follow-up; else the first study with T1-Gd in the window
pre_series          optional  the T1-Gd series: SeriesInstanceUID, series number or description; else by --series
post_series         optional  the same of the follow-up
gtv_roi             optional  names of the RTSTRUCT's regions, separated by `|`; else by --roi
radiotherapy_date   optional  first day of radiotherapy
==================  ========  =========================================================================================

Dates: YYYY-MM-DD or YYYYMMDD. Other columns go into the patient's record as text.

Each image is converted to a NIfTI file without any header of the patient in OUT/volumes, under a name that does not
identify the patient; it is reused as long as the DICOM files stay the same.
"""

import datetime
import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from GBMResponseCore import __version__
from GBMResponseCore.errors import GBMResponseError, OutputFolderError
from GBMResponseCore.files import ensure_output_folder, write_image, write_json
from tqdm import tqdm

from ...store.importer import digest, file_state
from ..errors import DatasetError, DicomSeriesError, FrameOfReferenceError, StructureSetError, TableValueError
from ..pair import DAYS_PER_WEEK, PairSource, Skipped, drop_duplicates, normalized_id, parse_number, parse_truth
from ..tables import Row, read_csv
from ..visits import Window
from .dicom_series import Series, Tree, read_series, scan_tree
from .rtstruct import DEFAULT_ROI, Roi, StructureSet, choose_rois, draw_rois, read_structure_set

log = logging.getLogger(__name__)

DEFAULT_SERIES = (
    r"^(?=.*(?:t1|mprage|bravo|spgr|vibe|tfe|space))"
    r"(?=.*(?:gd|gado|post|contrast|inject|enhanced|t1c|\+ ?c(?![a-z])|(?<![a-z])(?:km|ce|c\+)(?![a-z])))"
    r"(?!.*(?:without|non.?contrast|pre.?contrast|nativ|ohne|sans|sub))"
)
"""Regular expression of a T1-Gd series' description, in any case."""

_SURVIVAL = ("survival_days", "death_date", "last_contact_date")
_KNOWN = (
    "patient", *_SURVIVAL, "censored", "pre_date", "post_date", "pre_series", "post_series", "gtv_roi",
    "radiotherapy_date",
)  # fmt: skip


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
    """

    patient: str
    pre: Series
    post: Series
    gtv_grid: Series
    structures: StructureSet
    rois: tuple[Roi, ...]
    row: Row


def find_pairs(source: Path, table: Path, rule: DicomRule | None = None) -> tuple[list[DicomPair], list[Skipped]]:
    """Choose the series and contours of every patient of a table by their headers.

    :return: the pairs, and every other patient with the reason.
    :raises GBMResponseError: by the table; MissingPackageError without pydicom; DatasetError without DICOM files.
    """
    rule = rule or DicomRule()
    rows = read_csv(table, ("patient",))
    if not any(name in rows[0][1] for name in _SURVIVAL):
        raise TableValueError(f"The table {table.name} has none of the columns {', '.join(_SURVIVAL)}.")
    tree = scan_tree(source, tqdm(sorted(source.rglob("*")), desc="Reading headers", unit="file"))
    if not tree.series:
        raise DatasetError(f"There is no DICOM image below {source}.", "Give the folder of the exported patients.")
    pairs, skipped = [], []
    for number, row in rows:
        patient = row["patient"] or f"row {number}"
        try:
            pairs.append(_choose(row, tree, rule))
        except GBMResponseError as error:
            skipped.append(Skipped.for_error(patient, error))
    unique, duplicates = drop_duplicates(pairs)
    return unique, skipped + duplicates


def read_dicom(
    source: Path, table: Path, out: Path, rule: DicomRule | None = None
) -> tuple[list[PairSource], list[Skipped]]:
    """Choose and convert every patient of a table; what was converted before is not read again.

    :param out: folder of the store; volumes are kept in its folder `volumes`.
    :return: the pairs, and every other patient with the reason.
    :raises GBMResponseError: as :func:`find_pairs`.
    :raises OutputFolderError: if a volume cannot be written; those written before stay.
    """
    found, skipped = find_pairs(source, table, rule)
    folder = ensure_output_folder(out / "volumes")
    pairs = []
    for pair in tqdm(found, desc="Converting", unit="patient"):
        try:
            pairs.append(_convert(pair, folder))
        except OutputFolderError:
            raise
        except GBMResponseError as error:
            skipped.append(Skipped.for_error(pair.patient, error))
        except Exception as error:
            log.exception("Unexpected failure of one patient")
            skipped.append(Skipped(pair.patient, "error", f"Unexpected failure: {type(error).__name__}: {error}"))
    return pairs, skipped


def choose_series(candidates: Sequence[Series], wanted: str, pattern: str, drawn_on: Iterable[str] = ()) -> Series:
    """Choose the T1-Gd series among those of one study.

    :param wanted: SeriesInstanceUID, series number or description; empty: by the pattern.
    :param drawn_on: UIDs of series that structures were drawn on; of several that match, the one among them is taken.
    :raises DicomSeriesError: if none or more than one fits; it lists all.
    """
    listed = "; ".join(map(str, candidates)) or "none"
    if wanted:
        fitting = [item for item in candidates if wanted == item.uid]
        fitting = fitting or [item for item in candidates if wanted in (item.number, item.description)]
        fitting = fitting or [item for item in candidates if wanted.casefold() == item.description.casefold()]
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


def _choose(row: Row, tree: Tree, rule: DicomRule) -> DicomPair:
    """:raises GBMResponseError: if anything is missing or not clear."""
    patient = row["patient"]
    if not patient:
        raise TableValueError("The row has no patient id.")
    names = {normalized_id(patient)}
    series = [item for item in tree.series if names & {normalized_id(item.folder), normalized_id(item.patient_id)}]
    if not series:
        raise DicomSeriesError("There is no series of this patient.", "Compare folder names and PatientID.")
    structures = [
        read_structure_set(path)
        for folder, patient_id, path in tree.structure_sets
        if names & {normalized_id(folder), normalized_id(patient_id)}
    ]
    drawn_on = frozenset().union(*(item.series for item in structures))
    pre = _pre(row, series, drawn_on, rule)
    post = _post(row, series, pre, rule)
    if len({item.patient_id for item in (pre, post)}) > 1:
        raise DicomSeriesError("Pre- and post-treatment series have different PatientIDs.", "Correct the folders.")
    if pre.uid == post.uid:
        raise DicomSeriesError("Pre- and post-treatment series are the same.", "Correct the table.")
    roi_names = [name.strip() for name in row.get("gtv_roi", "").split("|") if name.strip()]
    chosen, rois = _gtv(structures, pre, rule, roi_names)
    grid = next((item for item in series if item.uid in chosen.series and item.modality == "MR"), pre)
    return DicomPair(patient, pre, post, pre if pre.uid in chosen.series else grid, chosen, tuple(rois), row)


def _pre(row: Row, series: Sequence[Series], drawn_on: Iterable[str], rule: DicomRule) -> Series:
    wanted, date = row.get("pre_series", ""), _date(row, "pre_date")
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
    wanted, date = row.get("post_series", ""), _date(row, "post_date")
    if date:
        return choose_series(_on(series, date), wanted, rule.series)
    start, errors = _study_day(pre), []
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


def _gtv(
    structures: Sequence[StructureSet], pre: Series, rule: DicomRule, names: Sequence[str]
) -> tuple[StructureSet, list[Roi]]:
    """The newest structure set drawn on a series, else the newest in its frame of reference; and its GTV.

    :raises StructureSetError, FrameOfReferenceError: if there is none.
    """
    if not structures:
        raise StructureSetError("There is no RTSTRUCT of this patient.")
    newest = sorted(structures, key=lambda item: item.time, reverse=True)
    errors: list[StructureSetError] = []
    for fitting in (
        [item for item in newest if pre.uid in item.series],
        [item for item in newest if pre.uid not in item.series],
    ):
        for item in fitting:
            try:
                rois = choose_rois(item, rule.roi, names)
            except StructureSetError as error:
                errors.append(error)
                continue
            if all(roi.frame_of_reference == pre.frame_of_reference for roi in rois):
                return item, rois
            errors.append(
                FrameOfReferenceError(
                    f"The region {rois[0].name} was drawn in another frame of reference than that of the series {pre}."
                )
            )
    raise next((error for error in errors if isinstance(error, FrameOfReferenceError)), errors[0])


def _convert(pair: DicomPair, folder: Path) -> PairSource:
    """Write the pair's volumes if they are not there.

    :raises GBMResponseError: for a value of the table, a series or the contours.
    """
    values = _table_values(pair)
    name = digest(normalized_id(pair.patient))
    paths = {key: folder / f"{name}_{key}.nii.gz" for key in ("pre", "post", "gtv")}
    files = [item.path for series in (pair.pre, pair.post, pair.gtv_grid) for item in series.slices]
    states = [(str(path), file_state(path)) for path in (*sorted(files), pair.structures.path)]
    key = digest(f"{__version__} {states} {pair.rois}")
    mark = folder / f"{name}.json"
    if not _is_current(mark, key, paths.values()):
        mark.unlink(missing_ok=True)
        pre, post = read_series(pair.pre), read_series(pair.post)
        grid = pre if pair.gtv_grid.uid == pair.pre.uid else read_series(pair.gtv_grid)
        gtv = draw_rois(pair.structures, pair.rois, grid)
        for path, image in zip(paths.values(), (pre, post, gtv), strict=True):
            write_image(image, path)
        write_json({"key": key}, mark)
    return PairSource(patient=pair.patient, **paths, **values)


def _is_current(mark: Path, key: str, files: Iterable[Path]) -> bool:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))["key"] == key and all(path.is_file() for path in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _table_values(pair: DicomPair) -> dict[str, Any]:
    """Survival, times and further fields of a pair.

    :raises TableValueError: for a value that cannot be.
    """
    row, start = pair.row, _study_day(pair.pre)
    survival, censored = parse_number(row.get("survival_days"), "survival_days"), False
    if survival is not None:
        censored = parse_truth(row.get("censored"), "censored")
    else:
        for column in ("death_date", "last_contact_date"):
            date = _date(row, column)
            if date:
                survival, censored = _between(start, date, column), column == "last_contact_date"
                break
    treated = _date(row, "radiotherapy_date")
    post = _study_day(pair.post)
    extra = {name: cell for name, cell in row.items() if name and cell and name not in _KNOWN}
    return {
        "survival_days": survival,
        "censored": censored,
        "interval_days": _between(start, post, "follow-up") if start and post else None,
        "radiotherapy_days": float((treated - start).days) if treated and start else None,
        "extra": {
            **extra,
            "dataset": extra.get("dataset", "DICOM"),
            "pre_series": pair.pre.description,
            "post_series": pair.post.description,
            "gtv_rois": [roi.name for roi in pair.rois],
            "series_uids": [pair.pre.uid, pair.post.uid],
        },
    }


def _between(start: datetime.date | None, end: datetime.date, name: str) -> float:
    """:raises TableValueError: if the end is before the start, or the start is not known."""
    if start is None:
        raise TableValueError("The pre-treatment series has no study date.", "Give survival_days instead of a date.")
    days = (end - start).days
    if days < 0:
        raise TableValueError(f"The date of {name} is {-days} days before the pre-treatment MRI.")
    return float(days)


def _days(start: datetime.date | None, series: Series) -> float:
    day = _study_day(series)
    return (day - start).days if start and day else -1.0


def _study_day(series: Series) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(series.study_date, "%Y%m%d").date()
    except ValueError:
        return None


def _on(series: Sequence[Series], date: datetime.date) -> list[Series]:
    """:raises DicomSeriesError: if there is no study on that day."""
    found = [item for item in series if _study_day(item) == date]
    if not found:
        known = ", ".join(sorted({item.study_date or "unknown" for item in series}))
        raise DicomSeriesError(f"There is no study on {date.isoformat()}; there are: {known}.", "Correct the table.")
    return found


def _date(row: Row, column: str) -> datetime.date | None:
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
