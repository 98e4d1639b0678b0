import json

import pytest
from fake_cohorts import write_lumiere_tables, write_lumiere_visit

from GBMResponseTraining.datasets.errors import DatasetError, LabelMappingError, TableValueError
from GBMResponseTraining.datasets.public import lumiere
from GBMResponseTraining.datasets.public.lumiere import LumiereRule, read_lumiere, resolve_labels
from GBMResponseTraining.datasets.visits import Window

PATIENT = "Patient-001"
RATINGS = (("week-000-1", "Pre-Op"), ("week-000-2", "Post-Op "), ("week-004", "Post-Op/PD"), ("week-013", "SD"),
           ("week-020", "PD"))  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """One patient with five visits."""
    write_lumiere_tables(tmp_path, {PATIENT: 60}, [(PATIENT, week, rating) for week, rating in RATINGS])
    for week, _ in RATINGS:
        write_lumiere_visit(tmp_path, PATIENT, week)
    return tmp_path


def visit(tree, week):
    return tree / "Imaging" / PATIENT / week / "DeepBraTumIA-segmentation" / "atlas"


def only_skipped(tree, rule=None):
    pairs, (skipped,) = read_lumiere(tree, rule)
    assert pairs == []
    return skipped


def test_a_pair(tree):
    (pair,), skipped = read_lumiere(tree)
    assert skipped == []
    assert pair.patient == PATIENT
    assert (pair.extra["pre_visit"], pair.extra["post_visit"]) == ("week-004", "week-013")
    assert pair.pre == visit(tree, "week-004") / "skull_strip" / "ct1_skull_strip.nii.gz"
    assert pair.post == visit(tree, "week-013") / "skull_strip" / "ct1_skull_strip.nii.gz"
    assert pair.gtv == visit(tree, "week-004") / "segmentation" / "seg_mask.nii.gz"
    assert pair.post_gtv == visit(tree, "week-013") / "segmentation" / "seg_mask.nii.gz"
    assert pair.brain_mask == visit(tree, "week-004") / "skull_strip" / "brain_mask.nii.gz"
    assert pair.interval_days == 63
    assert pair.extra["idh"] == "WT"
    assert pair.extra["post_rating"] == "sd"


def test_survival_counts_from_the_pre_visit(tree):
    assert read_lumiere(tree)[0][0].survival_days == (60 - 4) * 7


def test_unknown_survival(tree):
    write_lumiere_tables(tree, {PATIENT: "na"}, [(PATIENT, week, rating) for week, rating in RATINGS])
    assert read_lumiere(tree)[0][0].survival_days is None


@pytest.mark.parametrize("week, pair", [(3, "week-000-2"), (6, "week-004")])
def test_latest_week_of_pre(tree, week, pair):
    assert read_lumiere(tree, LumiereRule(last_pre_week=week))[0][0].extra["pre_visit"] == pair


def test_window_of_the_follow_up(tree):
    rule = LumiereRule(window=Window(14, 20))
    assert read_lumiere(tree, rule)[0][0].extra["post_visit"] == "week-020"
    skipped = only_skipped(tree, LumiereRule(window=Window(14, 19)))
    assert skipped.code == "no-follow-up"
    assert "20" in skipped.reason


def test_no_post_operative_visit(tree):
    write_lumiere_tables(tree, {PATIENT: 60}, [(PATIENT, week, "SD") for week, _ in RATINGS])
    assert only_skipped(tree).code == "no-pre-image"


def test_a_visit_without_image_does_not_count(tree):
    (visit(tree, "week-004") / "skull_strip" / "ct1_skull_strip.nii.gz").unlink()
    assert read_lumiere(tree)[0][0].extra["pre_visit"] == "week-000-2"


def test_no_mask(tree):
    (visit(tree, "week-004") / "segmentation" / "seg_mask.nii.gz").unlink()
    assert only_skipped(tree).code == "no-gtv"


# Labels


@pytest.mark.parametrize("order, gtv", [((1, 2, 3), (1, 2)), ((2, 1, 3), (1, 2)), ((3, 1, 2), (1, 3))])
def test_labels_are_resolved_by_the_volumes(tree, order, gtv):
    write_lumiere_visit(tree, PATIENT, "week-004", order)
    (pair,), _ = read_lumiere(tree)
    assert pair.gtv_labels == gtv
    assert pair.label_names == dict(zip(order, ("enhancing", "necrosis", "edema"), strict=True))


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 1, 3)])
def test_enhancing_alone(tree, order):
    write_lumiere_visit(tree, PATIENT, "week-004", order)
    assert read_lumiere(tree, LumiereRule(compartments=("enhancing",)))[0][0].gtv_labels == (order[0],)


def test_the_follow_up_mask_needs_the_same_labels(tree):
    write_lumiere_visit(tree, PATIENT, "week-013", (3, 2, 1))
    assert read_lumiere(tree)[0][0].post_gtv is None


