"""Files of a simulated cohort, named and laid out as CFB-GBM's, so that its importer reads them.

::

    data/<id>/<t0|t1>/<id>_<t0|t1>_<t1gd|gtv>.nii.gz
    data/<id>/<id>_truth.json             hidden values of the patient
    CFB-GBM_<table>_v03_20260619.tsv      the importer's tables
    cohort.csv                            the same patients for the importer of folders, with censored survival
    truth.json, truth.csv                 hidden values of all patients
    simulation.json, README.md            how it was made, and that it is synthetic
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import make_folder, move, remove_folder, write_csv, write_image, write_json, write_text

from ...datasets.pair import DAYS_PER_WEEK
from ..patient import SimulatedPatient

TABLE_VERSION = "v03_20260619"
STATEMENT = "SYNTHETIC: simulated patient, no real person; not for clinical decisions"

_README = f"""# Simulated cohort

{STATEMENT}.

Every image, contour and table in this folder was made by `gbmresponse-train simulate`. The layout, file names and
columns are those of CFB-GBM (The Cancer Imaging Archive, doi 10.7937/v9pn-2f72), so that its importer reads them; not
one value is a patient's. CFB-GBM's patients are all deceased, so its tables hold the true survival even of patients
that `cohort.csv` censors. `simulation.json` holds the settings, `truth.csv` the hidden values.

Figures measured on this cohort say nothing about real patients.
"""

Table = tuple[tuple[str, ...], list[tuple]]


def patient_folder(out: Path, number: int) -> Path:
    """Folder of one patient's images."""
    return out / "data" / str(number)


def write_patient(out: Path, number: int, patient: SimulatedPatient) -> None:
    """Write images, contours and hidden values of one patient; the folder appears when all of it is written.

    :raises OutputFolderError: if it cannot be written.
    """
    target = patient_folder(out, number)
    partial = partial_folder(out) / str(number)
    levels = patient.record["white_matter_level"]
    try:
        for time, image, gtv, level in (
            ("t0", patient.pre, patient.gtv, levels[0]),
            ("t1", patient.post, patient.gtv_post, levels[1]),
        ):
            make_folder(partial / time)
            scanner_units = np.clip(np.round(image * level), 0, 32767).astype(np.int16)
            write_image(_volume(patient, scanner_units), partial / time / f"{number}_{time}_t1gd.nii.gz")
            write_image(_volume(patient, gtv.astype(np.uint8)), partial / time / f"{number}_{time}_gtv.nii.gz")
        record = {"id": number, **patient.record, "gtv_t1_empty": not bool(patient.gtv_post.any())}
        write_json(record, partial / f"{number}_truth.json")
        move(partial, target)
    except OSError as error:
        raise OutputFolderError(f"Cannot write patient {number} to the folder {out} ({error.strerror}).") from error


def partial_folder(out: Path) -> Path:
    """Where patients lie while they are written."""
    return out / ".partial"


def remove_partial(out: Path) -> None:
    """Remove what an interrupted run left."""
    remove_folder(partial_folder(out))


def is_finished(out: Path, number: int) -> bool:
    """True if all of a patient is written."""
    return (patient_folder(out, number) / f"{number}_truth.json").is_file()


def read_truth(out: Path, numbers: Iterable[int]) -> list[dict]:
    """Hidden values of finished patients."""
    return [
        json.loads((patient_folder(out, number) / f"{number}_truth.json").read_text(encoding="utf-8"))
        for number in numbers
    ]


def write_cohort_files(out: Path, records: Sequence[dict]) -> None:
    """Write the tables, the hidden values and the README.

    :raises OutputFolderError: if they cannot be written.
    """
    write_text(_README, out / "README.md")
    write_json({"synthetic": True, "statement": STATEMENT, "patients": list(records)}, out / "truth.json")
    write_csv(tuple(records[0]), records, out / "truth.csv")
    write_csv(*_folder_table(records), out / "cohort.csv")
    for name, (columns, rows) in _tables(records).items():
        write_csv(columns, rows, out / f"CFB-GBM_{name}_{TABLE_VERSION}.tsv", delimiter="\t", line_end="\r\n")


