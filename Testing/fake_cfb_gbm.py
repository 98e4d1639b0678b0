"""Tables with the columns, line ends and names of CFB-GBM's, for patients a test makes up."""

from dataclasses import dataclass
from pathlib import Path

HEADERS = {
    "clinical_data": "id_patient,survival (weeks),age_at_t0 (years),who_performance_status,who_guideline,gender,"
    "height (cm),weight (kg)",
    "treatment_data": "id_patient,delay_t0_to_radiotherapy (weeks),dose (Gy),fractions_number",
    "mri_availability": "id_patient,temporality,time_diff_t0 (weeks),t1gd,t1eg,t1tse,t2star,t2tse,flair,adc,"
    "mri_machine",
    "treatment_imaging_availability": "id_patient,temporality,gtv,gtv_type,rtdose,treatment_machine,tps",
}


@dataclass(frozen=True)
class Patient:
    """Cells of one patient; `t0`, `t1`: there is a T1-Gd, `gtv`: there is a GTV at t0."""

    number: int
    survival: str = "50"
    delay: str = "14"
    t0: int = 1
    t1: int = 1
    gtv: int = 1
    gtv_type: str = "humanSegmentation"


def write_table(folder: Path, name: str, lines: list[str], version: str = "v03_20260619") -> Path:
    """Write one table; cells of a line are separated by commas here and by tabs in the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"CFB-GBM_{name}_{version}.tsv"
    text = "".join(line.replace(",", "\t") + "\r\n" for line in (HEADERS[name], *lines))
    path.write_bytes(text.encode())
    return path


def write_tables(folder: Path, patients: list[Patient]) -> None:
    """Write all tables that the importer reads."""
    clinical = [f"{p.number},{p.survival},65,1,2016,F,165,70" for p in patients]
    treatment = [f"{p.number},3,60,30" for p in patients]
    scans = [f"{p.number},t0,0,{p.t0},1,0,1,0,1,1,AERA (1.5T)" for p in patients]
    scans += [f"{p.number},t1,{p.delay},{p.t1},1,0,1,0,1,1,AERA (1.5T)" for p in patients]
    masks = [f"{p.number},t0,{p.gtv},{p.gtv_type},1,T1,PRECISION" for p in patients]
    masks += [f"{p.number},t1,1,genSegmentation,,," for p in patients]
    write_table(folder, "clinical_data", clinical)
    write_table(folder, "treatment_data", treatment, "v02_20260129")
    write_table(folder, "mri_availability", scans, "v02_20260129")
    write_table(folder, "treatment_imaging_availability", masks)