def test_volumes_that_do_not_fit(tree):
    volumes = {"Enhancing_Core": 5, "Necrotic_NonEnhancing": 6, "Edema_Compartment": 7}
    write_lumiere_visit(tree, PATIENT, "week-004", volumes=volumes)
    skipped = only_skipped(tree)
    assert skipped.code == "label-mapping"
    assert "enhancing: 5" in skipped.reason


def test_missing_volumes(tree):
    (visit(tree, "week-004") / "segmentation" / "measured_volumes_in_mm3.json").unlink()
    assert only_skipped(tree).code == "missing-file"


@pytest.mark.parametrize("content", ["{", "[]", '{"Enhancing_Core": "x"}'])
def test_damaged_volumes(tree, content):
    (visit(tree, "week-004") / "segmentation" / "measured_volumes_in_mm3.json").write_text(content)
    assert only_skipped(tree).code == "label-mapping"


def test_damaged_mask(tree):
    path = visit(tree, "week-004") / "segmentation" / "seg_mask.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    assert only_skipped(tree).code == "unreadable-file"


VOLUMES = {"enhancing": 100.0, "necrosis": 50.0, "edema": 100.0}


def test_equal_volumes_are_ambiguous():
    with pytest.raises(LabelMappingError, match="several ways"):
        resolve_labels({1: 100, 2: 50, 3: 100}, 1.0, VOLUMES, ("enhancing",))


def test_equal_volumes_of_the_same_kind_do_no_harm():
    volumes = {"enhancing": 100.0, "necrosis": 100.0, "edema": 30.0}
    assert resolve_labels({1: 100, 2: 100, 3: 30}, 1.0, volumes, ("enhancing", "necrosis"))[3] == "edema"


def test_absent_compartments_are_no_problem():
    volumes = {"enhancing": 100.0, "necrosis": 0.0, "edema": 0.0}
    assert resolve_labels({2: 50}, 2.0, volumes, ("enhancing",))[2] == "enhancing"


def test_unknown_label():
    with pytest.raises(LabelMappingError, match="4"):
        resolve_labels({1: 100, 4: 2}, 1.0, VOLUMES, ("enhancing",))


# Tables


@pytest.mark.parametrize("name", ["Demographics", "ExpertRating"])
def test_missing_table(tree, name):
    next(tree.glob(f"LUMIERE-{name}*")).unlink()
    with pytest.raises(DatasetError, match=name):
        read_lumiere(tree)


def test_missing_column(tree):
    path = next(tree.glob("LUMIERE-Demographics*"))
    path.write_text(path.read_text().replace("Survival time (weeks)", "OS"))
    with pytest.raises(TableValueError, match=r"survival time \(weeks\)"):
        read_lumiere(tree)


def test_missing_rating_column(tree):
    path = next(tree.glob("LUMIERE-ExpertRating*"))
    path.write_text(path.read_text().replace("Rating (", "Opinion ("))
    with pytest.raises(DatasetError, match="Rating"):
        read_lumiere(tree)


def test_two_versions_of_a_table(tree):
    (tree / "old").mkdir()
    (tree / "old" / "LUMIERE-ExpertRating-v202201.csv").write_text("Patient,Date\n")
    with pytest.raises(DatasetError, match="2 files"):
        read_lumiere(tree)


def test_bad_number_concerns_one_patient(tree):
    ratings = [(name, week, rating) for name in (PATIENT, "Patient-002") for week, rating in RATINGS]
    write_lumiere_tables(tree, {PATIENT: "long", "Patient-002": 80}, ratings)
    for week, _ in RATINGS:
        write_lumiere_visit(tree, "Patient-002", week)
    (pair,), (skipped,) = read_lumiere(tree)
    assert (pair.patient, skipped.patient, skipped.code) == ("Patient-002", PATIENT, "table-value")


def test_no_images(tmp_path):
    write_lumiere_tables(tmp_path, {PATIENT: 60}, [(PATIENT, "week-000", "Post-Op")])
    with pytest.raises(DatasetError, match="no image"):
        read_lumiere(tmp_path)


def test_volumes_are_those_the_archive_ships(tree):
    shipped = json.loads((visit(tree, "week-004") / "segmentation" / "measured_volumes_in_mm3.json").read_text())
    assert set(shipped) == {"Enhancing_Core", "Necrotic_NonEnhancing", "Edema_Compartment"}


def test_what_nobody_expected_of_a_patient_is_listed_with_its_type(tree, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(lumiere, "_pair", fails)
    pairs, skipped = read_lumiere(tree)
    assert pairs == []
    assert ("error", "Unexpected failure: ZeroDivisionError: by chance") in [
        (item.code, item.reason) for item in skipped
    ]
