"""A bundle that is trained further: what stays, what changes, what is refused."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from GBMResponseCore.measure.guard import IMAGE_FEATURES, TOGETHER
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import BUNDLED_MODELS, bundled_models
from safetensors.torch import load_file
from small_store import SPLIT, write_small_store
from smoke_run import smoke_run
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.bundles.feature_ranges import image_ranges
from GBMResponseTraining.bundles.fine_tuning import fine_tuning_run, stores_half
from GBMResponseTraining.bundles.parent_settings import check_settings, parent_settings
from GBMResponseTraining.cli import main
from GBMResponseTraining.engine.checkpoints import FINISHED
from GBMResponseTraining.store.slice_store import open_store, write_store
from GBMResponseTraining.store.splits import SPLIT_FILE, write_split

QUICK = ("steps=4", "batch_size=2", "validate_every=2", "checkpoint_every=2", "warmup=1", "learning_rate=1e-3")
PREVIEW = ("diffusion.preview_slices=1", "diffusion.preview_steps=2")


def finetune(*words, settings=(), quick=("diffusion",)):
    short = [f"{part}.training.{setting}" for part in quick for setting in QUICK]
    overrides = [word for setting in (*settings, *short, *PREVIEW) for word in ("--set", setting)] if quick else []
    return main([str(word) for word in ("finetune", *words, "--accelerator", "cpu", *overrides)])


def weights(bundle, part):
    return load_file(bundle / part / "diffusion_pytorch_model.safetensors")


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A bundle of both class schemes and of windows, trained on a store with other thresholds."""
    folder = tmp_path_factory.mktemp("parent")
    other = {patient: {"survival_days": 1000.0 + 10 * number} for number, patient in enumerate(SPLIT)}
    store = write_small_store(folder / "store", **other)
    lengths = {"window": 32, "window_margin": 4, "window_overlap": 8, "keep_detail": "true"}
    settings = [f"diffusion.{name}={value}" for name, value in lengths.items()]
    assert smoke_run(store, folder / "run", "export", "2-and-4-class", settings=settings) == 0
    return folder / "run" / "bundles" / "2-and-4-class"


@pytest.fixture(scope="module")
def run(parent, store, tmp_path_factory):
    run = tmp_path_factory.mktemp("tuned") / "run"
    assert finetune("--bundle", parent, "--store", store, "--run", run) == 0
    return run


@pytest.fixture(scope="module")
def tuned(run):
    return run / "bundles" / "2-and-4-class"


def test_kept_networks_are_the_parent_s_bit_for_bit(parent, tuned):
    for part in ("image_autoencoder", "gtv_autoencoder", "classifier"):
        assert equal(weights(tuned, part), weights(parent, part))


def test_the_denoiser_has_learned_on_from_the_parent_s(parent, tuned, run):
    before, after = (weights(folder, "denoiser")["conv_in.weight"] for folder in (parent, tuned))
    assert not torch.equal(before, after)
    assert (after.float() - before.float()).abs().max() < 0.02  # 4 steps of 1e-3; new weights are far away
    assert json.loads((run / "diffusion" / "2-and-4-class" / FINISHED).read_text())["steps"] == 4


def test_the_bundle_is_of_the_parent_s_kind(parent, tuned):
    before, after = (open_bundle(folder).description for folder in (parent, tuned))
    assert before.keys() == after.keys()
    assert {"windows", "change_scale", "keep_detail"} <= before["latents"].keys()
    assert after["classifier"].items() >= {k: v for k, v in before["classifier"].items() if k != "held_out"}.items()
    for name in ("preprocessing", "latents", "sources", "conditioning", "sampling", "neighbour_slices", "license"):
        assert after[name] == before[name]
    open_bundle(tuned).load_networks()


def test_the_card_and_the_bundle_name_the_parent(parent, tuned):
    opened = open_bundle(parent)
    card = (tuned / "MODEL_CARD.md").read_text("utf-8")
    assert f"Fine-tuned from {opened.name} {opened.version}** (SHA-256 of its bundle.json: {opened.sha256})" in card
    assert "Kept: image autoencoder, GTV autoencoder" in card
    assert "denoiser trained further on 2 patients (6 slices)" in card
    description = open_bundle(tuned).description
    assert description["name"] == f"{opened.name}-fine-tuned"
    assert f"Fine-tuned from {opened.name}" in description["description"]
    assert opened.description["training_data"] in description["training_data"]


def test_the_card_says_whether_it_helped(parent, run, tuned):
    loss = json.loads((run / "diffusion" / "2-and-4-class" / "validation_loss.json").read_text("utf-8"))
    card = (tuned / "MODEL_CARD.md").read_text("utf-8")
    assert f"{loss['before']:.4g} before, {loss['after']:.4g} after" in card
    assert ("did not help" in card) == (loss["after"] >= loss["before"])
    logs = sorted((run / "diffusion" / "2-and-4-class").glob("from_step_*/metrics.csv"))
    with logs[-1].open(encoding="utf-8") as file:
        logged = [float(row["val_loss"]) for row in csv.DictReader(file) if row["val_loss"]]
    assert loss["after"] == pytest.approx(min(logged), rel=1e-4)


