"""The recipe of fine-tuning for another hospital, in miniature."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.model.bundle import open_bundle
from rows import nightly
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining import cli
from GBMResponseTraining.store.slice_store import open_store

pytestmark = nightly
ROOT = Path(__file__).resolve().parents[2]
QUICK = (
    "training.steps=4",
    "training.batch_size=2",
    "training.validate_every=2",
    "preview_slices=1",
    "preview_steps=2",
)


ASKING = """#!/bin/sh
printf '%s\\n' "$@" > "{folder}/asked"
read -r code < "{folder}/answered"
exit "$code"
"""


def run_script(words, environment, folder):
    """Run a script whose `gbmresponse-train` asks this process, which has loaded everything; return its exit code."""
    asked, answered = folder / "asked", folder / "answered"
    for path in (asked, answered):
        os.mkfifo(path)
    ended = []

    def run():
        try:
            ended.append(subprocess.run(words, env=environment, check=False).returncode)
        finally:
            asked.write_text("")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while command := asked.read_text("utf-8").splitlines():
        code = 1
        if command[0] == "simulate":
            command += ["--processes", "1"]  # others would load everything again
        try:
            code = cli.main(command)
        finally:
            answered.write_text(f"{code}\n")
    thread.join()
    return ended[0]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital")
    rule = {"in_plane": InPlaneRule.of_size(64).to_dict(), "intensity": NormalizationSettings().to_dict()}
    parent = write_tiny_bundle(folder / "parent", preprocessing=rule, change_scale=[1.0] * 4)
    commands = folder / "commands"
    commands.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for name, text in (("gbmresponse-train", ASKING.format(folder=commands)), ("python", python)):
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'GBMResponse'}:{ROOT}",
        **{"PATIENTS": "8", "SLICES": "3", "SIZE": "64", "SAMPLES": "2"},
    }
    settings = [word for setting in QUICK for word in ("--set", f"diffusion.{setting}")]
    script = ROOT / "Testing" / "tools" / "fine_tuning.sh"
    words = ["bash", script, folder / "out", "phantom", parent, *settings, "--accelerator", "cpu"]
    assert run_script(words, environment, commands) == 0
    return folder / "out"


def test_the_other_hospital_has_other_contrast_and_growth(out):
    before, after = open_store(out / "simulated"), open_store(out / "hospital")

    def growth(store):
        return sorted(record["post_gtv_volume_ml"] / record["gtv_volume_ml"] for record in store.patients)

    assert growth(after) == growth(before)[-4:]
    assert after.pre.mean() < before.pre.mean() - 0.02
    assert all("another hospital" in record["dataset"] for record in after.patients)


def test_its_slices_are_prepared_as_the_bundle_asks(out):
    parent = open_bundle(out / "run" / "parent")
    assert open_store(out / "hospital").patients[0]["preprocessing"] == parent.description["preprocessing"]


def test_skill_is_measured_before_and_after(out):
    report = json.loads((out / "evaluation" / "report.json").read_text("utf-8"))
    assert {"before", "after"} <= report["table"].keys()
    assert report["scores"]["sentences"]
