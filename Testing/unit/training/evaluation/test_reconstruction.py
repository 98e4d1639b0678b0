"""`gbmresponse-train reconstruction`: image autoencoders alone, on a real small store, from a bundle and a run."""

import json

import numpy as np
import pytest
import torch
from GBMResponseCore.model.networks import LatentAutoencoder
from small_store import write_small_store
from smoke_run import smoke_run
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining import cli
from GBMResponseTraining.evaluation.reconstruction import (
    Images,
    cosines,
    measure_reconstruction,
    read_images,
)
from GBMResponseTraining.stages.autoencoder import load_autoencoder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    assert smoke_run(store, folder, "train", "image-autoencoder") == 0
    return folder


class Blurred(LatentAutoencoder):
    """Keeps nothing but the mean of 4 x 4 blocks, one latent of 16."""

    def __init__(self):
        super().__init__(cosines(1).model, [0.0], [1.0])


def test_the_test_slices_of_a_split_store_are_read(store):
    pre, post = read_images("small", store)
    assert (pre.name, post.name, len(pre.slices)) == ("small, pre", "small, post", 9)


def test_all_slices_of_a_store_without_a_split_are_read(tmp_path):
    folder = write_small_store(tmp_path / "store")
    (folder / "patient_split.csv").unlink()
    assert len(read_images("small", folder)[0].slices) == 18


def test_a_store_without_test_patients_is_refused(tmp_path, run, capsys):
    folder = write_small_store(tmp_path / "store", {f"P{number}": "train" for number in range(1, 7)})
    words = ["--model", f"run={run / 'image_autoencoder'}", "--store", f"small={folder}"]
    assert cli.main(["reconstruction", str(tmp_path / "out"), *words]) == 34
    assert "no test patient" in capsys.readouterr().err


def test_a_code_that_loses_nothing_has_no_error(store):
    found = measure_reconstruction(cosines(16), read_images("small", store)[0], None)
    assert found["psnr"]["mean"] > 100
    assert found["sharpness_ratio"]["mean"] == pytest.approx(1.0, abs=1e-4)


def test_a_blurred_image_is_less_sharp_in_the_tumor(store):
    found = measure_reconstruction(Blurred().eval(), read_images("small", store)[0], None)
    assert found["sharpness_ratio"]["mean"] < 0.9


def test_a_slice_without_a_tumor_counts_for_the_whole_image_alone(store):
    images = read_images("small", store)[0]
    without = Images("none", images.slices, np.zeros_like(images.gtv), images.patient)
    found = measure_reconstruction(cosines(8), without, None)
    assert np.isnan(found["psnr_local"]["mean"]) and np.isfinite(found["psnr"]["mean"])


def test_the_autoencoder_of_a_run_has_its_trained_weights(run):
    state = torch.load(run / "image_autoencoder" / "last.ckpt", weights_only=True)["state_dict"]
    model = load_autoencoder(run / "image_autoencoder").model
    assert torch.equal(model.decoder.conv_out.weight, state["model.decoder.conv_out.weight"])


def test_the_autoencoder_of_a_run_is_read_before_it_is_finished(run, tmp_path):
    import shutil

    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "image_autoencoder" / "finished.json").unlink()
    assert load_autoencoder(tmp_path / "run" / "image_autoencoder").shift.numel() == 4


def test_a_folder_that_is_neither_bundle_nor_training_is_refused(tmp_path, store, capsys):
    words = ["reconstruction", str(tmp_path / "out"), "--model", f"x={tmp_path}", "--store", f"small={store}"]
    assert cli.main(words) == 34
    assert "neither a bundle" in capsys.readouterr().err


def test_the_table_has_the_untrained_code_first_and_every_model(run, store, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", architecture="continuous")
    models = [f"tiny={bundle}", f"run={run / 'image_autoencoder'}"]
    words = ["reconstruction", str(tmp_path / "out"), "--model", *models, "--store", f"small={store}"]
    assert cli.main(words) == 0
    report = json.loads((tmp_path / "out" / "reconstruction.json").read_text("utf-8"))
    assert list(report["small, pre"]) == ["cosines (8, untrained)", "tiny", "run"]
    assert "| tiny |" in (tmp_path / "out" / "reconstruction.md").read_text("utf-8")
