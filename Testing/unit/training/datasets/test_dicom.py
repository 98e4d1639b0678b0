import sys

import phantoms
import pydicom
import pytest
import SimpleITK as sitk
from fake_dicom import ball_contours, write_series, write_structures
from GBMResponseCore.dicom.tree import Series
from GBMResponseCore.errors import DicomSeriesError, MissingPackageError, OutputFolderError
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.inputs.reading import read_image

from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.hospital import dicom
from GBMResponseTraining.datasets.hospital.choice import DEFAULT_SERIES, DicomRule, choose_series
from GBMResponseTraining.datasets.hospital.dicom import find_pairs, read_dicom
from GBMResponseTraining.datasets.visits import Window
from GBMResponseTraining.store.importer import import_pairs
from GBMResponseTraining.store.preparation import AlignmentRule

GRID = ((40, 46, 10), (4.4, 4.4, 9.0))
PRE, POST = "20200110", "20200510"
WEEKS = 121 / 7


@pytest.fixture(scope="module")
def image() -> sitk.Image:
    return phantoms.head(*GRID)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "export"


@pytest.fixture
def patient(root, image):
    """Write one patient: a pre-treatment study with plain T1, T1-Gd and RTSTRUCT, and a follow-up."""

    def write(name="P1", rois=None, **structures):
        folder = root / name
        plain = write_series(folder / "s1", image, patient=name, date=PRE, description="T1 MPRAGE", number=3)
        pre = write_series(
            folder / "s2", image, patient=name, date=PRE, frame=plain.FrameOfReferenceUID, description="T1 MPRAGE +C"
        )
        write_series(folder / "s3", image + 4, patient=name, date=POST, description="T1 post Gd", number=8)
        circles = ball_contours(image, phantoms.GTV_CENTER, 20)
        write_structures(folder / "RS.dcm", pre, {"GTV": circles} if rois is None else rois, **structures)
        return pre

    return write


@pytest.fixture
def table(tmp_path):
    def write(*rows, header="patient,survival_days"):
        path = tmp_path / "patients.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def only_pair(root, table, rule=None):
    (pair,), skipped = find_pairs(root, table, rule)
    assert skipped == []
    return pair


def only_skipped(root, table, rule=None):
    pairs, (skipped,) = find_pairs(root, table, rule)
    assert pairs == []
    return skipped


# Choice


def test_a_patient(root, patient, table):
    patient()
    pair = only_pair(root, table("P1,400"))
    assert (pair.pre.description, pair.post.description) == ("T1 MPRAGE +C", "T1 post Gd")
    assert [roi.name for roi in pair.rois] == ["GTV"]
    assert pair.gtv_grid == pair.pre


@pytest.mark.parametrize("name", ["p01", " P1 "])
def test_ids_may_differ_in_case_and_zeros(root, patient, table, name):
    patient()
    assert len(find_pairs(root, table(f"{name},400"))[0]) == 1


def test_patients_by_patient_id(root, patient, table):
    patient()
    (root / "P1").rename(root / "export of Monday")
    assert only_pair(root, table("P1,400")).patient == "P1"


def test_unknown_patient(root, patient, table):
    patient()
    pairs, (skipped,) = find_pairs(root, table("P1,400", "P2,300"))
    assert len(pairs) == 1
    assert (skipped.patient, skipped.code) == ("P2", "dicom-series")


@pytest.mark.parametrize(
    "cell", ["T1 MPRAGE", "t1 mprage", "3"], ids=["description", "description in another case", "number"]
)
def test_series_by_the_table(root, patient, table, cell):
    patient()
    path = table(f"P1,400,{cell}", header="patient,survival_days,pre_series")
    assert only_pair(root, path).pre.number == "3"


def test_series_by_uid(root, patient, table):
    header = patient()
    path = table(f"P1,400,{header.SeriesInstanceUID}", header="patient,survival_days,pre_series")
    assert only_pair(root, path).pre.number == "5"


def test_no_series_matches(root, patient, table):
    patient()
    skipped = only_skipped(root, table("P1,400"), DicomRule(series="FLAIR"))
    assert skipped.code == "dicom-series"
    assert "3 'T1 MPRAGE' (MR, 10 files); 5 'T1 MPRAGE +C' (MR, 10 files)" in skipped.reason


def test_several_series_match_and_none_was_drawn_on(root, patient, table):
    patient()
    path = table(f"P1,400,{POST}", header="patient,survival_days,pre_date")
    write_series(root / "P1" / "s4", phantoms.head(*GRID), date=POST, description="T1 Gd again", number=9)
    skipped = only_skipped(root, path)
    assert "2 series match" in skipped.reason
    assert "9 'T1 Gd again'" in skipped.reason


