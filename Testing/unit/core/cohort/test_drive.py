"""The loop over the cases: every case is run once whoever else works on the folder, and what fails is explained."""

import csv
import json
import threading
from collections import Counter
from dataclasses import replace

import fake_runner
import pytest
from fake_runner import FakeRunner, ran
from GBMResponseCore.cohort import drive
from GBMResponseCore.cohort.case_run import Plan, Turn, run_case
from GBMResponseCore.cohort.drive import ThisProcess, cohort_folder, run_cohort
from GBMResponseCore.errors import OutputFolderError, SomeCasesFailedError
from GBMResponseCore.inputs.case_table import read_case_table
from GBMResponseCore.outputs.folder import locked
from GBMResponseCore.request import PredictionOptions, PredictionRequest


@pytest.fixture(autouse=True)
def text_images(monkeypatch):
    """The images are text files here."""
    monkeypatch.setattr("GBMResponseCore.cohort.case_run._hashes", lambda request: [request.image.read_text("utf-8")])
    monkeypatch.setattr("GBMResponseCore.cohort.case_run._hashes_of", lambda case: ["image"])


def plan_of(folder, **options):
    paths = dict.fromkeys(("image", "gtv", "out"), folder)
    return Plan(PredictionRequest(**paths, options=PredictionOptions(**options)), folder / "out")


def cohort(table, **options):
    """Run the cohort as the command does; returns what was said."""
    plan, cases, said = plan_of(table.parent, **options), read_case_table(table), []
    with cohort_folder(cases, table, plan):
        try:
            run_cohort(cases, plan, ThisProcess(plan, FakeRunner()), said.append)
        except SomeCasesFailedError:
            pass
    return said


def summary(folder):
    with open(folder / "out" / "summary.csv", encoding="utf-8", newline="") as file:
        return {row["id"]: row["status"] for row in csv.DictReader(file)}


