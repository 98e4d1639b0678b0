"""Every data set through the command line, from a small tree with its file names to a slice store."""

import csv
from pathlib import Path

import fake_cohorts as fake
import numpy as np
import phantoms
import pytest
from fake_dicom import ball_contours, write_series, write_structures

from GBMResponseTraining.cli import main
from GBMResponseTraining.store.slice_store import open_store


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Run an import; returns the store, the codes of skipped.csv by patient, and the exit code."""

    def run(name: str, source: Path, *options: str):
        out = tmp_path_factory.mktemp("store")
        assert main(["import", name, str(source), str(out), *options]) == 0
        with (out / "skipped.csv").open(encoding="utf-8", newline="") as file:
            skipped = {row["patient"]: row["code"] for row in csv.DictReader(file)}
        assert (out / "contact_sheet.png").is_file()
        return open_store(out), skipped

    return run


def check(store, dataset: str) -> dict:
    """What holds for every store; returns the record of the first patient."""
    assert store.pre.shape == store.post.shape == store.gtv.shape
    assert store.pre.shape[1:] == (256, 256)
    assert store.gtv.any(axis=(1, 2)).all()
    assert not np.array_equal(store.pre, store.post)
    record = store.patients[0]
    assert record["dataset"] == dataset
    assert not record["registered"]
    return record


def test_lumiere(tmp_path, imported, capsys):
    visits = (("week-002", "Post-Op"), ("week-014", "SD"))
    names = ("Patient-001", "Patient-002", "Patient-003")
    fake.write_lumiere_tables(
        tmp_path, {names[0]: 60, names[1]: 90, names[2]: "na"}, [(name, *visit) for name in names for visit in visits]
    )
    for name, order in zip(names, ((1, 2, 3), (2, 1, 3), (1, 2, 3)), strict=True):
        for week, _ in visits:
            fake.write_lumiere_visit(tmp_path, name, week, order)
    store, skipped = imported("lumiere", tmp_path, "--skull-strip")
    assert skipped == {"Patient-003": "no-survival"}
    record = check(store, "LUMIERE")
    assert [record["survival_days"] for record in store.patients] == [58 * 7, 88 * 7]
    assert record["gtv_label_names"] == {"1": "enhancing", "2": "necrosis", "3": "edema"}
    assert store.patients[1]["gtv_label_names"] == {"2": "enhancing", "1": "necrosis", "3": "edema"}
    assert record["gtv_volume_ml"] == store.patients[1]["gtv_volume_ml"] == record["post_gtv_volume_ml"]
    printed = capsys.readouterr().out
    assert "1 = enhancing" in printed and "2 = enhancing" in printed


def test_mu_glioma_post(tmp_path, imported, capsys):
    rows = [fake.mu_row("PatientID_0003", (5, 100), 20, 62, 500), fake.mu_row("PatientID_0004", (40,), 20, 62, 500)]
    fake.write_mu_workbook(tmp_path, rows)
    for patient, visits in (("PatientID_0003", (1, 2)), ("PatientID_0004", (1,))):
        for k in visits:
            fake.write_mu_visit(tmp_path, patient, k)
    store, skipped = imported("mu", tmp_path, "--diagnosis", "gbm", "--post-weeks", "12", "20")
    assert skipped == {"PatientID_0004": "no-pre-image"}
    record = check(store, "MU-Glioma-Post")
    assert (record["survival_days"], record["interval_days"], record["days_since_rt"]) == (495, 95, 80)
    assert record["gtv_labels_used"] == [1, 3, 4]
    assert "3 = enhancing" in capsys.readouterr().out


def test_sailor(tmp_path, imported, capsys):
    fake.write_sailor_patient(tmp_path, 1, (30, 70), ("no", "CRT", "TMZ"))
    fake.write_sailor_patient(tmp_path, 2, (30,))
    assert main(["import", "sailor", str(tmp_path), str(tmp_path / "none"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "Pairs found: 1; patients without a usable pair: 1" in printed
    assert "  sub-02: There is no T1-Gd in the weeks 12 to 24" in printed
    assert not (tmp_path / "none").exists()
    store, skipped = imported("sailor", tmp_path)
    assert skipped == {"sub-02": "no-follow-up"}
    assert check(store, "SAILOR")["interval_days"] == 100


def test_ucsf_alptdg(tmp_path, imported):
    fake.write_ucsf_workbook(tmp_path, [(100002, 65, -400), (100003, 30, -100)])
    for patient in (100002, 100003):
        fake.write_ucsf_patient(tmp_path, patient)
    store, skipped = imported("ucsf-alptdg", tmp_path, "--min-weeks", "8", "--gtv-labels", "3")
    assert skipped == {"100003": "interval"}
    record = check(store, "UCSF-ALPTDG")
    assert record["gtv_labels_used"] == [3]
    assert record["task"] == "both scans are after treatment"


def test_dicom(tmp_path, imported, capsys):
    image = phantoms.head(*fake.GRID)
    circles = ball_contours(image, phantoms.GTV_CENTER, 20)
    for name in ("P1", "P2", "P3"):
        folder = tmp_path / "export" / name
        pre = write_series(folder / "a", image, patient=name, date="20200110")
        gap = [5] if name == "P2" else []
        write_series(folder / "b", image + 5, patient=name, date="20200510", number=7, leave_out=gap)
        frame = "1.2.3" if name == "P3" else None
        write_structures(folder / "RS.dcm", pre, {"GTV": circles}, frame=frame)
    table = tmp_path / "patients.csv"
    table.write_text(
        "patient,death_date,radiotherapy_date\n" + "".join(f"P{k},2021-06-01,2020-02-01\n" for k in (1, 2, 3))
    )
    source = tmp_path / "export"
    assert main(["import", "dicom", str(source), str(tmp_path / "none"), "--table", str(table), "--dry-run"]) == 0
    assert "P1: 20200110 5 'T1 MPRAGE +C' (MR, 12 files) -> 20200510 7" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    store, skipped = imported("dicom", source, "--table", str(table))
    assert skipped == {"P2": "dicom-series", "P3": "frame-of-reference"}
    record = check(store, "DICOM")
    assert (record["survival_days"], record["interval_days"], record["days_since_rt"]) == (508, 121, 99)


@pytest.mark.parametrize("kind, brightest", [("max", (0.9, 1.0)), ("percentile", (1.0, 1.5))])
def test_the_scale_of_the_intensities_is_chosen_at_import(tmp_path, imported, kind, brightest):
    fake.write_mu_workbook(tmp_path, [fake.mu_row("PatientID_0003", (5, 100), 20, 62, 500)])
    for k in (1, 2):
        fake.write_mu_visit(tmp_path, "PatientID_0003", k)
    store, _ = imported("mu", tmp_path, "--normalization", kind)
    assert store.patients[0]["preprocessing"]["intensity"]["kind"] == kind
    assert brightest[0] <= store.pre.max() <= brightest[1]


def test_missing_columns_end_the_command(tmp_path, capsys):
    fake.write_ucsf_workbook(tmp_path, [(1, 65, 400)], [*fake.UCSF_HEADER[:-1], "Alive"])
    assert main(["import", "ucsf", str(tmp_path), str(tmp_path / "out")]) == 41
    assert "no column days from death to 1st scan" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