def test_of_several_series_the_one_that_was_drawn_on_is_taken(root, patient, table):
    patient()
    assert only_pair(root, table("P1,400"), DicomRule(series="t1")).pre.number == "5"


@pytest.mark.parametrize(
    "description, matches",
    [
        ("T1 MPRAGE GD", True),
        ("3D T1 post", True),
        ("T1 +C AX", True),
        ("AX BRAVO+C", True),
        ("t1_mprage_KM", True),
        ("T1C", True),
        ("Sag T1 TFE CE", True),
        ("T1 MPRAGE", False),
        ("T1 without contrast", False),
        ("T1 pre-contrast", False),
        ("FLAIR +C", False),
        ("T1 GD SUB", False),
    ],
)
def test_descriptions_of_t1_gd(description, matches):
    series = Series("1", "MR", "P", "P", PRE, description, "1", "2", ())
    if matches:
        assert choose_series([series], "", DEFAULT_SERIES) == series
    else:
        with pytest.raises(DicomSeriesError):
            choose_series([series], "", DEFAULT_SERIES)


def test_ct_is_never_chosen_by_its_description(root, patient, table, image):
    patient()
    write_series(root / "P1" / "ct", image, date=POST, description="T1 Gd", modality="CT", number=1)
    assert only_pair(root, table("P1,400")).post.number == "8"


def test_dates_of_the_table(root, patient, table, image):
    patient()
    write_series(root / "P1" / "later", image + 9, date="20200601", description="T1 Gd", number=12)
    header = "patient,survival_days,pre_date,post_date"
    assert only_pair(root, table("P1,400,2020-01-10,20200601", header=header)).post.number == "12"
    assert only_pair(root, table("P1,400,,", header=header)).post.number == "8"
    assert "no study on 2020-01-11" in only_skipped(root, table("P1,400,2020-01-11,", header=header)).reason
    assert only_skipped(root, table("P1,400,January,", header=header)).code == "table-value"


def test_window_of_the_follow_up(root, patient, table):
    patient()
    skipped = only_skipped(root, table("P1,400"), DicomRule(window=Window(18, 30)))
    assert "after 17 weeks" in skipped.reason


def test_a_study_without_t1_gd_is_passed_over(root, patient, table, image):
    patient()
    write_series(root / "P1" / "early", image, date="20200420", description="FLAIR", number=2)
    assert only_pair(root, table("P1,400")).post.number == "8"


def test_pre_and_post_of_two_people(root, patient, table, image):
    patient()
    write_series(root / "P1" / "early", image, patient="P2", date="20200420", description="T1 Gd", number=2)
    assert "different PatientIDs" in only_skipped(root, table("P1,400")).reason


# The GTV


def test_no_structure_set(root, patient, table):
    patient()
    (root / "P1" / "RS.dcm").unlink()
    assert only_skipped(root, table("P1,400")).code == "rtstruct"


def test_no_gtv_region(root, patient, table):
    patient(rois={"Brain": []})
    skipped = only_skipped(root, table("P1,400"))
    assert skipped.code == "rtstruct"
    assert "Brain" in skipped.reason


def test_another_frame_of_reference(root, patient, table):
    patient(frame="1.2.3.4")
    assert only_skipped(root, table("P1,400")).code == "frame-of-reference"


def test_the_newest_structure_set_with_a_gtv(root, patient, table, image):
    pre = patient()
    circles = ball_contours(image, phantoms.GTV_CENTER, 20)
    write_structures(root / "P1" / "b.dcm", pre, {"GTV_new": circles}, time="20200101")
    write_structures(root / "P1" / "c.dcm", pre, {"Brain": circles}, time="20200109")
    assert only_pair(root, table("P1,400")).rois[0].name == "GTV"
    write_structures(root / "P1" / "d.dcm", pre, {"GTV_newest": circles}, time="20200120")
    assert only_pair(root, table("P1,400")).rois[0].name == "GTV_newest"


def test_regions_of_the_table(root, patient, table, image):
    circles = ball_contours(image, phantoms.GTV_CENTER, 20)
    patient(rois={"Cavity": circles, "Rest": circles, "GTV": circles})
    path = table("P1,400,cavity | rest", header="patient,survival_days,gtv_roi")
    assert [roi.name for roi in only_pair(root, path).rois] == ["Cavity", "Rest"]


def test_drawn_on_another_series_of_the_same_frame(root, patient, table):
    patient()
    path = table("P1,400,T1 MPRAGE", header="patient,survival_days,pre_series")
    pair = only_pair(root, path)
    assert (pair.pre.number, pair.gtv_grid.number) == ("3", "5")


# Values


