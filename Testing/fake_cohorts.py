"""Small trees with the file names and tables of LUMIERE, MU-Glioma-Post, SAILOR and UCSF-ALPTDG."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import phantoms
import SimpleITK as sitk

GRID = ((40, 46, 12), (4.4, 4.4, 9.0))
LABEL_NAMES = {1: "Enhancing_Core", 2: "Necrotic_NonEnhancing", 3: "Edema_Compartment"}


@cache
def image(visit: int = 0) -> sitk.Image:
    """Head without skull, slightly different at every visit."""
    voxels = sitk.GetArrayFromImage(phantoms.head(*GRID)) + visit
    result = sitk.GetImageFromArray(voxels)
    result.CopyInformation(phantoms.empty(*GRID))
    return result


@cache
def labels(order: tuple[int, ...] = (1, 2, 3)) -> sitk.Image:
    """Tumor with an enhancing ring, a necrotic core and edema; `order` are their label values."""
    balls = [sitk.GetArrayFromImage(phantoms.gtv(*GRID, radius_mm=radius)) > 0 for radius in (20, 9, 30)]
    voxels = np.zeros(balls[0].shape, np.uint8)
    for ball, value in zip((balls[2], balls[0], balls[1]), (order[2], order[0], order[1]), strict=True):
        voxels[ball] = value
    result = sitk.GetImageFromArray(voxels)
    result.CopyInformation(phantoms.empty(*GRID))
    return result


def save(picture: sitk.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(picture, path)
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


# LUMIERE


def write_lumiere_tables(root: Path, survival: Mapping[str, object], ratings: Sequence[tuple[str, str, str]]) -> None:
    demographics = ("Patient", "Survival time (weeks)", "Sex", "Age at surgery (years)", "IDH (WT: wild type)",
                    "IDH method", "MGMT qualitative", "MGMT quantitative")  # fmt: skip
    rows = [(patient, weeks, "male", 61, "WT", "IHC", "methylated", "na") for patient, weeks in survival.items()]
    write_csv(root / "LUMIERE-Demographics_Pathology.csv", demographics, rows)
    header = (
        "Patient",
        "Date",
        "LessThan3MonthsAfterOpOrRT",
        "Rating (according to RANO, PD: Progressive disease, SD: Stable disease)",
        "Rating rationale (CRET: ...)",
    )
    write_csv(
        root / "LUMIERE-ExpertRating-v202211.csv",
        header,
        [(patient, week, "", rating, "") for patient, week, rating in ratings],
    )


def write_lumiere_visit(root: Path, patient: str, week: str, order=(1, 2, 3), volumes=None, with_mask=True) -> Path:
    """Atlas images of one visit; `order` are the label values of enhancing, necrosis and edema."""
    atlas = root / "Imaging" / patient / week / "DeepBraTumIA-segmentation" / "atlas"
    save(image(int(week[5:8])), atlas / "skull_strip" / "ct1_skull_strip.nii.gz")
    save(phantoms.gtv(*GRID, radius_mm=80, at=(0, 0, 0)), atlas / "skull_strip" / "brain_mask.nii.gz")
    if with_mask:
        mask = labels(tuple(order))
        save(mask, atlas / "segmentation" / "seg_mask.nii.gz")
        voxels = sitk.GetArrayViewFromImage(mask)
        names = zip(order, LABEL_NAMES.values(), strict=True)
        true = {name: float((voxels == value).sum() * np.prod(GRID[1])) for value, name in names}
        (atlas / "segmentation" / "measured_volumes_in_mm3.json").write_text(json.dumps(volumes or true))
    return atlas


# MU-Glioma-Post

ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "6th")
MU_HEADER = (
    "Patient_ID",
    "Primary Diagnosis",
    *[f"Number of Days from Diagnosis to {name} MRI (Timepoint_{k}) " for k, name in enumerate(ORDINALS, start=1)],
    "Number of days from Diagnosis to Radiation Therapy Start date",
    "Number of days from Diagnosis to Radiation Therapy end date",
    "Dose",
    "Number of Fractions",
    " Number of days from Diagnosis to Initial Chemo Therapy Start date",
    "Overall Survival (Death)",
    "Number of days from Diagnosis to death (Days)",
)


def mu_row(patient: str, days: Sequence, start: object, end: object, death: object, diagnosis: str = "GBM") -> tuple:
    padded = [*days, *[None] * (6 - len(days))]
    return (patient, diagnosis, *padded, start, end, 60, 30, 20, 1 if death else 0, death)


def write_mu_workbook(root: Path, rows: Sequence[tuple], header: Sequence[str] = MU_HEADER) -> Path:
    name = "MU-Glioma-Post_ClinicalData-July2025.xlsx"
    return write_workbook(root / name, {"MU Glioma Post": [header, *rows], "Volumes": [["a"]]})


def write_mu_visit(root: Path, patient: str, k: int, order=(3, 1, 2), with_mask=True) -> Path:
    folder = root / patient / f"Timepoint_{k}"
    name = f"{patient}_Timepoint_{k}"
    save(image(k), folder / f"{name}_brain_t1c.nii.gz")
    if with_mask:
        save(labels(tuple(order)), folder / f"{name}_tumorMask.nii.gz")
    return folder


# SAILOR


def write_sailor_patient(root: Path, number: int, intervals: Sequence[int], treatments=(), months="15.5") -> Path:
    """One more session than intervals; `treatments` of the first sessions."""
    folder = root / f"sub-{number:02d}"
    for k in range(1, len(intervals) + 2):
        session = folder / f"ses-{k:02d}"
        save(image(k), session / "T1c.nii.gz")
        save(labels() == 1, session / "ContrastEnhancedMask-CL.nii.gz")
        if k <= len(treatments):
            (session / "treatment.txt").write_text(treatments[k - 1] + "\n")
    (folder / "intervals-days.txt").write_text("\n".join(map(str, intervals)) + "\n")
    (folder / "overall-survival-months.txt").write_text(f"{months}\n")
    (folder / "age-years.txt").write_text("58\n")
    return folder


# UCSF-ALPTDG

UCSF_HEADER = ("SubjectID", "Days from 1st surgery/DX  to 1st scan", "Days from 1st scan to 2nd scan",
               "WHO 2021 Diagnosis", "Grade", "MGMT", "IDH", "Days from death to 1st scan")  # fmt: skip


def write_ucsf_workbook(root: Path, rows: Sequence[tuple[int, object, object]], header=UCSF_HEADER) -> Path:
    """Rows of id, days between the scans and days of death."""
    clinical = [(patient, 100, days, "Glioblastoma", 4, "positive", "WT", death) for patient, days, death in rows]
    split = [(patient, "train") for patient, _, _ in rows]
    return write_workbook(
        root / "UCSF_PostopGlioma_Table S1 v1.xlsx",
        {
            "UCSF-LPTDG": [["SubjectID", "Timepoint"], [1, 1]],
            "Clinical Info": [header, *clinical],
            "TrainTestSplit": [["SubjectID", "Split"], *split],
        },
    )


def write_ucsf_patient(root: Path, patient: int, times=(1, 2)) -> Path:
    folder = root / str(patient)
    for time in times:
        save(image(time), folder / f"{patient}_time{time}_t1ce.nii.gz")
        save(labels((3, 1, 2)), folder / f"{patient}_time{time}_seg.nii.gz")
    return folder
