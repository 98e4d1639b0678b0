"""Hospital in, hospital out: a study with its RTSTRUCT predicted by one command, and its results in the archive."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orthanc
import phantoms
import pydicom
import pytest
import SimpleITK as sitk
from fake_dicom import ball_contours, change, write_series, write_structures
from GBMResponseCore import cli
from GBMResponseCore.dicom.case import load_case
from GBMResponseCore.dicom.derived import segmentation
from GBMResponseCore.dicom.network import PASSWORD, Server
from GBMResponseCore.dicom.source import Making, read_source
from GBMResponseCore.dicom.structures_writer import structure_set
from last_rename import code_without_the_last_folder
from pydicom.uid import generate_uid
from rows import share
from tiny_bundle import write_tiny_bundle

SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)
CORE_PARENT = Path(cli.__file__).resolve().parents[1]
KNOWN_LATER = "(0x0008,0x001c)"
"""See test_writing.py."""
SECRETS = ("Gruenwald", "Adelheid", "MRN-77123", "Krankenhaus", "Zebulon", "ACC-4711", "19480229", "Feldweg")


def make_export(folder: Path, **tags) -> Path:
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    study = generate_uid()
    header = write_series(folder / "t1", image, study=study, **tags)
    write_series(folder / "flair", image, **{**tags, "description": "FLAIR", "number": 6, "study": study})
    write_structures(folder / "RS.dcm", header, {"GTV": ball_contours(image, phantoms.GTV_CENTER, 12), "Brain": []})
    return folder


@pytest.fixture
def export(tmp_path) -> Path:
    return make_export(tmp_path / "export")


def call(*words) -> int:
    return cli.main([str(word) for word in words])


def predict(export, out, bundle, *more) -> int:
    return call("predict", "--dicom", export, "--out", out, "--bundle", bundle, *more)


def same_voxels(first: Path, second: Path) -> bool:
    images = [sitk.ReadImage(path) for path in (first, second)]
    return all(np.array_equal(*map(get, images)) for get in (sitk.GetArrayViewFromImage, sitk.Image.GetDirection))


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_bundle) -> Path:
    """Folder with an export, and what was predicted of it."""
    folder = tmp_path_factory.mktemp("run")
    make_export(folder / "export")
    assert predict(folder / "export", folder / "out", tiny_bundle, "--dicom-out", "--samples", 2) == 0
    return folder


def test_a_series_is_predicted_as_its_volume_is(run, tiny_bundle, tmp_path):
    case = load_case(run / "export", run / "export")
    sitk.WriteImage(case.image, tmp_path / "image.nii.gz")
    sitk.WriteImage(case.gtv, tmp_path / "gtv.nii.gz")
    files = ("--image", tmp_path / "image.nii.gz", "--gtv", tmp_path / "gtv.nii.gz", "--out", tmp_path / "out")
    assert call("predict", *files, "--bundle", tiny_bundle, "--samples", 2) == 0
    for name in ("expected", "predicted", "sample_02", "spread", "generated_mask"):
        assert same_voxels(run / "out" / f"{name}.nii.gz", tmp_path / "out" / f"{name}.nii.gz"), name
    for name in ("expected", "predicted"):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(
            str(run / "out" / "dicom"),
            str(pydicom.dcmread(run / "out" / "dicom" / f"{name}_0001.dcm").SeriesInstanceUID),
        )
        volume = sitk.ReadImage(str(run / "out" / f"{name}.nii.gz"))
        assert np.array_equal(*map(sitk.GetArrayViewFromImage, (sitk.ReadImage(files), volume)))


def test_the_sample_case_is_the_same_as_dicom(tmp_path):
    tool = Path(__file__).resolve().parents[1] / "tools" / "make_dicom_export.py"
    subprocess.run([sys.executable, tool, tmp_path / "export"], check=True)
    sample = CORE_PARENT / "Resources" / "SampleData"
    bundle = write_tiny_bundle(tmp_path / "bundle", size=256)  # whose slices hold the whole head
    quick = ("--bundle", bundle, "--samples", 0, "--no-measurements", "--no-montage", "--no-report")
    assert call("predict", "--dicom", tmp_path / "export", "--out", tmp_path / "dicom", *quick) == 0
    files = ("--image", sample / "btp05_pre_t1gd.nii.gz", "--gtv", sample / "btp05_pre_gtv.nii.gz")
    assert call("predict", *files, "--out", tmp_path / "nifti", *quick) == 0
    for name in ("expected", "generated_mask", "blend_weight"):
        assert same_voxels(tmp_path / "dicom" / f"{name}.nii.gz", tmp_path / "nifti" / f"{name}.nii.gz")


def test_the_choice_is_in_the_provenance_with_all_files(run):
    record = json.loads((run / "out" / "provenance.json").read_text("utf-8"))
    assert [note["code"] for note in record["warnings"]][:2] == ["dicom-series", "dicom-gtv"]
    assert {path.name for path in (run / "out" / "dicom").iterdir()} == {
        Path(name).name for name in record["dicom_files"]
    }


def test_a_run_is_measured_again_with_the_plan_of_its_rtstruct(run, tiny_bundle, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "copy")
    export = tmp_path / "copy" / "export"
    words = ("measure", tmp_path / "copy" / "out", "--dicom", export, "--bundle", tiny_bundle)
    assert call(*words, "--contour", f"GTV={export / 'RS.dcm'}") == 0
    assert call(*words, "--contour", f"PTV={export / 'RS.dcm'}") == 64
    assert "no region PTV; there are: GTV, Brain" in capsys.readouterr().err


def test_a_run_without_dicom_removes_that_of_the_run_before(run, tiny_bundle, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    assert predict(tmp_path / "copy" / "export", tmp_path / "copy" / "out", tiny_bundle, "--samples", 0) == 0
    assert not (tmp_path / "copy" / "out" / "dicom").exists()


@pytest.mark.parametrize("place", share([".", "results"], 1))
def test_results_may_lie_in_the_export_and_the_next_run_passes_over_them(run, tiny_bundle, tmp_path, place):
    export = shutil.copytree(run / "export", tmp_path / "export")
    out = export / place
    # Regions of ours that are newer than the GTV: the tiny model enhances nowhere, so its run writes none.
    case = load_case(export, export)
    source, making = read_source(case.origin.series), Making("demo 1", "ab" * 32)
    (export / "fetched").mkdir()
    (export / "fetched" / "rt.dcm").write_bytes(structure_set(source, making, {"GTV": case.gtv}, "GTV", 9005))
    (export / "fetched" / "seg.dcm").write_bytes(segmentation(source, making, case.gtv, "GTV", 9006))
    for _ in "ab":
        assert predict(export, out, tiny_bundle, "--dicom-out", "--samples", 2) == 0
        assert len(list((out / "dicom").glob("expected_*.dcm"))) == 8
    record, first = (json.loads((folder / "provenance.json").read_text("utf-8")) for folder in (out, run / "out"))
    assert record["inputs_sha256"] == first["inputs_sha256"]
    assert "T1 MPRAGE +C" in record["warnings"][0]["sentence"]
    assert record["warnings"][1] == first["warnings"][1]  # the same region of the same kind of object
    assert same_voxels(out / "generated_mask.nii.gz", run / "out" / "generated_mask.nii.gz")


def test_results_never_come_among_the_files_of_the_input(run, tiny_bundle, tmp_path, capsys):
    """The export may be the folder `dicom` beside which results are asked for."""
    export = shutil.copytree(run / "export", tmp_path / "case" / "dicom")
    (export / "RS.dcm").rename(export / "structures.dcm")  # as a result is called
    before = {path: path.read_bytes() for path in (tmp_path / "case").rglob("*") if path.is_file()}
    assert predict(export, tmp_path / "case", tiny_bundle, "--dicom-out", "--samples", 0) == 21
    assert "which holds other DICOM files" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "case").rglob("*") if path.is_file()} == before
    # Without DICOM results nothing comes in there.
    assert predict(export, tmp_path / "case", tiny_bundle, "--samples", 0) == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_mark_in_the_pixels_and_a_root_of_uids_may_be_asked_for(export, tiny_bundle, tmp_path):
    options = ("--dicom-out", "--samples", 0, "--burn-in", "--uid-root", "1.2.276.0.99", "--class", "short", "long")
    assert predict(export, tmp_path / "out", tiny_bundle, *options) == 0
    for name in ("short", "long"):
        dataset = pydicom.dcmread(tmp_path / "out" / name / "dicom" / "expected_0001.dcm")
        assert dataset.BurnedInAnnotation == "YES"
        assert dataset.SOPInstanceUID.startswith("1.2.276.0.99.")
        assert dataset.SeriesDescription.endswith(f"class {name}")
        plain = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / name / "expected.nii.gz")))[0]
        assert (dataset.pixel_array != plain).any()
        assert np.array_equal(dataset.pixel_array[:50], plain[:50])


def test_dicom_cannot_be_written_for_a_volume(run, tmp_path, tiny_bundle, capsys):
    case = load_case(run / "export", run / "export")
    sitk.WriteImage(case.image, tmp_path / "image.nii.gz")
    sitk.WriteImage(case.gtv, tmp_path / "gtv.nii.gz")
    files = ("--image", tmp_path / "image.nii.gz", "--gtv", tmp_path / "gtv.nii.gz", "--out", tmp_path / "out")
    assert call("predict", *files, "--bundle", tiny_bundle, "--dicom-out") == 34
    assert "read from DICOM" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_gtv_is_asked_for_unless_a_folder_may_hold_it(tmp_path, capsys):
    (tmp_path / "image.nii.gz").touch()
    with pytest.raises(SystemExit) as caught:
        call("predict", "--image", tmp_path / "image.nii.gz", "--out", tmp_path / "out")
    assert caught.value.code == 2
    assert "--gtv" in capsys.readouterr().err


def test_rows_of_a_cohort_may_be_folders_of_dicom(export, tiny_bundle, tmp_path, capsys):
    rows = ["id,image,gtv,series,gtv_roi", "a,export,export/RS.dcm,5,GTV", "b,export,export,,", "c,none,none,,"]
    (tmp_path / "cases.csv").write_text("\n".join([*rows, "d,export,export,5,Edema|GTV"]))
    words = ("cohort", tmp_path / "cases.csv", "--out", tmp_path / "out", "--bundle", tiny_bundle, "--samples", 0)
    words += ("--dicom-out", "--no-measurements")
    assert call(*words) == 3
    for name in "ab":
        assert (tmp_path / "out" / name / "dicom" / "expected_0008.dcm").is_file()
    capsys.readouterr()
    assert call(*words) == 3
    said = capsys.readouterr().out
    assert "a: was done before" in said and "b: was done before" in said
    assert "d: failed (rtstruct). There is no region Edema; there are: GTV, Brain." in said


def test_the_list_says_why_a_series_is_the_t1_gd(run, capsys):
    assert call("dicom", "list", run / "export") == 0
    said = capsys.readouterr().out
    assert "the description says T1 with contrast, structures were drawn on it" in said
    assert "RTSTRUCT RS.dcm: GTV (GTV), Brain" in said
    assert said.rstrip().endswith("T1-Gd: 5 'T1 MPRAGE +C' (MR, 8 files)")


# De-identification


def full_of_names(folder: Path) -> Path:
    """An export with names wherever DICOM has text."""
    make_export(
        folder, PatientName="Gruenwald^Adelheid", PatientBirthDate="19480229", PatientAddress="Feldweg 3",
        ReferringPhysicianName="Zebulon^Dr", InstitutionName="Krankenhaus Nord", AccessionNumber="ACC-4711",
        OtherPatientIDs="MRN-77123", StudyDescription="Head of Gruenwald", OperatorsName="Zebulon",
        StationName="Krankenhaus1", ImageComments="Adelheid moved", ProtocolName="Gruenwald protocol",
        description="T1 +C Gruenwald", patient="MRN-77123",
    )  # fmt: skip
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            dataset = pydicom.dcmread(path)
            dataset.PatientName, dataset.PatientID = "Gruenwald^Adelheid", "MRN-77123"
            block = dataset.private_block(0x0019, "Krankenhaus", create=True)
            block.add_new(0x01, "LO", "Gruenwald Adelheid")
            nested = pydicom.Dataset()
            nested.ScheduledPerformingPhysicianName = "Zebulon"
            dataset.RequestAttributesSequence = [nested]
            dataset.preamble = b"Adelheid".ljust(128, b"\0")
            dataset.save_as(path)
    return folder


def secrets_in(content: bytes) -> list[str]:
    forms = [form for word in SECRETS for form in (word.encode(), word.upper().encode(), word.encode("utf-16-le"))]
    return [form.decode("latin-1") for form in forms if form in content]


def test_no_name_is_found_in_anything_that_is_written(tiny_bundle, tmp_path):
    """In files, temporary ones included, and in what is printed; the export's own folder is the control."""
    full_of_names(tmp_path / "export")
    assert set(secrets_in(b"".join(p.read_bytes() for p in (tmp_path / "export").rglob("*") if p.is_file()))) >= {
        "Gruenwald", "Adelheid", "MRN-77123", "Krankenhaus", "Zebulon", "ACC-4711", "19480229",
    }  # fmt: skip
    (tmp_path / "temporary").mkdir()
    watched = (tmp_path / "out", tmp_path / "temporary")
    environment = os.environ | {"PYTHONPATH": str(CORE_PARENT), "TMPDIR": str(watched[1])}
    words = ["predict", "--dicom", tmp_path / "export", "--series", "5", "--out", watched[0], "--bundle", tiny_bundle]
    words += ["--dicom-out", "--samples", 2, "--deidentify", "--verbose", "--pseudonym-key", tmp_path / "key"]
    process = subprocess.Popen(
        [sys.executable, "-m", "GBMResponseCore", *map(str, words)],
        env=environment, cwd=watched[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    hits = set()
    while process.poll() is None:
        hits |= {(path.name, hit) for path, hit in found_in(watched)}
        time.sleep(0.2)
    said = process.stdout.read()
    assert process.returncode == 0, said.decode()
    assert hits | {(path.name, hit) for path, hit in found_in(watched)} == set()
    assert secrets_in(said) == []
    assert len(list((watched[0] / "dicom").iterdir())) >= 8 * 2 + 3


def found_in(folders) -> list[tuple[Path, str]]:
    found = []
    paths = (Path(at) / name for folder in folders for at, _, names in os.walk(folder) for name in names)
    for path in paths:  # of a run that goes on: files and folders may be gone meanwhile
        try:
            found += [(path, hit) for hit in secrets_in(path.read_bytes() + path.name.encode())]
        except OSError:
            continue
    return found


def test_one_key_gives_the_same_pseudonym_and_uids_to_inputs_and_results(run, tiny_bundle, tmp_path, capsys):
    key = ("--pseudonym-key", tmp_path / "key")
    options = ("--dicom-out", "--samples", 0, "--deidentify", *key)
    assert predict(run / "export", tmp_path / "out", tiny_bundle, *options) == 0
    assert call("dicom", "deidentify", run / "export", "--out", tmp_path / "inputs", *key, "--keep-dates") == 0
    result = pydicom.dcmread(tmp_path / "out" / "dicom" / "expected_0001.dcm")
    inputs = [pydicom.dcmread(path) for path in sorted((tmp_path / "inputs").iterdir())]
    names = ("PatientID", "PatientName", "StudyInstanceUID")
    assert {tuple(str(item[name].value) for name in names) for item in [result, *inputs]} == {
        tuple(str(result[name].value) for name in names)
    }
    assert re.fullmatch(r"P-[0-9A-F]{12}", result.PatientID)
    reference = result.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert reference in {item.SOPInstanceUID for item in inputs}
    assert (result.StudyDate, inputs[0].StudyDate) == ("", "20200101")
    assert result.PatientIdentityRemoved == "YES"
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    # The copy is still a case, with the same GTV.
    case, other = load_case(tmp_path / "inputs", tmp_path / "inputs"), load_case(run / "export", run / "export")
    assert np.array_equal(*map(sitk.GetArrayViewFromImage, (case.gtv, other.gtv)))


def test_text_in_pixels_is_not_passed_over(export, tmp_path, capsys):
    change(export / "t1", 0, BurnedInAnnotation="YES")
    assert call("dicom", "deidentify", export, "--out", tmp_path / "out") == 63
    assert "pixels of an image hold text" in capsys.readouterr().err


# A server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if orthanc.missing():
        pytest.skip(orthanc.missing())
    os.environ[PASSWORD] = orthanc.PASSWORD
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
    del os.environ[PASSWORD]


def new_instances(server) -> list[str]:
    """Of every object that was ever stored, in order, also of one that was stored again."""
    return [
        change["ID"]
        for change in server.ask("/changes?limit=10000")["Changes"]
        if change["ChangeType"] == "NewInstance"
    ]


def test_a_study_goes_from_the_archive_through_a_prediction_and_back(server, export, tiny_bundle, tmp_path, capsys):
    study = pydicom.dcmread(next((export / "t1").iterdir())).StudyInstanceUID
    access = ("--url", server.url, "--user", orthanc.USER)
    assert call("dicom", "send", export, *access) == 0
    assert call("dicom", "fetch", "--study", study, "--out", tmp_path / "in", *access) == 0
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 8 + 8 + 1
    assert predict(tmp_path / "in", tmp_path / "out", tiny_bundle, "--dicom-out", "--samples", 2) == 0
    assert call("dicom", "send", tmp_path / "out" / "dicom", *access) == 0
    found = server.ask(f"/dicom-web/studies/{study}/series")
    kinds = [(item["00080060"]["Value"][0], item["0008103E"]["Value"][0]) for item in found if "0008103E" in item]
    synthetic = [modality for modality, description in kinds if description.startswith("SYNTHETIC")]
    assert sorted(synthetic) == ["DOC", "MR", "MR", "OT", "OT"]
    # What comes back is what was sent, and is never taken for a scan.
    assert call("dicom", "fetch", "--study", study, "--out", tmp_path / "again", *access) == 0
    for path in (tmp_path / "out" / "dicom").iterdir():
        sent = pydicom.dcmread(path)
        back = pydicom.dcmread(tmp_path / "again" / sent.SeriesInstanceUID / f"{sent.SOPInstanceUID}.dcm")
        assert back == sent
    case = load_case(tmp_path / "again", tmp_path / "again")
    assert case.origin.series.description == "T1 MPRAGE +C"


def test_a_rerun_sends_and_fetches_what_is_missing(server, tmp_path, capsys):
    export = make_export(tmp_path / "export")
    study = pydicom.dcmread(next((export / "t1").iterdir())).StudyInstanceUID
    access = ("--url", server.url, "--user", orthanc.USER)
    assert call("dicom", "send", export / "t1", *access) == 0
    assert call("dicom", "send", export, *access) == 0
    assert "9 objects sent, 8 were there." in capsys.readouterr().out
    assert call("dicom", "fetch", "--study", study, "--modality", "RTSTRUCT", "--out", tmp_path / "in", *access) == 0
    (structures,) = (tmp_path / "in").rglob("*.dcm")
    before = structures.stat().st_mtime_ns
    assert call("dicom", "fetch", "--study", study, "--out", tmp_path / "in", *access) == 0
    assert len(list((tmp_path / "in").rglob("*.dcm"))) == 17
    assert structures.stat().st_mtime_ns == before


def test_a_kill_in_the_midst_of_sending_loses_nothing_and_sends_nothing_twice(server, tmp_path, capsys):
    export = make_export(tmp_path / "export")
    known = set(new_instances(server))
    words = [sys.executable, "-m", "GBMResponseCore", "dicom", "send", export, "--url", server.url]
    words += ["--user", orthanc.USER, "--verbose"]
    environment = os.environ | {"PYTHONPATH": str(CORE_PARENT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(list(map(str, words)), env=environment, stdout=subprocess.PIPE, text=True)
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    middle = [uid for uid in new_instances(server) if uid not in known]
    assert 5 <= len(middle) < 17
    assert call("dicom", "send", export, "--url", server.url, "--user", orthanc.USER) == 0
    assert f"{17 - len(middle)} objects sent, {len(middle)} were there." in capsys.readouterr().out
    after = [uid for uid in new_instances(server) if uid not in known]
    assert len(after) == len(set(after)) == 17


def test_wrong_passwords_unknown_studies_and_silent_servers_are_typed(server, tmp_path, capsys, monkeypatch):
    fetch = ("dicom", "fetch", "--study", "1.2.3", "--out", tmp_path / "in", "--tries", 2)
    assert call(*fetch, "--url", server.url, "--user", orthanc.USER) == 54
    assert "no such study" in capsys.readouterr().err
    assert call(*fetch, "--url", "http://127.0.0.1:9/dicom-web") == 54
    assert "2 times" in capsys.readouterr().err
    assert call(*fetch, "--url", f"{server.url}/nothing", "--user", orthanc.USER) == 54
    monkeypatch.setenv(PASSWORD, "wrong")
    assert call(*fetch, "--url", server.url, "--user", orthanc.USER) == 54
    assert "HTTP status 401" in capsys.readouterr().err


def test_a_lost_answer_is_followed_by_a_look_before_it_is_sent_again(server, tmp_path, monkeypatch):
    import requests

    export = make_export(tmp_path / "export")
    dataset = pydicom.dcmread(next((export / "t1").iterdir()))
    archive = Server(server.url, orthanc.USER, pause_s=0)
    store = type(archive._client).store_instances
    calls = []

    def loses_the_answer(client, *details):
        calls.append(store(client, *details))
        raise requests.ConnectionError

    monkeypatch.setattr(type(archive._client), "store_instances", loses_the_answer)
    archive.store(dataset)
    assert len(calls) == 1
    assert dataset.SOPInstanceUID in archive.instances(dataset.StudyInstanceUID)


def test_the_validator_finds_no_errors_in_what_a_run_writes(run):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (make system, on Debian or Ubuntu as root)")
    for path in sorted((run / "out" / "dicom").iterdir()):
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr.splitlines()
        assert [line for line in said if line.startswith("Error") and KNOWN_LATER not in line] == [], path.name


def test_copies_that_are_gone_at_the_end_are_an_error(export, tmp_path, monkeypatch, capsys):
    def copy(word):
        return call("dicom", "deidentify", export, "--out", tmp_path / word)

    assert code_without_the_last_folder(monkeypatch, copy) == 21
    assert "was written and is not there any more" in capsys.readouterr().err
