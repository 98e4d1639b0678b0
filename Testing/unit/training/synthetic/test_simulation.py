"""`gbmresponse-train simulate`: layout, determinism, resumption and clear errors, on small phantom volumes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import OptionError, OutputFolderError
from GBMResponseCore.inputs.reading import read_image
from GBMResponseCore.inputs.resampling import same_grid
from last_rename import code_without_the_last_folder
from rows import nightly

from GBMResponseTraining import cli
from GBMResponseTraining.datasets.hospital.folder import read_folder
from GBMResponseTraining.datasets.public.cfb_gbm import read_cfb_gbm, read_tables
from GBMResponseTraining.store.slice_store import open_store
from GBMResponseTraining.synthetic import SimulationSettings
from GBMResponseTraining.synthetic.errors import AnatomyError, SimulationFolderError
from GBMResponseTraining.synthetic.layout.cfb_gbm_layout import response
from GBMResponseTraining.synthetic.layout.report import short_survival_auc
from GBMResponseTraining.synthetic.layout.simulation import CohortPlan, simulate_cohort

SMALL = ("--anatomies", "phantom", "--slices", "3", "--size", "64")


def simulate(patients: int, out: Path, *extra: str) -> int:
    return cli.main(["simulate", str(patients), str(out), *SMALL, *extra])


def plan(patients: int, **settings) -> CohortPlan:
    small = {"anatomies": ("phantom",), "anatomy_weights": (1.0,), "slices": 3, "size": 64, **settings}
    return CohortPlan(patients, 0, "phantom", SimulationSettings(**small))


def images(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.nii.gz"))}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    assert simulate(3, folder, "--processes", "1") == 0
    return folder


def test_images_are_named_as_those_of_cfb_gbm(cohort):
    found = sorted(path.relative_to(cohort / "data" / "2").as_posix() for path in (cohort / "data/2").rglob("*.nii.gz"))
    assert found == ["t0/2_t0_gtv.nii.gz", "t0/2_t0_t1gd.nii.gz", "t1/2_t1_gtv.nii.gz", "t1/2_t1_t1gd.nii.gz"]


def test_a_cohort_that_is_gone_at_the_end_is_an_error(tmp_path, monkeypatch, capsys):
    def call(word):
        return simulate(1, tmp_path / word, "--processes", "1")

    assert code_without_the_last_folder(monkeypatch, call) == OutputFolderError.exit_code
    assert "was written and is not there any more" in capsys.readouterr().err


def test_importer_reads_every_patient(cohort):
    pairs, skipped = read_cfb_gbm(cohort)
    assert [pair.patient for pair in pairs] == ["1", "2", "3"]
    assert skipped == []
    assert all(pair.extra["gtv_by"] == "human" for pair in pairs)


def test_tables_say_what_the_truth_says(cohort):
    tables = read_tables(cohort)
    for record in json.loads((cohort / "truth.json").read_text())["patients"]:
        clinical = tables.patients["clinical_data"][record["id"]]
        visit = tables.visits["mri_availability"][record["id"], "t1"]
        assert float(clinical["survival (weeks)"]) * 7 == pytest.approx(record["survival_days"], abs=3.6)
        assert float(visit["time_diff_t0 (weeks)"]) * 7 == pytest.approx(record["interval_days"], abs=3.6)


def test_tables_have_the_publishers_columns_and_line_ends(cohort):
    published = Path(__file__).parents[5] / "shared/data/cfb-gbm-tables"
    if not published.is_dir():
        pytest.skip("needs ../shared/data/cfb-gbm-tables")
    for path in cohort.glob("CFB-GBM_*.tsv"):
        name = path.name.removesuffix("_v03_20260619.tsv")
        original = next(published.glob(f"{name}_v*.tsv")).read_bytes()
        assert path.read_bytes().split(b"\n")[0] == original.split(b"\n")[0]


def test_ordinary_import_makes_a_store(cohort, tmp_path):
    assert cli.main(["import", "cfb-gbm", str(cohort), str(tmp_path)]) == 0
    assert [record["id"] for record in open_store(tmp_path).patients] == ["1", "2", "3"]


def test_censored_patients_are_alive_at_their_last_contact(tmp_path):
    simulate_cohort(plan(2, censored_share=1.0), tmp_path, processes=1)
    pairs, skipped = read_folder(tmp_path / "cohort.csv")
    assert skipped == []
    truth = json.loads((tmp_path / "truth.json").read_text())["patients"]
    for pair, record in zip(pairs, truth, strict=True):
        assert pair.censored
        assert pair.interval_days <= pair.survival_days < record["survival_days"]


def test_nobody_is_censored_unless_asked(cohort):
    assert not any(pair.censored for pair in read_folder(cohort / "cohort.csv")[0])


def test_all_volumes_of_a_patient_share_a_grid(cohort):
    volumes = [read_image(path) for path in (cohort / "data/1").rglob("*.nii.gz")]
    assert len(volumes) == 4
    assert all(same_grid(volumes[0], volume) for volume in volumes)
    assert volumes[0].GetSize() == (64, 64, 3)


def test_image_is_int16_and_says_synthetic(cohort):
    image = sitk.ReadImage(str(cohort / "data/1/t0/1_t0_t1gd.nii.gz"))
    assert image.GetPixelID() == sitk.sitkInt16
    assert image.GetMetaData("descrip").startswith("SYNTHETIC")


def test_geometry_agrees_with_the_side_the_tumor_grows_on(cohort):
    """ITK's x runs to the patient's left; the phantom's midline is near 0."""
    gtv = sitk.ReadImage(str(cohort / "data/1/t0/1_t0_gtv.nii.gz"))
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(gtv)
    center = shape.GetCentroid(1)
    truth = json.loads((cohort / "data/1/1_truth.json").read_text())
    assert np.sign(center[0]) == -np.sign(truth["tumor_center_ras_mm"][0])
    assert center[2] == pytest.approx(truth["tumor_center_ras_mm"][2], abs=25)


