"""Cases on a Dask cluster: workers that are lost, models that do not load, interrupts, batch systems."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import fake_runner
import pytest
from fake_runner import FakeRunner, ran
from GBMResponseCore import cli
from GBMResponseCore.cohort import cluster
from GBMResponseCore.cohort.case_run import Plan
from GBMResponseCore.cohort.cluster import DaskWorkers, connected
from GBMResponseCore.cohort.drive import run_cohort
from GBMResponseCore.errors import DeviceError, OptionError, SomeCasesFailedError
from GBMResponseCore.inputs.case_table import read_case_table
from GBMResponseCore.request import PredictionRequest

distributed = pytest.importorskip("distributed")


@pytest.fixture
def threads(monkeypatch):
    """A cluster of two workers inside this process."""
    monkeypatch.setattr("GBMResponseCore.cohort.case_run._hashes", lambda request: ["image"])
    monkeypatch.setattr("GBMResponseCore.cohort.case_run._hashes_of", lambda case: ["image"])
    monkeypatch.setattr(cluster, "_one_at_a_time", threading.Lock())
    with (
        distributed.LocalCluster(
            n_workers=2,
            processes=False,
            threads_per_worker=1,
            dashboard_address=None,
            resources={"device": 1},
            memory_limit=0,
        ) as made,
        distributed.Client(made, set_as_default=False) as client,
    ):
        yield client


def plan_of(folder):
    return Plan(PredictionRequest(folder, folder, folder), folder / "out", 3)


def test_cases_are_spread_and_failures_are_explained(table, tmp_path, threads):
    cases, plan, said = read_case_table(table(6, bad=(2,))), plan_of(tmp_path), []
    (tmp_path / "out").mkdir()
    with pytest.raises(SomeCasesFailedError):
        run_cohort(cases, plan, DaskWorkers(threads, plan, 2, FakeRunner), said.append)
    assert sorted(ran(tmp_path)) == [f"case{number}" for number in range(6)]
    assert sum("done in" in line for line in said) == 5
    assert sum("failed (not-mr)" in line for line in said) == 1


def test_a_model_that_loads_nowhere_ends_the_cohort_with_its_own_code(table, tmp_path, threads):
    class Broken(FakeRunner):
        def basis(self, request):
            raise DeviceError("There is no device cuda:7.")

    cases, plan = read_case_table(table(3)), plan_of(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(cluster.GBMResponseError) as error:
        run_cohort(cases, plan, DaskWorkers(threads, plan, 2, Broken), lambda line: None)
    assert (error.value.code, error.value.exit_code) == ("device", 35)
    assert ran(tmp_path) == []


def test_an_interrupt_lets_running_cases_end_and_begins_no_other(table, tmp_path, threads, monkeypatch):
    cases, plan, said = read_case_table(table(12)), plan_of(tmp_path), []
    (tmp_path / "out").mkdir()
    workers = DaskWorkers(threads, plan, 2, FakeRunner)
    take, interrupted = workers.take, []

    def interrupt_once(seconds):
        if ran(tmp_path) and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return take(seconds)

    monkeypatch.setattr(fake_runner, "SECONDS", 0.3)
    monkeypatch.setattr(workers, "take", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        run_cohort(cases, plan, workers, said.append)
    begun = ran(tmp_path)
    assert len(begun) < 12
    assert sum("done in" in line for line in said) == len(begun)
    assert not list(tmp_path.glob("out/*/.*")), "neither claims nor half results are left"


@pytest.mark.parametrize(
    ("settings", "words"), [("a: [", "cannot be read"), ("- 1", "are none"), ("jobqueue: {}", "not complete")]
)
def test_settings_of_a_batch_system_that_lack_something_are_refused(settings, words, tmp_path):
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "settings.yaml").write_text(settings, "utf-8")
    with pytest.raises(OptionError, match=words), connected("slurm", [], tmp_path / "settings.yaml", 1, print):
        pass


def test_an_unknown_scheduler_is_refused():
    with pytest.raises(OptionError, match="Unknown scheduler"), connected("moon", [], None, 1, print):
        pass


def test_the_dashboard_is_where_it_is_said_to_be():
    pytest.importorskip("bokeh", reason="bokeh, of the extra cluster, draws the dashboard")
    said, opener = [], urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with connected(cluster.LOCAL, [], None, None, said.append):
        with opener.open(said[0].removeprefix("Dashboard: "), timeout=60) as answer:
            page = answer.read().decode()
    assert "<title>Dask Diagnostic UI</title>" in page and "Dask needs bokeh" not in page


def test_without_a_dashboard_it_is_said_how_to_get_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    said = []
    with connected(cluster.LOCAL, [], None, None, said.append):
        assert said == ["Dashboard: none without the package bokeh. To see one: pip install 'gbmresponse[cluster]'"]


def test_the_workers_of_this_machine_say_nothing_of_their_own(tmp_path, capfd):
    with connected(cluster.LOCAL, ["cpu"], None, None, lambda line: None) as (client, _):
        client.wait_for_workers(1, timeout=60)
    assert capfd.readouterr() == ("", "")


def test_without_dask_the_extra_is_named(table, tmp_path, monkeypatch, capsys):
    table(1)
    monkeypatch.setitem(sys.modules, "distributed", None)
    arguments = ["cohort", str(tmp_path / "cases.csv"), "--out", str(tmp_path / "out"), "--devices", "cpu", "cpu"]
    assert cli.main(arguments) == 60
    assert "pip install 'gbmresponse[cluster]'" in capsys.readouterr().err


SBATCH = """#!{python}
import pathlib, subprocess, sys
folder = pathlib.Path({folder!r})
number = len(list(folder.glob("job-*"))) + 1
job = folder / f"job-{{number}}"
job.write_bytes(pathlib.Path(sys.argv[-1]).read_bytes())
log = open(folder / f"log-{{number}}", "wb")
process = subprocess.Popen(["bash", str(job)], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
(folder / f"pid-{{number}}").write_text(str(process.pid))
print(f"Submitted batch job {{number}}")
"""
SCANCEL = """#!{python}
import os, pathlib, signal, sys
folder = pathlib.Path({folder!r})
for number in sys.argv[1:]:
    (folder / f"cancelled-{{number}}").touch()
    try:
        os.killpg(int((folder / f"pid-{{number}}").read_text()), signal.SIGTERM)
    except (ProcessLookupError, FileNotFoundError):
        pass
"""
SETTINGS = """
jobqueue:
  slurm:
    cores: 1
    memory: 2GB
    walltime: "00:10:00"
    local-directory: {folder}
    worker-extra-args: ["--no-nanny"]
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A batch system of two programs that start and end jobs on this machine."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        program = folder / name
        program.write_text(text.format(python=sys.executable, folder=str(folder)), "utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "settings.yaml").write_text(SETTINGS.format(folder=folder), "utf-8")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    testing = str(Path(fake_runner.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([testing, os.environ.get("PYTHONPATH", "")]))
    yield folder
    subprocess.run([str(folder / "scancel"), *(path.name[4:] for path in folder.glob("pid-*"))], check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the batch system is made of Linux' processes")
def test_a_batch_system_starts_workers_replaces_a_lost_one_and_retires_them(table, tmp_path, slurm):
    pytest.importorskip("dask_jobqueue")
    cases, plan, said = read_case_table(table(4)), plan_of(tmp_path), []
    (tmp_path / "out").mkdir()
    killed = []

    def say(line):
        said.append(line)
        if "done in" in line and not killed:
            killed.append(int((slurm / "pid-1").read_text()))
            os.killpg(killed[0], signal.SIGKILL)

    with connected("slurm", [], slurm / "settings.yaml", 1, say) as (client, most):
        run_cohort(cases, plan, DaskWorkers(client, plan, most, fake_runner.SlowRunner), say)
    assert said[0].startswith("Dashboard: ")
    assert sorted(set(ran(tmp_path))) == [f"case{number}" for number in range(4)]
    assert sum("done" in line for line in said) == 4
    jobs = sorted(path.name for path in slurm.glob("job-*"))
    assert len(jobs) >= 2, "the lost job was replaced"
    assert "--resources device=1" in (slurm / jobs[0]).read_text("utf-8")
    deadline = time.monotonic() + 600
    while any(_alive(int(path.read_text())) for path in slurm.glob("pid-*")):
        assert time.monotonic() < deadline, "a job was left behind"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
