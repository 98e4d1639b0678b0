"""Tables from folder trees: each layout, and a reason wherever nothing can be chosen."""

import fake_dicom
import phantoms
import pytest
from GBMResponseCore import cli
from GBMResponseCore.cohort.scan import scan
from GBMResponseCore.errors import CaseTableError
from GBMResponseCore.inputs.case_table import read_case_table


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def only(root):
    (row,) = scan(root)
    names = {key: row[key].name for key in ("image", "gtv", "follow_up") if row.get(key)}
    return row, names


def test_names_of_cfb_gbm_are_known(tmp_path):
    tree(tmp_path, "15/t0/15_t0_t1gd.nii.gz", "15/t0/15_t0_gtv.nii.gz", "15/t0/15_t0_flair.nii.gz")
    row, names = only(tree(tmp_path, "15/t1/15_t1_t1gd.nii.gz", "15/t1/15_t1_gtv.nii.gz"))
    assert row["id"] == "15"
    assert names == {"image": "15_t0_t1gd.nii.gz", "gtv": "15_t0_gtv.nii.gz", "follow_up": "15_t1_t1gd.nii.gz"}
    assert "unusable" not in row


def test_subjects_and_sessions_of_bids_are_known(tmp_path):
    one, two = ("sub-07/ses-01/anat/sub-07_ses-01", "sub-07/ses-02/anat/sub-07_ses-02")
    tree(tmp_path, f"{one}_ce-gadolinium_T1w.nii.gz", f"{one}_T1w.nii.gz", f"{two}_ce-gadolinium_T1w.nii.gz")
    row, names = only(tree(tmp_path, "derivatives/sub-07/ses-01/sub-07_ses-01_label-GTV_mask.nii.gz"))
    assert row["id"] == "sub-07"
    assert names == {
        "image": "sub-07_ses-01_ce-gadolinium_T1w.nii.gz",
        "gtv": "sub-07_ses-01_label-GTV_mask.nii.gz",
        "follow_up": "sub-07_ses-02_ce-gadolinium_T1w.nii.gz",
    }


def test_a_folder_for_each_patient_with_one_image_and_one_mask_is_known(tmp_path):
    tree(tmp_path, "anna/scan.nrrd", "anna/tumor mask.nrrd", "bela/scan.nrrd", "bela/GTV.nrrd", "bela/brain_mask.nrrd")
    rows = scan(tmp_path)
    assert [(row["id"], row["image"].name, row["gtv"].name) for row in rows] == [
        ("anna", "scan.nrrd", "tumor mask.nrrd"),
        ("bela", "scan.nrrd", "GTV.nrrd"),
    ]


def test_files_side_by_side_are_told_apart_by_patient_and_visit(tmp_path):
    row, names = only(tree(tmp_path, "p5_pre_t1gd.nii.gz", "p5_pre_gtv.nii.gz", "p5_post_t1gd.nii.gz"))
    assert row["id"] == "p5"
    assert names == {"image": "p5_pre_t1gd.nii.gz", "gtv": "p5_pre_gtv.nii.gz", "follow_up": "p5_post_t1gd.nii.gz"}


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a/t1_gd.nrrd"], "No GTV was found."),
        (["a/gtv.nrrd"], "No T1-Gd was found."),
        (["a/flair.nrrd", "a/gtv.nrrd"], "No T1-Gd was found."),
        (["a/planning ct.nrrd", "a/t1 native.nrrd", "a/gtv.nrrd"], "No T1-Gd was found."),
        (["a/x.nrrd", "a/y.nrrd", "a/gtv.nrrd"], "2 volumes could be the T1-Gd: x.nrrd, y.nrrd."),
        (["a/t1gd.nrrd", "a/gtv.nrrd", "a/gtv2.nrrd"], "2 volumes could be the GTV: gtv.nrrd, gtv2.nrrd."),
    ],
)
def test_what_is_missing_or_could_be_two_things_is_unusable_and_says_why(tmp_path, names, reason):
    row, _ = only(tree(tmp_path, *names))
    assert row["unusable"] == reason


def test_an_image_without_a_telling_name_is_taken_and_that_is_said(tmp_path):
    row, names = only(tree(tmp_path, "a/scan.nrrd", "a/t2_flair.nrrd", "a/gtv.nrrd"))
    assert names["image"] == "scan.nrrd"
    assert row["found"] == "3 volumes; no name says T1-Gd"


def test_weightings_are_no_visits_where_no_visit_is_called_t0(tmp_path):
    names = [f"BraTS_001/BraTS_001_{what}.nii.gz" for what in ("t1", "t1ce", "t2", "flair", "seg")]
    row, names = only(tree(tmp_path, *names))
    assert names == {"image": "BraTS_001_t1ce.nii.gz", "gtv": "BraTS_001_seg.nii.gz"}
    assert row["found"] == "5 volumes"


def test_another_kind_of_image_is_no_follow_up(tmp_path):
    tree(tmp_path, "p5_pre_t1gd.nii.gz", "p5_pre_gtv.nii.gz", "p5_post_flair.nii.gz")
    row, names = only(tmp_path)
    assert names.keys() == {"image", "gtv"}
    assert "unusable" not in row


def test_results_of_predictions_and_hidden_files_are_no_inputs(tmp_path):
    tree(tmp_path, "a/t1gd.nrrd", "a/gtv.nrrd", "a/.old/t1gd.nrrd", "out/a/provenance.json", "out/a/expected.nii.gz")
    assert [row["id"] for row in scan(tmp_path)] == ["a"]


@pytest.mark.slow
def test_an_export_of_dicom_files_is_a_patient_and_says_what_was_chosen(tmp_path):
    image = phantoms.head((40, 40, 4), (4.0, 4.0, 8.0), center=phantoms.GTV_CENTER)
    header = fake_dicom.write_series(tmp_path / "in" / "Doe" / "mr", image)
    square = [[(10.0, -30.0, 20.0), (40.0, -30.0, 20.0), (40.0, 0.0, 20.0), (10.0, 0.0, 20.0)]]
    fake_dicom.write_structures(tmp_path / "in" / "Doe" / "rs.dcm", header, {"GTV": square})
    fake_dicom.write_series(tmp_path / "in" / "Roe" / "mr", image, patient="P2")
    first, second = scan(tmp_path / "in")
    assert (first["id"], first["image"], first["gtv"]) == ("patient001", tmp_path / "in" / "Doe", first["image"])
    assert "T1 MPRAGE +C" in first["found"] and "unusable" not in first
    assert second["unusable"].startswith("No RTSTRUCT or SEG was found.")


def test_the_command_writes_the_table_says_the_reasons_and_keeps_an_older_one(tmp_path, capsys):
    tree(tmp_path / "in", "anna/t1gd.nrrd", "anna/gtv.nrrd", "bela/t1gd.nrrd")
    table = tmp_path / "cases.csv"
    assert cli.main(["cohort", str(table), "--scan", str(tmp_path / "in")]) == 0
    assert "bela: No GTV was found." in capsys.readouterr().out
    first, second = read_case_table(table)
    assert (first.identifier, first.image, first.unusable) == ("anna", tmp_path / "in/anna/t1gd.nrrd", "")
    assert second.unusable == "No GTV was found."
    before = table.read_bytes()
    assert cli.main(["cohort", str(table), "--scan", str(tmp_path / "in")]) == CaseTableError.exit_code
    assert table.read_bytes() == before