@pytest.mark.parametrize(
    "header, cells, survival, censored",
    [
        ("survival_days", "400", 400, False),
        ("survival_days,censored", "400,1", 400, True),
        ("death_date", "2021-01-10", 366, False),
        ("last_contact_date", "20210110", 366, True),
        ("death_date,last_contact_date", ",2021-01-10", 366, True),
        ("death_date", "", None, False),
    ],
)
def test_survival(root, patient, table, tmp_path, header, cells, survival, censored):
    patient()
    (pair,), _ = read_dicom(root, table(f"P1,{cells}", header=f"patient,{header}"), tmp_path / "out")
    assert (pair.survival_days, pair.censored) == (survival, censored)


def test_death_before_the_mri(root, patient, table, tmp_path):
    patient()
    pairs, (skipped,) = read_dicom(root, table("P1,2019-01-10", header="patient,death_date"), tmp_path / "out")
    assert pairs == []
    assert skipped.code == "table-value"


def test_converted_patient(root, patient, table, tmp_path, image):
    patient()
    path = table("P1,400,2020-02-01,Caen", header="patient,survival_days,radiotherapy_date,site")
    (pair,), skipped = read_dicom(root, path, tmp_path / "out")
    assert skipped == []
    assert (pair.interval_days, pair.radiotherapy_days) == (121, 22)
    assert pair.extra["site"] == "Caen"
    assert pair.extra["gtv_rois"] == ["GTV"]
    assert "P1" not in str(pair.pre.name)
    pre, post, gtv = (read_image(path) for path in (pair.pre, pair.post, pair.gtv))
    assert sitk.GetArrayFromImage(pre).tolist() == sitk.GetArrayFromImage(image).tolist()
    assert sitk.GetArrayFromImage(post).tolist() == sitk.GetArrayFromImage(image + 4).tolist()
    assert sitk.GetArrayFromImage(gtv).sum() * 4.4 * 4.4 * 9 / 33510 == pytest.approx(1, abs=0.06)
    assert b"Doe" not in pair.pre.read_bytes()


def test_missing_survival_columns(root, patient, table):
    patient()
    with pytest.raises(TableValueError, match="survival_days, death_date, last_contact_date"):
        find_pairs(root, table("P1", header="patient"))


def test_a_patient_in_two_rows(root, patient, table):
    patient()
    pairs, skipped = find_pairs(root, table("P1,400", "p01,500"))
    assert pairs == []
    assert {item.code for item in skipped} == {"duplicate-patient"}


def test_no_dicom(tmp_path, table):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no DICOM image"):
        find_pairs(tmp_path / "empty", table("P1,400"))


def test_dicom_that_cannot_be_read(tmp_path, table):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "IM1.dcm").write_bytes(b"nothing of the kind")
    with pytest.raises(DatasetError, match="None of the 1 DICOM files"):
        find_pairs(tmp_path / "export", table("P1,400"))


def test_bad_expression():
    with pytest.raises(DatasetError, match="no regular expression"):
        DicomRule(series="(")


# Conversion


def test_a_missing_slice_concerns_one_patient(root, patient, table, tmp_path):
    patient("P1")
    patient("P2")
    sorted((root / "P1" / "s3").iterdir())[4].unlink()
    (pair,), (skipped,) = read_dicom(root, table("P1,400", "P2,300"), tmp_path / "out")
    assert (pair.patient, skipped.patient, skipped.code) == ("P2", "P1", "dicom-series")
    assert len(list((tmp_path / "out" / "volumes").iterdir())) == 4


def test_converted_volumes_are_reused(root, patient, table, tmp_path):
    patient()
    arguments = (root, table("P1,400"), tmp_path / "out")
    (pair,), _ = read_dicom(*arguments)
    before = pair.pre.stat().st_mtime_ns
    read_dicom(*arguments)
    assert pair.pre.stat().st_mtime_ns == before
    pair.gtv.unlink()
    read_dicom(*arguments)
    assert pair.gtv.is_file()
    assert pair.pre.stat().st_mtime_ns > before


def test_a_full_disk_leaves_no_half_volume(root, patient, table, tmp_path, monkeypatch):
    patient()
    original = dicom.write_image

    def full(image, path):
        if path.name.endswith("post.nii.gz"):
            raise OutputFolderError("No space left.")
        return original(image, path)

    monkeypatch.setattr(dicom, "write_image", full)
    arguments = (root, table("P1,400"), tmp_path / "out")
    with pytest.raises(OutputFolderError):
        read_dicom(*arguments)
    assert not list((tmp_path / "out").rglob("*.json"))
    monkeypatch.undo()
    assert len(read_dicom(*arguments)[0]) == 1


# One patient never ends an import


def damage(path, edit):
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)


