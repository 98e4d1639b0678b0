"""The recipe of fine-tuning for another hospital, in miniature."""

import json

import pytest
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.model.bundle import open_bundle
from recipes import run_recipe
from rows import nightly
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.store.slice_store import open_store

pytestmark = nightly
QUICK = (
    "training.steps=4",
    "training.batch_size=2",
    "training.validate_every=2",
    "preview_slices=1",
    "preview_steps=2",
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital")
    rule = {"in_plane": InPlaneRule.of_size(64).to_dict(), "intensity": NormalizationSettings().to_dict()}
    parent = write_tiny_bundle(folder / "parent", preprocessing=rule, change_scale=[1.0] * 4)
    settings = [word for setting in QUICK for word in ("--set", f"diffusion.{setting}")]
    words = [folder / "out", "phantom", parent, *settings, "--accelerator", "cpu"]
    sizes = {"PATIENTS": "8", "SLICES": "3", "SIZE": "64", "SAMPLES": "2"}
    assert run_recipe("fine_tuning.sh", words, folder / "commands", **sizes) == 0
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
