"""Pairs of image files -> a slice store, patient by patient; an interrupted import continues.

Files in the output folder::

    *.npy, patients.json       the slice store
    imported.csv, skipped.csv  what became of every patient
    contact_sheet*.png         a picture of every patient
    parts/                     one file per finished patient: a later import redoes only what is missing or changed
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from GBMResponseCore import __version__
from GBMResponseCore.files import ensure_output_folder
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from tqdm import tqdm

from ..datasets.errors import DatasetError
from ..datasets.pair import (
    PairSource,
    Skipped,
    attempt,
    digest,
    drop_duplicates,
    file_state,
    natural_order,
    normalized_id,
)
from .contact_sheet import write_contact_sheet
from .preparation import AlignmentRule, prepare_pair
from .reports import write_imported, write_skipped
from .slice_store import collect_parts, open_store, read_record, write_part

_NO_SURVIVAL = "Add it, or leave the patient out: survival classes cannot be learned from it."


@dataclass(frozen=True)
class ImportResult:
    """What an import made.

    :param imported: ids in the store.
    :param skipped: everyone else, with the reason.
    :param folder: of the store and the reports.
    """

    imported: list[str]
    skipped: list[Skipped]
    folder: Path


def import_pairs(
    pairs: Sequence[PairSource],
    out: Path,
    rule: InPlaneRule,
    normalization: NormalizationSettings,
    alignment: AlignmentRule | None = None,
    skipped: Sequence[Skipped] = (),
    require_survival: bool = True,
    skull_strip: bool = False,
) -> ImportResult:
    """Write a slice store of all usable pairs, and reports about all others; one bad patient stops nothing.

    :param rule: how slices are brought to a matrix and pixel size.
    :param normalization: applied to pre and post, see :class:`.preparation.PreparedPair`.
    :param skipped: patients already ruled out, for the report.
    :param require_survival: skip patients of unknown survival. A store with such patients has `survival_days` None
        for them: they train the autoencoders, and the diffusion model as patients without class.
    :param skull_strip: keep the brain alone in both images.
    :raises OutputFolderError: if the output cannot be written; finished patients stay and are not redone.
    :raises MissingPackageError: if skulls cannot be stripped.
    :raises DatasetError: if no patient is usable; the reports say why.
    """
    ensure_output_folder(out)
    parts = ensure_output_folder(out / "parts")
    alignment = alignment or AlignmentRule()
    pairs, duplicates = drop_duplicates(pairs)
    skipped = [*skipped, *duplicates]
    settings = {
        "version": __version__,
        "rule": rule.to_dict(),
        "normalization": normalization.to_dict(),
        "alignment": asdict(alignment),
        "skull_strip": skull_strip,
    }

    finished: list[Any] = []
    for pair in tqdm(sorted(pairs, key=lambda pair: natural_order(pair.patient)), desc="Importing", unit="patient"):
        if require_survival and pair.survival_days is None:
            skipped.append(Skipped(pair.patient, "no-survival", "The survival is not known.", _NO_SURVIVAL))
            continue
        part = attempt(pair.patient, _part, pair, parts, rule, normalization, alignment, skull_strip, settings)
        if isinstance(part, Skipped):
            skipped.append(part)
        else:
            finished.append(part)

    records = [read_record(part) for part in finished]
    skipped.sort(key=lambda item: natural_order(item.patient))
    write_skipped(skipped, out / "skipped.csv")
    write_imported(records, out / "imported.csv")
    if not finished:
        raise DatasetError("No patient could be imported.", f"See {out / 'skipped.csv'} for the reasons.")
    collect_parts(out, finished)
    write_contact_sheet(open_store(out), out / "contact_sheet.png")
    return ImportResult([record["id"] for record in records], skipped, out)


def _part(
    pair: PairSource,
    parts: Path,
    rule: InPlaneRule,
    normalization: NormalizationSettings,
    alignment: AlignmentRule,
    skull_strip: bool,
    settings: dict[str, Any],
) -> Path:
    """Write the part of a pair, unless it is there and made from the same files with the same settings.

    :raises GBMResponseError: as :func:`.preparation.prepare_pair`, or if it cannot be written.
    """
    part = parts / f"{digest(normalized_id(pair.patient))}.npz"
    key = digest(f"{pair} {[file_state(path) for path in pair.files]} {json.dumps(settings)}")
    if not _is_current(part, key):
        prepared = prepare_pair(pair, rule, normalization, alignment, skull_strip)
        preprocessing = {"in_plane": rule.to_dict(), "intensity": normalization.to_dict()}
        record = {**prepared.record, "preprocessing": preprocessing, "import_key": key}
        write_part(part, prepared.pre, prepared.post, prepared.gtv, record)
    return part


def _is_current(part: Path, key: str) -> bool:
    """True if a part was made from these files with these settings."""
    try:
        return read_record(part).get("import_key") == key
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        return False
