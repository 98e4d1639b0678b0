"""Phases of a training: the same as runs that follow each other by hand, and continued wherever they were stopped."""

import json

import pytest
import torch
import yaml
from rows import nightly
from small_store import write_small_store
from smoke_run import smoke_run

from GBMResponseTraining.cli import main
from GBMResponseTraining.engine.checkpoints import FINISHED
from GBMResponseTraining.settings.reader import load_configuration

CROPS = {"crop": 32, "quantize_from": 0.5, "training": {"steps": 4}}
WHOLE = {"crop": None, "quantize_from": 0.0, "training": {"steps": 2}}
DETAIL = {"min_snr_gamma": 5.0, "training": {"steps": 4}}
REST = {"min_snr_gamma": None, "training": {"steps": 2}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A configuration in phases, as `shipped`, with the networks of `smoke`."""
    values = load_configuration("smoke").to_dict()
    for section, last in (("image_autoencoder", WHOLE), ("diffusion", REST)):
        training = {**values[section]["training"], **last["training"]}
        values[section] = {**values[section], **last, "training": training}
    values["phases"] = [
        {"network": "image_autoencoder", "name": "crops", "settings": CROPS},
        {"network": "diffusion", "name": "detail", "settings": DETAIL},
    ]
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(store, recipe, tmp_path_factory):
    run = tmp_path_factory.mktemp("phases") / "run"
    assert start(run, store, recipe, "export", "2-class") == 0
    return run


def start(run, store, recipe, *command):
    return main([*command, "--run", str(run), "--store", str(store), "--config", str(recipe), "--accelerator", "cpu"])


def overrides(section, values):
    changes = [f"{section}.{key}={json.dumps(value)}" for key, value in values.items() if key != "training"]
    return [*changes, f"{section}.training.steps={values['training']['steps']}"]


def weights(stage):
    report = json.loads((stage / FINISHED).read_text())
    return torch.load(stage / report["selected"], weights_only=True)["state_dict"]


def equal(first, second):
    first, second = weights(first), weights(second)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@nightly
def test_phases_train_what_runs_that_follow_each_other_train(trained, store, tmp_path):
    crops = tmp_path / "crops"
    assert smoke_run(store, crops, "train", "image-autoencoder", settings=overrides("image_autoencoder", CROPS)) == 0
    stage = trained / "image_autoencoder"
    assert equal(stage / "phases" / "crops", crops / "image_autoencoder")
    whole = [*overrides("image_autoencoder", WHOLE), f"image_autoencoder.start={crops / 'image_autoencoder'}"]
    detail = tmp_path / "detail"
    arguments = ("train", "diffusion", "2-class")
    assert smoke_run(store, detail, *arguments, settings=[*whole, *overrides("diffusion", DETAIL)]) == 0
    assert equal(stage, detail / "image_autoencoder")
    model = "diffusion/2-class"
    assert equal(trained / model / "phases" / "detail", detail / model)
    rest = [*whole, *overrides("diffusion", REST), f"diffusion.start={detail / model}"]
    assert smoke_run(store, tmp_path / "rest", *arguments, settings=rest) == 0
    assert equal(trained / model, tmp_path / "rest" / model)


def test_a_training_in_phases_ends_in_a_bundle(trained):
    assert (trained / "bundles" / "2-class" / "bundle.json").is_file()
    assert json.loads((trained / "diffusion" / "2-class" / FINISHED).read_text())["steps"] == 2


def test_a_run_that_is_stopped_in_a_phase_goes_on_there(trained, store, recipe, tmp_path, monkeypatch):
    from GBMResponseTraining.stages import autoencoder

    fit, places = autoencoder.fit, []

    def stopped(module, items, held_out, folder, *arguments, **options):
        places.append(folder.name)
        if folder.name == "image_autoencoder":
            raise KeyboardInterrupt
        return fit(module, items, held_out, folder, *arguments, **options)

    monkeypatch.setattr(autoencoder, "fit", stopped)
    run = tmp_path / "run"
    assert start(run, store, recipe, "train", "image-autoencoder") == 130
    assert places == ["crops", "image_autoencoder"]
    done = (run / "image_autoencoder" / "phases" / "crops" / FINISHED).stat().st_mtime_ns
    monkeypatch.undo()
    assert start(run, store, recipe, "train", "image-autoencoder") == 0
    assert (run / "image_autoencoder" / "phases" / "crops" / FINISHED).stat().st_mtime_ns == done
    assert equal(run / "image_autoencoder", trained / "image_autoencoder")


def test_a_phase_that_is_behind_may_be_removed(store, recipe, tmp_path):
    import shutil

    run = tmp_path / "run"
    assert start(run, store, recipe, "train", "image-autoencoder") == 0
    shutil.rmtree(run / "image_autoencoder" / "phases")
    assert start(run, store, recipe, "train", "image-autoencoder") == 0
    assert not (run / "image_autoencoder" / "phases").exists()


def test_crops_of_a_phase_must_fit_the_slices(store, recipe, tmp_path, capsys):
    values = yaml.safe_load(recipe.read_text())
    values["phases"][0]["settings"]["crop"] = 4096
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values))
    assert start(tmp_path / "run", store, other, "train", "diffusion", "2-class") == 50
    assert "crops of 4096" in capsys.readouterr().err
