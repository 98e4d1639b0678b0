"""A program runs a cohort: it hears of every case, stops it by a line, and its end ends the cohort properly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from rows import share

SIZE, SPACING = (60, 64, 6), (0.95, 0.95, 8.0)
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from GBMResponseCore.cli import main; sys.exit(main())"


def command_in(folder, tiny_bundle):
    """The command for a table of two good cases around an unusable one."""
    sitk.WriteImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "pre.nrrd"))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "gtv.nrrd"))
    lines = ["id,image,gtv,unusable", "first,pre.nrrd,gtv.nrrd,", "lost,,,No GTV was found.", "last,pre.nrrd,gtv.nrrd,"]
    (folder / "cases.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = [str(folder / "cases.csv"), "--out", str(folder / "out")]
    options = [
        "--bundle",
        str(tiny_bundle),
        "--devices",
        "cpu",
        "--precision",
        "float32",
        "--no-montage",
        "--no-report",
    ]
    return [sys.executable, "-m", "GBMResponseCore", "cohort", *files, *options, "--samples=1", "--events"]


@pytest.fixture
def command(tiny_bundle, tmp_path):
    return command_in(tmp_path, tiny_bundle)


class Cohort:
    """The process, and what it has told."""

    def __init__(self, command, *further):
        self.events = []
        self.process = subprocess.Popen(
            [*command, *further], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    def until(self, kind, **fields):
        """Read until an event comes; returns it."""
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if {"type": kind, **fields}.items() <= self.events[-1].items():
                return self.events[-1]
        raise AssertionError(self.events)

    def end(self):
        """Read the rest; returns the exit code."""
        self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(600)

    def of_cases(self):
        return [(event["id"], event["status"]) for event in self.events if event["type"] == "case"]


@pytest.fixture(scope="module")
def undisturbed(tiny_bundle, tmp_path_factory):
    """A cohort that has ended, and its command."""
    command = command_in(tmp_path_factory.mktemp("undisturbed"), tiny_bundle)
    cohort = Cohort(command)
    cohort.end()
    return cohort, command


def test_every_case_is_told_when_it_begins_and_what_became_of_it(undisturbed):
    cohort, _ = undisturbed
    assert (cohort.events[0]["type"], cohort.events[0]["pid"]) == ("ready", cohort.process.pid)
    assert cohort.process.returncode == 3
    assert cohort.of_cases() == [
        ("first", "running"), ("first", "done"), ("lost", "running"), ("lost", "failed"), ("last", "running"),
        ("last", "done"),
    ]  # fmt: skip
    told = {event["id"]: event for event in cohort.events if event["type"] == "case"}
    assert (told["lost"]["error_code"], told["lost"]["message"]) == ("case-table", "No GTV was found.")
    assert told["last"]["seconds"] > 0
    assert (cohort.events[-1]["type"], cohort.events[-1]["code"]) == ("error", "some-cases-failed")
    fractions = [event["fraction"] for event in cohort.events if event["type"] == "progress"]
    assert fractions and all(0 < fraction <= 1 for fraction in fractions)


@pytest.mark.parametrize("how", share(["line", "end"], 1))
def test_a_line_or_the_end_of_the_input_interrupts_the_case_and_the_same_command_continues(command, tmp_path, how):
    cohort = Cohort(command, "--sampler=ddim", "--steps=250")
    cohort.until("case", id="first", status="running")
    cohort.until("progress")
    if how == "line":
        cohort.process.stdin.write(b'{"type": "stop"}\n')
        cohort.process.stdin.flush()
    else:
        cohort.process.stdin.close()
    assert cohort.end() == 130
    assert (cohort.events[-1]["type"], cohort.events[-1]["code"]) == ("error", "cancelled")
    assert not list(Path(tmp_path, "out").glob("*/.running*")), "the claim is given back"
    if how == "line":
        again = Cohort(command)
        assert again.end() == 3
        assert again.of_cases().count(("first", "done")) == 1
    else:
        assert cli.main([word for word in command[3:] if word != "--events"]) == 3
    assert json.loads((tmp_path / "out" / "first" / "status.json").read_text("utf-8"))["status"] == "done"


def test_what_stops_the_whole_cohort_is_told_as_an_error_before_torch_is_loaded(command):
    cohort = Cohort([sys.executable, "-c", WITHOUT_TORCH, *command[3:]], "--bundle", "nowhere")
    assert cohort.end() == cohort.events[-1]["exit_code"] != 0
    assert (cohort.events[-1]["type"], cohort.events[-1]["code"]) == ("error", "bundle")
    assert cohort.events[-1]["remedy"]


def test_the_page_about_all_cases_needs_no_torch_and_is_named_when_it_is_written(undisturbed):
    _, command = undisturbed
    out = Path(command[command.index("--out") + 1])
    report = Cohort([sys.executable, "-c", WITHOUT_TORCH, "cohort", "report", str(out), "--events"])
    page = Path(report.until("finished")["page"])
    assert report.end() == 0
    assert page == out / "cohort.html" and "No GTV was found." in page.read_text("utf-8")