def test_two_clients_on_one_folder_run_every_case_once_and_both_see_all_results(table, tmp_path, monkeypatch):
    cases = table(12, bad=(3, 7))
    monkeypatch.setattr(fake_runner, "SECONDS", 0.01)
    monkeypatch.setattr(drive, "_POLL_S", 0.05)
    said = [[], []]
    threads = [threading.Thread(target=lambda out: out.extend(cohort(cases)), args=(out,)) for out in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = Counter(ran(tmp_path))
    assert len(times) == 12 and {name for name, count in times.items() if count > 1} <= {"case3", "case7"}
    assert max(times.values()) <= 2, "a client that begins after a case has failed may try it again"
    assert sum("failed (not-mr)" in line for line in said[0]) == 2
    assert len(said[0]) == len(said[1]) == 12
    assert list(summary(tmp_path).values()).count("done") == 10
    assert not list(tmp_path.glob("out/*/.*")), "neither claims nor half results are left"


def test_failed_cases_are_tried_again_by_the_next_cohort_and_done_ones_are_not(table, tmp_path):
    cases = table(3, bad=(1,))
    cohort(cases)
    cohort(cases)
    assert ran(tmp_path) == ["case0", "case1", "case2", "case1"]


def test_a_client_with_other_options_does_not_join(table, tmp_path):
    cases = table(1)
    plan = plan_of(tmp_path)
    with cohort_folder(read_case_table(cases), cases, plan):
        cohort(cases)
        with pytest.raises(OutputFolderError):
            cohort(cases, seed=2)
    cohort(cases, seed=2)
    assert ran(tmp_path) == ["case0", "case0"]


def test_a_result_that_was_moved_in_part_is_moved_to_its_end_and_not_made_again(table, tmp_path, monkeypatch):
    cases = table(1)

    def stop(staged, out):
        (staged / "expected.txt").replace(out / "expected.txt")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("GBMResponseCore.cohort.case_run.move_into_place", stop)
        with pytest.raises(KeyboardInterrupt):
            cohort(cases)
    assert summary(tmp_path) == {"case0": "waiting"}
    assert not (tmp_path / "out" / "case0" / "provenance.json").exists()
    cohort(cases)
    assert ran(tmp_path) == ["case0"]
    left = sorted(path.name for path in (tmp_path / "out" / "case0").iterdir())
    assert left == ["expected.txt", "provenance.json", "status.json"]


def test_what_a_process_left_that_was_killed_after_the_last_move_is_removed(table, tmp_path):
    cases, folder = table(1), tmp_path / "out" / "case0"
    cohort(cases)
    for name in (".staged-0", ".unfinished"):
        (folder / name).mkdir()
    for name in (".unfinished/files.json", ".lock"):
        (folder / name).write_text("{}", "utf-8")
    (said,) = cohort(cases)
    assert "was done before" in said
    assert [path.name for path in folder.glob(".*")] == []


def test_what_a_process_was_just_writing_when_it_was_killed_does_not_come_into_the_folder_of_the_case(table, tmp_path):
    left = tmp_path / "out" / "case0" / ".staged-0" / f".{'0' * 32}.partial"
    left.parent.mkdir(parents=True)
    left.write_text("half", "ascii")
    cohort(table(1))
    assert summary(tmp_path) == {"case0": "done"}
    assert [path.name for path in left.parents[1].glob(".*")] == []


def test_a_case_stays_done_while_another_run_uses_its_folder(table, tmp_path):
    cases = table(1)
    cohort(cases)
    with locked(tmp_path / "out" / "case0" / ".lock"):
        (said,) = cohort(cases)
    assert "was done before" in said


def test_an_older_result_stays_whole_until_the_new_one_takes_its_place(table, tmp_path, monkeypatch):
    cases = table(1)
    cohort(cases)
    folder = tmp_path / "out" / "case0"
    (folder / "notes.txt").write_text("mine", "utf-8")
    (folder / "old.txt").write_text("of an earlier run", "utf-8")
    record = {"synthetic": True, "files": ["expected.txt", "old.txt"]}
    (folder / "provenance.json").write_text(json.dumps(record), "utf-8")

    def interrupt(self, request, listener=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FakeRunner, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cohort(cases, seed=2)
    assert (folder / "provenance.json").is_file() and (folder / "old.txt").is_file()
    cohort(cases, seed=2)
    assert sorted(path.name for path in folder.iterdir()) == [
        "expected.txt", "notes.txt", "provenance.json", "status.json",
    ]  # fmt: skip


def test_a_row_says_why_its_case_is_unusable_and_the_summary_repeats_it(tmp_path):
    (tmp_path / "good.txt").write_text("image", "utf-8")
    text = "id,image,gtv,days,bundle,unusable\nfirst,good.txt,good.txt,90,,\nsecond,good.txt,,,,no GTV was found\n"
    (tmp_path / "cases.csv").write_text(text, "utf-8")
    said = cohort(tmp_path / "cases.csv")
    assert said[1].startswith("[2/2] second: failed (case-table). no GTV was found")
    assert ran(tmp_path) == ["first"]


def test_days_and_model_of_a_row_are_those_of_its_request(tmp_path):
    (tmp_path / "own").mkdir()
    text = "id,image,gtv,days,bundle\nfirst,a,b,90,own\nsecond,a,b,,shipped\n"
    (tmp_path / "cases.csv").write_text(text, "utf-8")
    first, second = (plan_of(tmp_path).request(case) for case in read_case_table(tmp_path / "cases.csv"))
    assert (first.options.days_since_rt, first.bundle) == (90, tmp_path / "own")
    assert (second.options.days_since_rt, str(second.bundle)) == (None, "shipped")


def test_a_case_that_lost_its_claim_leaves_the_result_of_the_other(table, tmp_path):
    cases, plan = table(1), replace(plan_of(tmp_path), most_ends=3)
    (case,) = read_case_table(cases)

    class Overtaken(FakeRunner):
        def run(self, request, listener=None):
            result = super().run(request, listener)
            (request.out / "expected.txt").write_text("late", "utf-8")
            (token,) = (path.name for path in (tmp_path / "out" / "case0").glob(".staged-*"))
            other = run_case(Turn(case, (1, token.removeprefix(".staged-"))), plan, FakeRunner())
            assert other["status"] == "done"
            return result

    assert run_case(Turn(case), plan, Overtaken())["status"] == "elsewhere"
    assert (tmp_path / "out" / "case0" / "expected.txt").read_text("utf-8") == "good0.txt"
    assert json.loads((tmp_path / "out" / "case0" / "status.json").read_text("utf-8"))["status"] == "done"