def test_folder_says_synthetic_everywhere(cohort):
    assert "SYNTHETIC" in (cohort / "README.md").read_text()
    assert json.loads((cohort / "simulation.json").read_text())["synthetic"] is True
    with (cohort / "truth.csv").open() as file:
        assert {row["synthetic"] for row in csv.DictReader(file)} == {"True"}


@nightly
def test_processes_do_not_change_a_byte(cohort, tmp_path):
    assert simulate(3, tmp_path, "--processes", "2") == 0
    assert images(tmp_path) == images(cohort)


def test_report_puts_the_reference_beside_the_cohort(tmp_path, capsys):
    assert simulate(2, tmp_path, "--processes", "1", "--report", "--montage", str(tmp_path / "montage.png")) == 0
    text = (tmp_path / "calibration.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert "SYNTHETIC" in text
    assert "| | reference | 5.3 | 20.4 | 34.7 | 63 | 96.3 |" in text
    for name in ("calibration.png", "montage.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_auc_of_a_perfect_sign_is_one():
    survival = np.arange(10.0)
    assert short_survival_auc(-survival, survival) == 1
    assert short_survival_auc(np.zeros(10), survival) == 0.5


def test_another_seed_is_another_cohort(cohort, tmp_path):
    simulate(1, tmp_path, "--seed", "1", "--processes", "1")
    assert images(tmp_path)["1_t0_t1gd.nii.gz"] != images(cohort)["1_t0_t1gd.nii.gz"]


def test_killed_run_continues(cohort, tmp_path):
    command = [sys.executable, "-m", "GBMResponseTraining.cli", "simulate", "3", str(tmp_path), *SMALL]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([*command, "--processes", "1"], env=environment, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 600
        while not (tmp_path / "data/1/1_truth.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert not list(tmp_path.glob("*.tsv"))
    first = tmp_path / "data/1/1_truth.json"
    before = first.stat().st_mtime_ns
    simulate_cohort(plan(3), tmp_path, processes=1)
    assert first.stat().st_mtime_ns == before
    assert images(tmp_path) == images(cohort)
    assert not (tmp_path / ".partial").exists()


def test_half_written_patient_is_removed(cohort, tmp_path):
    stray = tmp_path / ".partial/1/t0/1_t0_t1gd.nii.gz"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"half")
    simulate_cohort(plan(1), tmp_path, processes=1)
    assert images(tmp_path / "data/1") == images(cohort / "data/1")
    assert not stray.exists()


def test_larger_cohort_keeps_the_patients_it_has(tmp_path):
    simulate_cohort(plan(1), tmp_path, processes=1)
    before = (tmp_path / "data/1/1_truth.json").stat().st_mtime_ns
    records = simulate_cohort(plan(2), tmp_path, processes=1)
    assert [record["id"] for record in records] == [1, 2]
    assert (tmp_path / "data/1/1_truth.json").stat().st_mtime_ns == before


def test_other_settings_need_another_folder(cohort):
    with pytest.raises(SimulationFolderError, match="other settings"):
        simulate_cohort(plan(3, slices=4), cohort)


def test_another_outcome_needs_another_folder(cohort):
    with pytest.raises(SimulationFolderError, match="other settings"):
        simulate_cohort(plan(3, outcome=1), cohort)


def test_a_cohort_that_was_begun_before_there_were_outcomes_goes_on():
    assert "outcome" not in plan(1).description()
    assert plan(1, outcome=2).description()["outcome"] == 2


def test_smaller_cohort_needs_another_folder(cohort):
    with pytest.raises(SimulationFolderError, match="3 patients"):
        simulate_cohort(plan(2), cohort)


def test_whole_head_covers_the_brain(tmp_path):
    simulate_cohort(plan(1, slices=None, spin_echo_probability=1.0), tmp_path, processes=1)
    image = read_image(tmp_path / "data/1/t0/1_t0_t1gd.nii.gz")
    assert 3 <= image.GetSpacing()[2] <= 6.5
    assert image.GetSpacing()[2] * image.GetSize()[2] > 120


@pytest.mark.parametrize("patients", [0, -3])
def test_number_of_patients_is_checked(patients):
    with pytest.raises(OptionError):
        plan(patients)


@pytest.mark.parametrize(
    "settings", [{"size": 66}, {"size": 32}, {"slices": 1}, {"censored_share": 1.5}, {"outcome": -1}]
)
def test_settings_are_checked(settings):
    with pytest.raises(OptionError):
        plan(1, **settings)


def test_folder_without_anatomies_is_an_error(tmp_path, capsys):
    assert cli.main(["simulate", "1", str(tmp_path / "out"), "--anatomies", str(tmp_path)]) == AnatomyError.exit_code
    assert "has no anatomies" in capsys.readouterr().err


def test_anatomy_that_is_not_there_is_an_error(tmp_path, capsys):
    assert simulate(1, tmp_path, "--use", "colin27") == AnatomyError.exit_code
    assert "'colin27'" in capsys.readouterr().err


def test_output_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert simulate(1, tmp_path / "file" / "out") == OutputFolderError.exit_code


@pytest.mark.parametrize(
    ("reduction", "category"), [(1, "CR"), (0.7, "PR"), (0.5, "MR"), (0.39, "SD"), (-0.4, "SD"), (-0.41, "PD")]
)
def test_response_follows_the_rule_of_the_published_table(reduction, category):
    assert f"({category})" in response(reduction)