def test_it_is_evaluated_beside_its_parent(parent, tuned, store, tmp_path):
    models = (f"before={parent}:2-class:true", f"after={tuned}:2-class:true")
    words = ("evaluate", store, tmp_path / "out", "--model", models[0], "--model", models[1], "--max-slices", 1)
    assert main([str(word) for word in words]) == 0
    table = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["table"]
    assert {"before", "after"} <= table.keys()


def test_a_finished_run_trains_nothing_again(run, monkeypatch):
    import lightning

    monkeypatch.setattr(lightning.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert finetune("--run", run, quick=()) == 0


def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(
    parent, store, run, tuned, tmp_path, monkeypatch
):
    from GBMResponseTraining.stages import diffusion

    fit = diffusion.fit

    def stopped(module, items, held_out, folder, *arguments, **options):
        if folder.name == "2-and-4-class":
            raise KeyboardInterrupt
        return fit(module, items, held_out, folder, *arguments, **options)

    monkeypatch.setattr(diffusion, "fit", stopped)
    other = tmp_path / "run"
    assert finetune("--bundle", parent, "--store", store, "--run", other) == 130
    monkeypatch.undo()
    shutil.rmtree(other / "image_autoencoder")  # comes back from the copy of the parent
    assert finetune("--run", other, quick=()) == 0
    assert equal(weights(other / "bundles" / "2-and-4-class", "denoiser"), weights(tuned, "denoiser"))


def test_another_configuration_does_not_continue_a_run(run, capsys):
    assert finetune("--run", run, settings=["seed=5"]) == 34
    assert "another configuration: seed differ" in capsys.readouterr().err


def test_another_bundle_does_not_continue_a_run(run, tmp_path, capsys):
    assert finetune("--run", run, "--bundle", write_tiny_bundle(tmp_path / "other"), quick=()) == 34
    assert "fine-tunes another bundle" in capsys.readouterr().err


def test_a_training_from_the_start_is_not_continued(store, tmp_path, parent, capsys):
    assert smoke_run(store, tmp_path / "run", "train", "gtv-autoencoder") == 0
    assert finetune("--run", tmp_path / "run", "--bundle", parent, "--store", store) == 34
    assert "fine-tunes no bundle" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("--bundle", "models/B"), ("--store", "S")])
def test_a_new_run_needs_a_bundle_and_a_store(words, tmp_path, capsys):
    assert finetune("--run", tmp_path / "run", *words) == 34
    assert "--bundle, the store with --store" in capsys.readouterr().err


def test_slices_prepared_otherwise_are_refused_in_a_sentence(parent, tmp_path, capsys):
    intensity = {"kind": "max", "percentile": 99.5, "clip_high": 1.5}
    store = write_small_store(tmp_path / "store", P2={"preprocessing": {"intensity": intensity}})
    assert finetune("--bundle", parent, "--store", store, "--run", tmp_path / "run") == 34
    assert "P2 were prepared otherwise" in (message := capsys.readouterr().err)
    assert "intensity kind max, not percentile." in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lacking", ["train", "validation"])
def test_fine_tuning_needs_training_and_validation_patients(lacking, parent, tmp_path, capsys):
    split = {patient: "test" if name == lacking else name for patient, name in SPLIT.items()}
    store = write_small_store(tmp_path / "store", split)
    assert finetune("--bundle", parent, "--store", store, "--run", tmp_path / "run") == 45
    assert f"no {lacking} patient" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "setting",
    ["diffusion.channels=[16, 16]", "diffusion.label_dropout=0.3", "sampling.steps=7",
     "image_autoencoder.frozen_encoder=false"],
)  # fmt: skip
def test_what_the_bundle_decides_cannot_be_changed(setting, parent, store, tmp_path, capsys):
    assert finetune("--bundle", parent, "--store", store, "--run", tmp_path / "run", settings=[setting]) == 50
    assert "cannot be changed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_gtv_autoencoder_is_always_kept(parent, store, tmp_path, capsys):
    words = ("--bundle", parent, "--store", store, "--run", tmp_path / "run")
    assert finetune(*words, settings=["gtv_autoencoder.kept=false"]) == 50
    assert "no decoder" in capsys.readouterr().err


def test_only_fine_tuning_keeps_networks(store, tmp_path, capsys):
    assert smoke_run(store, tmp_path / "run", "train", "classifier", settings=["classifier.kept=true"]) == 50
    assert "Only fine-tuning can keep" in capsys.readouterr().err


def test_a_configuration_that_the_parent_is_not_of_is_refused(run, capsys):
    assert main(["export", "4-class", "--run", str(run)]) == 50
    assert "no model of the configuration 4-class" in capsys.readouterr().err


