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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from GBMResponseCore import __version__
from GBMResponseCore.dicom.rtstruct import draw_rois
from GBMResponseCore.dicom.series import read_series
from GBMResponseCore.dicom.tree import scan_tree
from GBMResponseCore.files import ensure_output_folder, write_image, write_json
from tqdm import tqdm

from ..errors import DatasetError, TableValueError
from ..pair import (
    PairSource,
    Skipped,
    attempt,
    digest,
    drop_duplicates,
    file_state,
    normalized_id,
    parse_number,
    parse_truth,
)
from ..tables import read_csv
from .choice import DicomPair, DicomRule, choose_pair, read_date, study_day

_SURVIVAL = ("survival_days", "death_date", "last_contact_date")
_KNOWN = (
    "patient", *_SURVIVAL, "censored", "pre_date", "post_date", "pre_series", "post_series", "gtv_roi",
    "radiotherapy_date",
)  # fmt: skip


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
    if not tree.series and tree.unreadable:
        raise DatasetError(
            f"None of the {len(tree.unreadable)} DICOM files below {source} can be read.", "Export the patients again."
        )
    if not tree.series:
        raise DatasetError(f"There is no DICOM image below {source}.", "Give the folder of the exported patients.")
    pairs: list[Any] = []
    skipped: list[Any] = []
    for number, row in rows:
        patient = row["patient"] or f"row {number}"
        found = attempt(patient, choose_pair, row, tree, rule)
        (skipped if isinstance(found, Skipped) else pairs).append(found)
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
    pairs: list[Any] = []
    for pair in tqdm(found, desc="Converting", unit="patient"):
        converted = attempt(pair.patient, _convert, pair, folder)
        if isinstance(converted, Skipped):
            skipped.append(converted)
        else:
            pairs.append(converted)
    return pairs, skipped


def _convert(pair: DicomPair, folder: Path) -> PairSource:
    """Write the pair's volumes if they are not there.

    :raises GBMResponseError: for a value of the table, a series or the contours.
    """
    values = _table_values(pair)
    name = digest(normalized_id(pair.patient))
    paths: dict[str, Any] = {key: folder / f"{name}_{key}.nii.gz" for key in ("pre", "post", "gtv")}
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
    return PairSource(patient=pair.patient, **paths, **values, notes=pair.notes)


def _is_current(mark: Path, key: str, files: Iterable[Path]) -> bool:
    try:
        return json.loads(mark.read_text(encoding="utf-8"))["key"] == key and all(path.is_file() for path in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _table_values(pair: DicomPair) -> dict[str, Any]:
    """Survival, times and further fields of a pair.

    :raises TableValueError: for a value that cannot be.
    """
    row, start = pair.row, study_day(pair.pre)
    survival, censored = parse_number(row.get("survival_days"), "survival_days"), False
    if survival is not None:
        censored = parse_truth(row.get("censored"), "censored")
    else:
        for column in ("death_date", "last_contact_date"):
            date = read_date(row, column)
            if date:
                survival, censored = _between(start, date, column), column == "last_contact_date"
                break
    treated = read_date(row, "radiotherapy_date")
    post = study_day(pair.post)
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
