"""Reader study: order, blinding, resume, summary, table of cases."""

import csv
import itertools
import statistics
from collections import Counter

import pytest
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.readerStudy.ReaderStudyPlan import REAL, ReaderStudyPlan, ReaderStudyVolume
from GBMResponseLib.readerStudy.ReaderStudySession import ReaderStudySession, summarize
from GBMResponseLib.readerStudy.ReaderStudyTable import readStudyTable

PATIENTS = [f"P{number}" for number in range(8)]


@pytest.fixture
def volumes():
    return [
        ReaderStudyVolume(patient, source, f"{patient}-{source}", (3, 4, 5))
        for patient in PATIENTS
        for source in (REAL, "model")
    ]


@pytest.fixture
def plan(volumes):
    return ReaderStudyPlan(volumes, seed=1)


@pytest.fixture
def session(plan, tmp_path):
    return ReaderStudySession(plan, tmp_path / "scores.csv", "AB")


def test_one_slice_per_patient_and_source(plan):
    assert Counter((item.patient, item.source) for item in plan.items) == Counter(
        (patient, source) for patient in PATIENTS for source in (REAL, "model")
    )


def test_sources_of_a_patient_show_the_same_slice(plan):
    assert all(len({item.slice for item in plan.items if item.patient == patient}) == 1 for patient in PATIENTS)


def test_all_slices_when_asked(volumes):
    assert len(ReaderStudyPlan(volumes, 1, onePerPatient=False).items) == len(volumes) * 3


def test_order_does_not_depend_on_that_of_the_volumes(volumes, plan):
    assert ReaderStudyPlan(volumes[::-1], 1).items == plan.items


def test_other_seed_other_order(volumes, plan):
    assert [item.reference for item in ReaderStudyPlan(volumes, 2).items] != [item.reference for item in plan.items]


def test_sources_are_mixed(plan):
    sources = [item.source for item in plan.items]
    assert sources not in (sorted(sources), sorted(sources, reverse=True))


def test_slices_of_a_patient_do_not_follow_each_other(plan):
    patients = [item.patient for item in plan.items]
    assert all(first != second for first, second in itertools.pairwise(patients))


def test_nothing_to_show_is_a_failure():
    with pytest.raises(Failure):
        ReaderStudyPlan([], 1)


def test_answer_is_on_disk_before_the_next_item(session):
    session.answer(7, "looks\nreal, very")
    line = session.path.read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith(f"{session.plan.signature},AB,1,") and ',7,"looks real, very",' in line
    assert session.current.number == 2


def test_study_goes_on_where_it_stopped(session):
    session.answer(7)
    session.answer(2)
    again = ReaderStudySession(session.plan, session.path, "AB")
    assert again.current.number == 3 and again.answers == session.answers


def test_answer_can_be_changed(session):
    session.answer(7)
    session.goBack()
    assert session.currentAnswer.score == 7
    session.answer(3)
    assert session.answers[1].score == 3


def test_scores_of_another_study_are_not_touched(session, volumes):
    session.answer(7)
    before = session.path.read_bytes()
    with pytest.raises(Failure) as caught:
        ReaderStudySession(ReaderStudyPlan(volumes, 2), session.path)
    assert caught.value.code == "other-study" and session.path.read_bytes() == before


def test_file_that_holds_no_scores_is_refused(plan, tmp_path):
    path = tmp_path / "letter.csv"
    path.write_text("Dear,\nall\n", encoding="utf-8")
    with pytest.raises(Failure):
        ReaderStudySession(plan, path)


def test_score_that_cannot_be_saved_is_not_recorded(plan, tmp_path):
    session = ReaderStudySession(plan, tmp_path / "no folder" / "scores.csv")
    with pytest.raises(Failure):
        session.answer(5)
    assert session.answers == {} and session.current.number == 1


@pytest.mark.parametrize("score", [-1, 11])
def test_score_outside_the_scale_is_refused(session, score):
    with pytest.raises(ValueError):
        session.answer(score)


def test_comment_is_no_formula_in_a_spreadsheet(session):
    session.answer(5, "=1+1")
    assert "'=1+1" in session.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)"])
def test_no_text_of_the_scores_is_a_formula_and_all_come_back(tmp_path, text):
    volumes = [ReaderStudyVolume(text, text, f"{text}-{number}", (3,)) for number in range(2)]
    plan = ReaderStudyPlan(volumes, 1)
    session = ReaderStudySession(plan, tmp_path / "scores.csv", text)
    session.answer(5, text)
    with open(session.path, encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert [row[name] for name in ("reader", "patient", "source", "comment")] == [f"'{text}"] * 4
    again = ReaderStudySession(plan, session.path, text)
    assert again.answers == session.answers
    assert again.answers[1].comment == text
    again.answer(6, text)
    assert {answer.comment for answer in ReaderStudySession(plan, session.path).answers.values()} == {text}


def test_scores_that_a_spreadsheet_has_saved_are_read(session):
    session.answer(7, "looks real")
    text = session.path.read_text(encoding="utf-8").replace(",", ";").replace("\n", "\r\n")
    session.path.write_text(text, encoding="utf-8-sig", newline="")
    assert ReaderStudySession(session.plan, session.path, "AB").answers == session.answers


def test_an_empty_file_is_a_new_study(plan, tmp_path):
    (tmp_path / "scores.csv").touch()
    assert ReaderStudySession(plan, tmp_path / "scores.csv").answers == {}


def test_complete_when_all_are_judged(session):
    for _item in session.plan.items:
        assert not session.isComplete
        session.answer(5)
    assert session.isComplete


def test_summary_is_that_of_the_scores(session):
    given = {REAL: [], "model": []}
    for number, item in enumerate(list(session.plan.items)):
        given[item.source].append(number % 11)
        session.answer(number % 11)
    rows = summarize([session])
    assert [row.source for row in rows] == [REAL, "model"]
    for row in rows:
        scores = given[row.source]
        assert (row.count, row.lowest, row.highest) == (len(scores), min(scores), max(scores))
        assert row.mean == pytest.approx(statistics.mean(scores))
        assert row.deviation == pytest.approx(statistics.stdev(scores))


def test_one_score_has_no_deviation(session):
    session.answer(5)
    assert summarize([session])[0].deviation is None


def test_table_of_cases(tmp_path):
    (tmp_path / "ä b.nii.gz").write_bytes(b"x")
    table = tmp_path / "cases.csv"
    table.write_text("patient,source,image,slices\nP1,real,ä b.nii.gz,8 9 12-14\n", encoding="utf-8-sig")
    assert readStudyTable(table) == [ReaderStudyVolume("P1", REAL, str(tmp_path / "ä b.nii.gz"), (8, 9, 12, 13, 14))]


@pytest.mark.parametrize(
    "row", ["P1,real,missing.nrrd,8", "P1,real,x.nrrd,", "P1,real,x.nrrd,a", ",real,x.nrrd,8", "P1"]
)
def test_bad_row_is_named(tmp_path, row):
    (tmp_path / "x.nrrd").write_bytes(b"x")
    table = tmp_path / "cases.csv"
    table.write_text(f"patient,source,image,slices\nP0,real,x.nrrd,1\n{row}\n", encoding="utf-8")
    with pytest.raises(Failure, match="Row 3"):
        readStudyTable(table)