def test_decoder_and_classifier_are_trained_if_asked_for(parent, store, tmp_path):
    run = tmp_path / "run"
    words = ("--bundle", parent, "--store", store, "--run", run, "--train", "image-autoencoder", "classifier")
    quick = ("diffusion", "image_autoencoder", "classifier")
    assert finetune(*words, settings=["classifier.folds=2"], quick=quick) == 0
    tuned = run / "bundles" / "2-and-4-class"
    before, after = (weights(folder, "image_autoencoder") for folder in (parent, tuned))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "decoder" in changed <= {"decoder", "post_quant_conv"}
    assert not equal(weights(parent, "classifier"), weights(tuned, "classifier"))
    assert open_bundle(tuned).description["latents"] == open_bundle(parent).description["latents"]
    card = (tuned / "MODEL_CARD.md").read_text("utf-8")
    assert "decoder of the image autoencoder trained further; survival classifier trained anew" in card


def test_a_kept_classifier_is_judged_by_patients_that_it_has_not_seen(run):
    report = json.loads((run / "classifier" / "report.json").read_text())
    assert report["unseen"]["patients"] == len(SPLIT)


def test_the_parent_s_scale_of_the_change_is_kept_though_the_patients_change_more(parent, tmp_path):
    """A scale of their own would show the denoiser targets that it has never seen the size of."""
    store = write_small_store(tmp_path / "store")
    post = np.load(store / "post.npy")
    np.save(store / "post.npy", np.clip(3 * post, -1, 1.5).astype(post.dtype))
    assert finetune("--bundle", parent, "--store", store, "--run", tmp_path / "run") == 0
    tuned = tmp_path / "run" / "bundles" / "2-and-4-class"
    assert open_bundle(tuned).residual_scale == open_bundle(parent).residual_scale


def test_usual_ranges_are_those_of_parent_and_patients_together(tmp_path):
    features = {"noise": [0.0, 1e-6], "gtv_level": [-1.0, 9.0], "of_the_parent": [1.0, 2.0]}
    together = {"features": ["noise"], "mean": [0.0], "sd": [1.0], "inverse": [[1.0]], "range": [0.0, 3.0]}
    ranges = {"gtv_volume_ml": [10.0, 20.0], IMAGE_FEATURES: features, TOGETHER: together}
    parent = write_tiny_bundle(tmp_path / "tiny", ranges=ranges)
    known = {"spacing_mm": 3.0}
    store = write_small_store(
        tmp_path / "store", P1={"gtv_volume_ml": 5.0, **known}, P2={"gtv_volume_ml": 15.0, **known}
    )
    assert finetune("--bundle", parent, "--store", store, "--run", tmp_path / "run") == 0
    found = open_bundle(tmp_path / "run" / "bundles" / "2-and-4-class").description["ranges"]
    assert (found["gtv_volume_ml"], found["spacing_mm"]) == ([5.0, 20.0], [3.0, 3.0])
    own = image_ranges(open_store(store), SPLIT, open_store(store).patients)[IMAGE_FEATURES]
    assert TOGETHER not in found
    assert found[IMAGE_FEATURES] == own | features | {"noise": [0.0, own["noise"][1]]}


@pytest.mark.parametrize(
    "changes",
    [{"architecture": "continuous"}, {"architecture": "product"}, {"days_since_rt": 100.0, "neighbor_slices": 1},
     {"prediction": "epsilon"}, {"change_scale": [2.0] * 4}],
    ids=str,
)  # fmt: skip
def test_settings_are_read_off_every_kind_of_bundle(changes, tmp_path, store):
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny", **changes))
    run, _ = fine_tuning_run(tmp_path / "run", bundle.folder, store)
    diffusion = run.configuration.diffusion
    assert diffusion.predict_change == ("change_scale" in changes)
    assert diffusion.days_since_rt == ("days_since_rt" in changes)
    assert diffusion.prediction == changes.get("prediction", "v_prediction")
    assert run.configuration.image_autoencoder.architecture == changes.get("architecture", "residual")


@pytest.mark.parametrize("folder", bundled_models(BUNDLED_MODELS), ids=lambda folder: folder.name)
def test_bundles_that_ship_can_be_fine_tuned(folder, tmp_path):
    bundle = open_bundle(folder)
    size = bundle.in_plane_rule.size
    blank = np.zeros((2, size, size), np.float32)
    record = {"survival_days": 400.0, "slice_positions_mm": [0.0], "preprocessing": bundle.description["preprocessing"]}
    patients = [{**record, "id": name} for name in ("A", "B")]
    write_store(tmp_path / "store", blank, blank, blank, np.arange(2), patients)
    write_split({"A": "train", "B": "validation"}, tmp_path / "store" / SPLIT_FILE)
    run, configuration = fine_tuning_run(tmp_path / "run", folder, tmp_path / "store")
    check_settings(bundle, parent_settings(bundle), run.configuration)
    assert configuration.schemes == tuple(bundle.schemes)
    assert stores_half(bundle)