def test_a_structure_set_that_lacks_a_tag_concerns_one_patient(root, patient, table):
    patient("P1")
    patient("P2")
    damage(root / "P2" / "RS.dcm", lambda dataset: dataset.StructureSetROISequence[0].__delattr__("ROINumber"))
    (pair,), (skipped,) = find_pairs(root, table("P1,400", "P2,300"))
    assert (pair.patient, skipped.patient, skipped.code) == ("P1", "P2", "rtstruct")
    assert "lacks ROINumber" in skipped.reason


def test_a_damaged_structure_set_beside_a_good_one_is_noted(root, patient, table, image):
    pre = patient()
    write_structures(root / "P1" / "old.dcm", pre, {"GTV": ball_contours(image, phantoms.GTV_CENTER, 20)})
    damage(root / "P1" / "old.dcm", lambda dataset: dataset.StructureSetROISequence[0].__delattr__("ROINumber"))
    assert [note.code for note in only_pair(root, table("P1,400")).notes] == ["damaged-rtstruct"]


def test_what_nobody_expected_concerns_one_patient(root, patient, table, tmp_path, monkeypatch):
    patient("P1")
    patient("P2")
    original = dicom.read_series

    def fails(series):
        if series.patient_id == "P1":
            raise ZeroDivisionError("by chance")
        return original(series)

    monkeypatch.setattr(dicom, "read_series", fails)
    (pair,), (skipped,) = read_dicom(root, table("P1,400", "P2,300"), tmp_path / "out")
    assert (pair.patient, skipped.patient, skipped.code) == ("P2", "P1", "error")
    assert "ZeroDivisionError: by chance" in skipped.reason


def test_a_choice_that_nobody_expected_to_fail_concerns_one_patient(root, patient, table, monkeypatch):
    patient("P1")
    patient("P2")
    original = dicom.choose_pair

    def fails(row, *arguments):
        if row["patient"] == "P1":
            raise IndexError("none left")
        return original(row, *arguments)

    monkeypatch.setattr(dicom, "choose_pair", fails)
    (pair,), (skipped,) = find_pairs(root, table("P1,400", "P2,300"))
    assert (pair.patient, skipped.code) == ("P2", "error")
    assert "IndexError" in skipped.reason


def test_without_pydicom_the_import_ends(root, patient, table, monkeypatch):
    patient()
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingPackageError):
        find_pairs(root, table("P1,400"))


# What is noted


def test_regions_without_a_contour_are_noted(root, patient, table, image):
    circles = ball_contours(image, phantoms.GTV_CENTER, 20)
    patient(rois={"GTV1": circles, "GTV2": []})
    pair = only_pair(root, table("P1,400"))
    assert [roi.name for roi in pair.rois] == ["GTV1"]
    assert [note.sentence for note in pair.notes] == ["Regions without a contour were left out: GTV2."]


def test_a_union_of_regions_is_noted(root, patient, table, image):
    circles = ball_contours(image, phantoms.GTV_CENTER, 20)
    patient(rois={"GTV1": circles, "GTV2": circles, "PTV_GTV": circles})
    pair = only_pair(root, table("P1,400"))
    assert [note.sentence for note in pair.notes] == ["The GTV is the union of the regions GTV1, GTV2."]


def test_an_older_structure_set_is_noted(root, patient, table, image):
    pre = patient()
    write_structures(root / "P1" / "new.dcm", pre, {"Brain": ball_contours(image, (0, 0, 0), 20)}, time="20200120")
    (note,) = only_pair(root, table("P1,400")).notes
    assert note.code == "older-rtstruct"
    assert "Brain" in note.sentence


def test_notes_reach_the_report_of_an_import(root, patient, table, image, tmp_path):
    patient(rois={"GTV1": ball_contours(image, phantoms.GTV_CENTER, 20), "GTV2": []})
    (pair,), _ = read_dicom(root, table("P1,400"), tmp_path / "out")
    import_pairs([pair], tmp_path / "store", InPlaneRule(), NormalizationSettings(), AlignmentRule(register="never"))
    assert "left out: GTV2" in (tmp_path / "store" / "imported.csv").read_text()


def test_frames_of_reference_that_are_not_stated_are_not_the_same(root, patient, table):
    patient()
    for path in [*(root / "P1").rglob("IM*")]:
        damage(path, lambda dataset: dataset.__setattr__("FrameOfReferenceUID", ""))

    def nothing(dataset):
        dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = ""
        dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = ""

    damage(root / "P1" / "RS.dcm", nothing)
    assert only_skipped(root, table("P1,400")).code == "frame-of-reference"


def test_a_follow_up_whose_date_has_dots_is_found(root, patient, table):
    patient()
    for path in (root / "P1" / "s3").iterdir():
        damage(path, lambda dataset: dataset.__setattr__("StudyDate", "2020.05.10"))
    path = table("P1,400,2020-05-10", header="patient,survival_days,post_date")
    assert only_pair(root, path).post.number == "8"