def _volume(patient: SimulatedPatient, array: np.ndarray) -> sitk.Image:
    """A stack as an image: columns run to the patient's left, rows to posterior, slices to superior."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((patient.spacing_mm, patient.spacing_mm, patient.slice_spacing_mm))
    right, anterior, superior = patient.origin_ras_mm
    image.SetOrigin((-right, -anterior, superior))
    image.SetMetaData("ITK_FileNotes", STATEMENT)
    return image


def _folder_table(records: Sequence[dict]) -> Table:
    """The cohort for `gbmresponse-train import folder`; the only table that knows of censored survival."""
    columns = ("patient", "pre", "post", "gtv", "survival_days", "censored", "interval_days", "age_years", "dose_gy")
    rows = [
        (
            r["id"],
            *(f"data/{r['id']}/{name[:2]}/{r['id']}_{name}.nii.gz" for name in ("t0_t1gd", "t1_t1gd", "t0_gtv")),
            r["observed_days"],
            int(r["censored"]),
            *(r[column] for column in columns[6:]),
        )
        for r in records
    ]
    return columns, rows


def _tables(records: Sequence[dict]) -> dict[str, Table]:
    """The tables with CFB-GBM's columns; weeks are whole numbers and ages multiples of 5, as there."""
    return {
        "clinical_data": (
            (
                "id_patient",
                "survival (weeks)",
                "age_at_t0 (years)",
                "who_performance_status",
                "who_guideline",
                "gender",
                "height (cm)",
                "weight (kg)",
            ),
            [
                (
                    r["id"],
                    _weeks(r["survival_days"]),
                    5 * round(r["age_years"] / 5),
                    r["performance_status"],
                    r["who_guideline"],
                    r["gender"],
                    r["height_cm"],
                    r["weight_kg"],
                )
                for r in records
            ],
        ),
        "treatment_data": (
            ("id_patient", "delay_t0_to_radiotherapy (weeks)", "dose (Gy)", "fractions_number"),
            [(r["id"], r["t0_to_radiotherapy_weeks"], f"{r['dose_gy']:g}", r["fractions"]) for r in records],
        ),
        "mri_availability": (
            (
                "id_patient",
                "temporality",
                "time_diff_t0 (weeks)",
                "t1gd",
                "t1eg",
                "t1tse",
                "t2star",
                "t2tse",
                "flair",
                "adc",
                "mri_machine",
            ),
            [
                (r["id"], time, weeks, 1, 0, 0, 0, 0, 0, 0, "SIMULATED")
                for r in records
                for time, weeks in (("t0", 0), ("t1", _weeks(r["interval_days"])))
            ],
        ),
        "treatment_imaging_availability": (
            ("id_patient", "temporality", "gtv", "gtv_type", "rtdose", "treatment_machine", "tps"),
            [
                (r["id"], *row)
                for r in records
                for row in (
                    ("t0", 1, "humanSegmentation", 0, "SIMULATED", "SIMULATED"),
                    ("t1", 1, "genSegmentation", "", "", ""),
                )
            ],
        ),
        "ct_availability": (
            ("id_patient", "temporality", "ct", "ct_machine"),
            [(r["id"], "t0", 0, "") for r in records],
        ),
        "rano_criteria": (
            (
                "id_patient",
                "size_t0 (cm3)",
                "size_t1 (cm3)",
                "size_t2 (cm3)",
                "reduction_rate_t0_to_t1",
                "rano_t0_to_t1",
                "reduction_rate_t0_to_t2",
                "rano_t0_to_t2",
                "reduction_rate_t1_to_t2",
                "rano_t1_to_t2",
            ),
            [_response_row(r) for r in records],
        ),
    }


def _weeks(days: float) -> int:
    return round(days / DAYS_PER_WEEK)


def _response_row(record: dict) -> tuple:
    before, after = record["gtv_t0_ml"], record["gtv_t1_ml"]
    reduction = (before - after) / before
    return (record["id"], f"{before:.2f}", f"{after:.2f}", "", f"{reduction:.4f}", response(reduction), "", "", "", "")


def response(reduction: float) -> str:
    """Category of a relative volume reduction by the rule that CFB-GBM's table follows."""
    if reduction >= 1:
        return "Complete Response (CR)"
    if reduction >= 0.65:
        return "Partial Response (PR)"
    if reduction >= 0.40:
        return "Minor Response (MR)"
    return "Stable Disease (SD)" if reduction >= -0.40 else "Progressive Disease (PD)"
