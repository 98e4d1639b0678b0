"""The pilots of the recipe, in miniature: one step of each."""

import json
from pathlib import Path

import pytest
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from recipes import run_recipe
from rows import nightly

from GBMResponseTraining import cli
from GBMResponseTraining.items import latents

ARMS = ("whole-slices", "own-noise", "even-weight", "neighbors")


def test_an_arm_that_there_is_not_is_said_before_anything_is_made(tmp_path, capfd):
    assert run_recipe("pilots.sh", [tmp_path / "out", "store", "other", "bundle", "no-arm"], tmp_path / "commands") == 2
    assert "There is no arm no-arm." in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of the pilots, and the run of every part of a store that was encoded."""
    folder, encoded = tmp_path_factory.mktemp("pilots"), []
    for name, options in (("store", ["--same-scan"]), ("other", [])):
        cohort, store = str(folder / f"{name}-cohort"), str(folder / name / "pairs")
        drawn = ["--anatomies", "phantom", "--seed", "3", "--slices", "2", "--processes", "1"]
        assert cli.main(["simulate", "4", cohort, *drawn, *options]) == 0
        assert cli.main(["import", "cfb-gbm", cohort, store, *options]) == 0
        assert cli.main(["split", store, "--shares", "50", "50", "0"]) == 0

    def encode(array, path, *arguments):
        encoded.append(path.parents[1].name)
        return whole(array, path, *arguments)

    whole = latents._encode
    words = [folder / "out", folder / "store" / "pairs", folder / "other" / "pairs", default_bundle(), *ARMS]
    small = {"STEPS": "1", "SAMPLES": "2", "CHANNELS": "[32,32,32]"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "_encode", encode)
        assert run_recipe("pilots.sh", words, folder / "commands", **small) == 0
    return folder / "out", encoded


@pytest.fixture
def out(made):
    return made[0]


@nightly
def test_arms_differ_in_what_they_are_called_after_alone(out):
    found = {arm: open_bundle(out / arm / "bundles" / "no-class") for arm in ARMS}
    windows = {arm: "windows" in bundle.description["latents"] for arm, bundle in found.items()}
    assert windows == {"whole-slices": False, "own-noise": True, "even-weight": True, "neighbors": True}
    assert [found[arm].neighbor_slices for arm in ARMS] == [0, 0, 0, 1]
    stores = {
        arm: Path(json.loads((out / arm / "store.json").read_text("utf-8"))["store"]).parent.name for arm in found
    }
    assert stores.pop("own-noise") == "other"
    assert set(stores.values()) == {"store"}


@nightly
def test_a_store_is_encoded_once_for_all_arms(made):
    assert made[1] == ["parent"] * 3 + ["whole-slices"] * 3 + ["own-noise"] * 3  # pre, post and GTV
    assert sorted(path.name for path in made[0].glob("latents-*")) == ["latents-one-scan", "latents-own-noise"]


@nightly
def test_one_evaluation_compares_them_on_validation_patients(out):
    report = json.loads((out / "evaluation" / "report.json").read_text("utf-8"))
    assert (report["split"], report["data"]["store"]) == ("validation", "pairs")
    assert [model["name"] for model in report["models"]] == list(ARMS)
    assert report["scores"]["rows"]["whole-slices"]["skill"]
    # The arm `neighbors` takes all of them.
    assert report["data"]["slices"] == report["data"]["slices_of_these_patients"] == 4
