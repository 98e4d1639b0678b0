"""A stage says what it was made from, and is not used with anything else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_store import write_small_store
from smoke_run import smoke_run

from GBMResponseTraining.engine.made_from import MADE_FROM, StaleStageError, begin_stage, check_made_from
from GBMResponseTraining.items.fingerprints import store_sha256
from GBMResponseTraining.items.latents import LatentStore, residual_scale
from GBMResponseTraining.stages.training_run import TrainingRun
from GBMResponseTraining.store.slice_store import open_store

DENOISER = Path("diffusion", "no-class")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    """A run with a trained model."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert smoke_run(store, run, "train", "diffusion", "no-class") == 0
    return run


@pytest.fixture(scope="module")
def other_autoencoder(store, tmp_path_factory):
    """The image autoencoder of a run that differs in the seed alone."""
    run = tmp_path_factory.mktemp("other") / "run"
    assert smoke_run(store, run, "train", "image-autoencoder", settings=["seed=7"]) == 0
    return run / "image_autoencoder"


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


def finished(stage):
    return json.loads((stage / "finished.json").read_text("utf-8"))


def replace_autoencoder(run, other):
    shutil.rmtree(run / "image_autoencoder")
    shutil.copytree(other, run / "image_autoencoder")


def test_a_finished_stage_says_what_it_was_made_from(trained):
    assert set(finished(trained / "image_autoencoder")["made_from"]) == {"store", "split"}
    names = {"store", "split", "image_autoencoder", "gtv_autoencoder", "labels"}
    assert set(finished(trained / DENOISER)["made_from"]) == names


def test_a_denoiser_is_not_exported_with_another_image_autoencoder(store, run, other_autoencoder, capsys):
    replace_autoencoder(run, other_autoencoder)
    before = (run / "latents" / "made_with.json").read_bytes()
    assert smoke_run(store, run, "export", "no-class") == 53
    assert "other now: image autoencoder." in capsys.readouterr().err
    assert not (run / "bundles").exists()
    assert (run / "latents" / "made_with.json").read_bytes() == before


def test_an_autoencoder_that_a_denoiser_needs_is_not_trained_again_in_vain(store, run, capsys):
    shutil.rmtree(run / "image_autoencoder")
    assert smoke_run(store, run, "export", "no-class") == 53
    assert "is gone" in capsys.readouterr().err
    assert not (run / "image_autoencoder").exists()


def test_an_unfinished_denoiser_does_not_go_on_with_another_autoencoder(store, run, other_autoencoder):
    (run / DENOISER / "finished.json").unlink()
    replace_autoencoder(run, other_autoencoder)
    assert smoke_run(store, run, "train", "diffusion", "no-class") == 53


def test_a_model_does_not_start_from_one_of_other_latents(store, trained, other_autoencoder, tmp_path):
    run = tmp_path / "run"
    start = f"diffusion.start={trained / DENOISER}"
    assert smoke_run(store, run, "train", "gtv-autoencoder", settings=[start]) == 0
    shutil.copytree(other_autoencoder, run / "image_autoencoder")
    assert smoke_run(store, run, "train", "diffusion", "no-class", settings=[start]) == 53


def test_a_stage_of_a_version_that_wrote_nothing_down_is_still_used(store, run):
    stage = run / DENOISER
    content = finished(stage)
    del content["made_from"]
    (stage / "finished.json").write_text(json.dumps(content), encoding="utf-8")
    (stage / MADE_FROM).unlink()
    assert smoke_run(store, run, "train", "diffusion", "no-class") == 0


def test_latents_that_are_encoded_again_get_a_change_scale_of_their_own(store, run, other_autoencoder):
    before = json.loads((run / "latents" / "change_scale.json").read_text("utf-8"))
    shutil.rmtree(run / DENOISER)
    replace_autoencoder(run, other_autoencoder)
    assert smoke_run(store, run, "train", "diffusion", "no-class") == 0
    scale = json.loads((run / "latents" / "change_scale.json").read_text("utf-8"))
    latents = LatentStore(**{name: np.load(run / "latents" / f"{name}.npy") for name in ("pre", "post", "gtv", "mask")})
    assert scale == pytest.approx(residual_scale(latents, TrainingRun.reopen(run).rows("train")).tolist())
    assert scale != pytest.approx(before, rel=1e-3)


def test_latents_are_standardized_by_the_autoencoder_that_makes_them(store, run, other_autoencoder):
    """The scale of the latents is not taken from a file that an earlier autoencoder left."""
    wrong = (run / "image_autoencoder" / "standardization.json").read_bytes()
    right = json.loads((other_autoencoder / "standardization.json").read_text("utf-8"))
    shutil.rmtree(run / DENOISER)
    replace_autoencoder(run, other_autoencoder)
    (run / "image_autoencoder" / "standardization.json").write_bytes(wrong)
    assert smoke_run(store, run, "train", "image-autoencoder") == 0
    assert json.loads((run / "image_autoencoder" / "standardization.json").read_text("utf-8")) == right


def test_other_labels_make_a_stage_stale_and_are_named(tmp_path):
    begin_stage(tmp_path, {"store": "a", "labels": "b"})
    (tmp_path / "last.ckpt").touch()
    check_made_from(tmp_path, {"store": "a", "labels": "b"})
    with pytest.raises(StaleStageError, match="other now: labels"):
        check_made_from(tmp_path, {"store": "a", "labels": "c"})


def test_what_was_written_when_a_stage_began_is_replaced_if_it_never_trained(tmp_path):
    begin_stage(tmp_path, {"store": "a"})
    begin_stage(tmp_path, {"store": "b"})
    assert json.loads((tmp_path / MADE_FROM).read_text("utf-8")) == {"store": "b"}


def test_other_voxels_make_another_store(store, tmp_path):
    changed = Path(shutil.copytree(store, tmp_path / "store"))
    gtv = np.load(changed / "gtv.npy")
    gtv[3, 5, 5] = 1
    np.save(changed / "gtv.npy", gtv)
    assert store_sha256(open_store(changed)) != store_sha256(open_store(store))
