"""Two processes on CPUs (gloo) train what one process with twice the batch trains."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from rows import nightly
from small_store import write_small_store

from GBMResponseTraining import cli
from GBMResponseTraining.engine.checkpoints import FINISHED, LAST

pytestmark = nightly

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [sys.executable, "-m", "GBMResponseTraining.cli"]
# The command `torchrun`; the dashes keep it from taking --run for its own --run-path.
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TORCHRUN += ["--standalone", "-m", "--", "GBMResponseTraining.cli"]


def train_on_two(run_folder, stage, *options, start=PYTHON):
    command = [*start, "train", *stage, "--run", run_folder, *options, "--accelerator", "cpu", "--devices", "2"]
    paths = os.pathsep.join([str(ROOT / "GBMResponse"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    subprocess.run([str(part) for part in command], check=True, env=environment, timeout=600, cwd=run_folder.parent)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """A run on one process, and the same run with half the batch on each of two."""
    one, two = (tmp_path_factory.mktemp("distributed") / name for name in ("one", "two"))
    command = ["train", "diffusion", "no-class", "--run", one, "--store", store, "--preset", "smoke"]
    command += ["--accelerator", "cpu", "--set", "diffusion.training.batch_size=4"]
    assert cli.main([str(word) for word in command]) == 0
    shutil.copytree(one, two, ignore=shutil.ignore_patterns("diffusion"))
    snapshot = two / "configuration.yaml"
    settings = yaml.safe_load(snapshot.read_text("utf-8"))
    settings["diffusion"]["training"]["batch_size"] = 2
    snapshot.write_text(yaml.safe_dump(settings), encoding="utf-8")
    train_on_two(two, ["diffusion", "no-class"])
    return one, two


def weights(run_folder, part):
    state = torch.load(run_folder / "diffusion" / "no-class" / LAST, weights_only=True)["state_dict"]
    return torch.cat([tensor.flatten() for name, tensor in state.items() if name.startswith(f"{part}.")])


def test_two_processes_reach_the_weights_of_one(runs):
    one, two = (weights(folder, "denoiser") for folder in runs)
    # The average lags behind by a share of the way that training went.
    moved = (one - weights(runs[0], "ema")).norm()
    assert moved > 0.01
    assert (one - two).norm() < 0.05 * moved


def test_the_report_names_the_processes(runs):
    reports = [json.loads((folder / "diffusion" / "no-class" / FINISHED).read_text()) for folder in runs]
    assert [report["processes"] for report in reports] == [1, 2]
    assert reports[0]["items_per_step"] == reports[1]["items_per_step"] == 4


@pytest.fixture(scope="module")
def all_stages(store, tmp_path_factory):
    """A run of everything that a configuration needs, with an adversarial autoencoder, by torchrun."""
    run = tmp_path_factory.mktemp("torchrun") / "run"
    adversarial = "image_autoencoder.adversarial={start_step: 1, channels: 32, layers: 1}"
    options = ("--store", store, "--preset", "smoke", "--set", adversarial)
    train_on_two(run, ["diffusion", "predicted-2-class"], *options, start=TORCHRUN)
    return run


def test_an_adversarial_autoencoder_trains_on_two_processes(all_stages):
    report = json.loads((all_stages / "image_autoencoder" / FINISHED).read_text())
    assert (report["steps"], report["processes"]) == (4, 2)
    state = torch.load(all_stages / "image_autoencoder" / LAST, weights_only=True)["state_dict"]
    assert any(name.startswith("discriminator.") for name in state)


def test_torchrun_trains_all_that_a_configuration_needs(all_stages):
    finished = list(all_stages.rglob(FINISHED))
    folds = ["classifier/final", "classifier/fold_0", "classifier/fold_1"]
    stages = sorted(path.parent.relative_to(all_stages).as_posix() for path in finished)
    assert stages == [*folds, "diffusion/predicted-2-class", "gtv_autoencoder", "image_autoencoder"]
    assert {json.loads(path.read_text())["processes"] for path in finished} == {2}


def test_an_experiment_ends_with_the_exit_code_of_the_stage_that_failed(store, tmp_path):
    command = ["experiment", "--run", tmp_path / "run", "--store", store, "--preset", "smoke", "--accelerator", "cpu"]
    command += ["--devices", 2, "--set", "image_autoencoder.training.learning_rate=1.0e+30"]
    assert cli.main([str(word) for word in command]) == 52
