"""Evaluation of bundles with random weights on a small store: every part is real."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from GBMResponseCore.errors import BundleError, GuidanceError, OptionError
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from scipy import ndimage
from small_store import SLICES, SPLIT, write_small_store
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.bundles.export import write_description
from GBMResponseTraining.evaluation import model_predictions
from GBMResponseTraining.evaluation.evaluate import evaluate, evaluate_reconstruction
from GBMResponseTraining.evaluation.held_out import EvaluationError, patient_ids, read_held_out
from GBMResponseTraining.evaluation.metrics.image import per_patient_means, slice_metrics, standard_metrics
from GBMResponseTraining.evaluation.model_predictions import (
    EvaluatedModel,
    assign_classes,
    networks_sha256,
    open_model,
    patient_seed,
    predict_slices,
)
from GBMResponseTraining.evaluation.options import EvaluationOptions
from GBMResponseTraining.evaluation.report import json_values
from GBMResponseTraining.evaluation.results import COPY, TRAINING_MEAN, UPPER_BOUND
from GBMResponseTraining.evaluation.score_baselines import AUTOENCODER, BLURRED, SIGMAS, blurred_copy
from GBMResponseTraining.evaluation.statistics.skill import skills
from GBMResponseTraining.evaluation.sweep_table import sweep_text
from GBMResponseTraining.models.lpips import BACKBONE_VARIABLE, LPIPS
from GBMResponseTraining.store.slice_store import open_store
from GBMResponseTraining.store.splits import SPLIT_FILE, LeakageError, write_split

FILES = {
    "failures.png", "figure4.pdf", "figure4.png", "paired_tests.csv", "paired_tests.md", "per_patient.csv",
    "per_slice.csv", "predictions", "report.json", "table1.csv", "table1.md", "vq_vae.md",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """An AlexNet with random weights."""
    torch.manual_seed(0)
    names = ("features.0", "features.3", "features.6", "features.8", "features.10")
    path = tmp_path_factory.mktemp("backbone") / "alexnet.pth"
    layers = zip(names, LPIPS().convolutions, strict=True)
    torch.save({f"{name}.{part}": getattr(layer, part) for name, layer in layers for part in ("weight", "bias")}, path)
    return path


def models(bundle):
    return [
        EvaluatedModel("no class", bundle),
        EvaluatedModel("pred 2-class", bundle, "2-class", "predicted"),
        EvaluatedModel("4-class", bundle, "4-class", "true"),
    ]


@pytest.fixture(scope="module")
def evaluated(store, tiny_bundle, backbone, tmp_path_factory):
    """Folder and report of an evaluation of three models."""
    out = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BACKBONE_VARIABLE, str(backbone))
        report = evaluate(models(tiny_bundle), store, out, EvaluationOptions(data="phantoms", guidance_sweep=(0, 2)))
    return out, report


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def only(bundle):
    return [EvaluatedModel("model", bundle, "2-class", "true")]


# What is written


def test_all_files_are_there_and_no_temporary_one(evaluated):
    assert {path.name for path in evaluated[0].iterdir()} == FILES | {"guidance_sweep.csv", "guidance_sweep.md"}


def test_the_report_on_disk_is_the_one_returned(evaluated):
    assert json.loads((evaluated[0] / "report.json").read_text("utf-8")) == evaluated[1]


def test_the_rows_are_baselines_models_and_the_upper_bound(evaluated):
    assert list(evaluated[1]["table"]) == [
        COPY, BLURRED, TRAINING_MEAN, AUTOENCODER, "no class", "pred 2-class", "4-class",
        "no class, expected image", "pred 2-class, expected image", "4-class, expected image", UPPER_BOUND,
    ]  # fmt: skip


def test_the_copy_baseline_is_the_pre_image_against_the_truth(evaluated, store):
    slices = read_held_out(store, "test")
    rows = [row for row in read_csv(evaluated[0] / "per_slice.csv") if row["model"] == COPY]
    for k, row in enumerate(rows):
        expected = slice_metrics(slices.pre[k], slices.post[k], slices.gtv[k])
        assert {name: float(row[name]) for name in expected} == pytest.approx(expected)
    assert [row["patient"] for row in rows] == patient_ids(slices)


def test_every_slice_of_every_row_is_listed(evaluated):
    assert len(read_csv(evaluated[0] / "per_slice.csv")) == 11 * 3 * SLICES
    assert len(read_csv(evaluated[0] / "per_patient.csv")) == 11 * 3


def test_table_1_has_the_columns_of_the_paper(evaluated):
    text = (evaluated[0] / "table1.md").read_text("utf-8")
    assert "| model | PSNR ↑ | PSNR local ↑ | SSIM ↑ | SSIM local ↑ | LPIPS ↓ | MSE ↓ | MSE local ↓ |" in text
    assert "phantoms, slice store" in text
    assert "3 patients, 9 slices" in text


@pytest.mark.parametrize("name", ["table1.md", "vq_vae.md", "paired_tests.md", "guidance_sweep.md", "report.json"])
def test_every_text_says_synthetic(evaluated, name):
    assert "synthetic" in (evaluated[0] / name).read_text("utf-8").lower()


def test_the_mean_of_the_table_is_that_of_the_slices(evaluated):
    values = [float(row["mse"]) for row in read_csv(evaluated[0] / "per_slice.csv") if row["model"] == "4-class"]
    assert evaluated[1]["table"]["4-class"]["metrics"]["mse"]["mean"] == pytest.approx(np.mean(values))


def test_all_pairs_of_models_and_each_against_the_copy_are_tested(evaluated):
    pairs = {(test["first"], test["second"]) for test in evaluated[1]["paired_tests"]}
    assert pairs == {
        ("pred 2-class", "no class"), ("4-class", "no class"), ("4-class", "pred 2-class"),
        ("no class", COPY), ("pred 2-class", COPY), ("4-class", COPY),
    }  # fmt: skip


def test_the_figure_shows_the_predicted_class_model_from_best_to_worst(evaluated):
    figure = evaluated[1]["figure4"]
    values = [entry["ssim_local"] for entry in figure["slices"]]
    rows = [row for row in read_csv(evaluated[0] / "per_slice.csv") if row["model"] == "pred 2-class"]
    every = [float(row["ssim_local"]) for row in rows]
    assert figure["model"] == "pred 2-class"
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (max(every), min(every))


def test_the_failures_are_the_worst_against_the_copy_of_each_patient(evaluated):
    rows = read_csv(evaluated[0] / "per_slice.csv")
    own, copied = ([row for row in rows if row["model"] == name] for name in ("pred 2-class", COPY))
    gained = {}
    for row, copy in zip(own, copied, strict=True):
        gained.setdefault(row["patient"], []).append(float(row["ssim_local"]) - float(copy["ssim_local"]))
    failures = evaluated[1]["failures"]
    assert failures["model"] == "pred 2-class"
    found = [entry["ssim_local"] - entry["ssim_local_copy"] for entry in failures["slices"]]
    assert found == pytest.approx(sorted(min(values) for values in gained.values()))


def test_models_with_one_autoencoder_share_one_reconstruction(evaluated):
    assert list(evaluated[1]["vq_vae"]) == ["no class"]
    slices = ["pre", "post", "pre, without the codebook", "post, without the codebook"]
    assert list(evaluated[1]["vq_vae"]["no class"]) == slices


def test_the_codebook_changes_the_reconstruction(evaluated):
    images = evaluated[1]["vq_vae"]["no class"]
    assert images["post"]["psnr"]["mean"] != images["post, without the codebook"]["psnr"]["mean"]


def test_an_autoencoder_without_a_codebook_is_measured_once(store):
    slices, loaded = read_held_out(store, "test", 1), open_model(EvaluatedModel("m", default_bundle())).load("cpu")
    found = evaluate_reconstruction(loaded, slices, EvaluationOptions().measure(slices), UPPER_BOUND)
    assert list(found.summary) == ["pre", "post"]


def test_the_classifier_is_judged_in_the_classes_of_the_model(evaluated):
    classifier = evaluated[1]["classifier"]
    assert {name: figures["scheme"] for name, figures in classifier.items()} == {
        "pred 2-class": "2-class", "4-class": "4-class",
    }  # fmt: skip
    assert classifier["4-class"]["patients_per_class"] == [1, 0, 1, 1]


def test_without_guidance_the_classes_do_not_differ(evaluated):
    rows = read_csv(evaluated[0] / "guidance_sweep.csv")
    assert [float(row["guidance_scale"]) for row in rows] == [0.0, 2.0]
    assert float(rows[0]["mean_absolute_difference_gtv"]) == 0.0
    assert float(rows[1]["mean_absolute_difference_gtv"]) > 0.0


def test_the_sweep_stands_below_the_truth_and_the_copy(evaluated):
    lines = (evaluated[0] / "guidance_sweep.md").read_text("utf-8").splitlines()
    table = [line.split(" | ") for line in lines if line.startswith("| ")]
    assert [row[0] for row in table] == [
        "| guidance",
        "| ---",
        "| true follow-up",
        "| copy of the pre image",
        "| 0",
        "| 2",
    ]
    truth = evaluated[1]["guidance_sweep"]["truth"]
    assert (truth["patients_first"], truth["patients_last"]) == (1, 2)
    assert table[2][6:8] == [f"{truth[f'enhancing_pixels_post_{which}']:.1f}" for which in ("first", "last")]


def test_the_true_class_effect_of_training_patients_stands_beside_the_sweep(evaluated):
    truth = evaluated[1]["guidance_sweep"]["truth_of_training"]
    assert truth["patients_first"] + truth["patients_last"] == list(SPLIT.values()).count("train")
    text = (evaluated[0] / "guidance_sweep.md").read_text("utf-8")
    assert f"effect of the training patients is {truth['enhancing_change_difference']['value']:+.1f}" in text


def test_the_reconstruction_is_called_no_bound_of_lpips(evaluated):
    assert "in LPIPS it is no bound" in (evaluated[0] / "table1.md").read_text("utf-8")


def test_the_sweep_says_whose_metrics_it_has(evaluated):
    report = evaluated[1]
    assert " Metrics: means over patients" in sweep_text(report)
    assert "Metrics, as the authors' code defines them: means" in sweep_text({**report, "metrics": "authors"})


def test_samples_and_truths_become_stores_on_request(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store")
    options = EvaluationOptions(max_slices_per_patient=2, figure_slices=1, stores=True)
    evaluate(only(tiny_bundle), store, tmp_path / "out", options)
    truths, samples = (open_store(tmp_path / "out" / name) for name in ("truths", "samples"))
    assert [record["id"] for record in truths.patients] == [record["id"] for record in samples.patients]
    assert len(truths) == len(samples) == 6
    assert np.array_equal(truths.pre, samples.pre) and np.array_equal(truths.gtv, samples.gtv)
    original = open_store(store)
    assert all(
        any(np.array_equal(plane.astype(np.float16), other.astype(np.float16)) for other in original.post)
        for plane in truths.post
    )
    inside = samples.gtv > 0
    assert not np.allclose(samples.post[inside], truths.post[inside], atol=0.01)


def test_visits_of_a_patient_are_one_patient(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store", P4={"person": "x"}, P5={"person": "x"})
    report = evaluate(
        only(tiny_bundle), store, tmp_path / "out", EvaluationOptions(max_slices_per_patient=1, figure_slices=1)
    )
    assert report["data"]["patients"] == 2
    assert {test["patients"] for test in report["paired_tests"]} == {2}
    errors = [float(row["mse"]) for row in read_csv(tmp_path / "out" / "per_slice.csv") if row["model"] == "model"]
    expected = np.mean([np.mean(errors[:2]), errors[2]])
    assert report["table"]["model"]["metrics"]["mse"]["patient_mean"] == pytest.approx(expected)
    assert len(read_csv(tmp_path / "out" / "per_patient.csv")) == 7 * 3
    assert any("several visits" in note for note in report["notes"])


def test_the_sweep_shows_all_patients_under_either_class(evaluated):
    row = evaluated[1]["guidance_sweep"]["rows"][1]
    lines = (evaluated[0] / "guidance_sweep.md").read_text("utf-8").splitlines()
    cells = next(line for line in lines if line.startswith("| 2 |")).split(" | ")
    pixels = [row[f"enhancing_pixels_{name}"] for name in ("short", "long")]
    assert cells[3:6] == [*(f"{value:.1f}" for value in pixels), f"{pixels[0] - pixels[1]:+.1f}"]


def test_without_any_known_survival_the_sweep_has_no_truth(tiny_bundle, tmp_path):
    unknown = {name: {"survival_days": None} for name in SPLIT}
    store = write_small_store(tmp_path / "store", **unknown)
    options = EvaluationOptions(max_slices_per_patient=1, guidance_sweep=(2.0,))
    sweep = evaluate(only(tiny_bundle), store, tmp_path / "out", options)["guidance_sweep"]
    assert sweep["truth"]["enhancing_pixels_post_first"] is None
    assert sweep["rows"][0]["enhancing_pixels_own_last"] is None
    assert "| true follow-up | – |" in (tmp_path / "out" / "guidance_sweep.md").read_text("utf-8")


def test_models_that_are_told_the_true_survival_are_named(evaluated):
    notes = [note for note in evaluated[1]["notes"] if "true survival" in note]
    assert [note.split(": ")[1] for note in notes] == ["4-class."]


def test_an_unknown_training_split_is_told(evaluated):
    assert not evaluated[1]["models"][0]["training_split_checked"]
    assert any("nothing shows that the patients were held out" in note for note in evaluated[1]["notes"])


def test_other_metrics_of_the_same_predictions_sample_nothing(evaluated, store, tiny_bundle, tmp_path, monkeypatch):
    shutil.copytree(evaluated[0] / "predictions", tmp_path / "predictions")
    monkeypatch.setattr(model_predictions, "generate_slices", lambda *_, **__: pytest.fail("sampled again"))
    report = evaluate(models(tiny_bundle), store, tmp_path, EvaluationOptions(metrics="authors", figure_slices=1))
    standard, authors = (content["table"]["4-class"]["metrics"]["mse"]["mean"] for content in (evaluated[1], report))
    assert authors > standard


def test_a_new_model_card_keeps_the_predictions(tiny_bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    (copy / "MODEL_CARD.md").write_text("Now with figures.", encoding="utf-8")
    description = json.loads((copy / "bundle.json").read_text("utf-8"))
    del description["schema_version"], description["files"]
    write_description(copy, {**description, "metrics": {"split": "test"}})
    other = write_tiny_bundle(tmp_path / "other", change_scale=[1.0] * 4)
    before, after, changed = (networks_sha256(open_bundle(folder)) for folder in (tiny_bundle, copy, other))
    assert before == after != changed


def test_the_expected_image_is_a_row_of_its_own(store, tiny_bundle, tmp_path):
    evaluate(only(tiny_bundle), store, tmp_path)
    slices, loaded = read_held_out(store, "test"), open_model(only(tiny_bundle)[0]).load("cpu")
    images = predict_slices(loaded, slices, assign_classes(loaded, slices).tokens, seed=1, sample=None)
    rows = [row for row in read_csv(tmp_path / "per_slice.csv") if row["model"] == "model, expected image"]
    for k, row in enumerate(rows):
        expected = slice_metrics(images[k], slices.post[k], slices.gtv[k])
        assert {name: float(row[name]) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("compose", [True, False])
def test_away_from_the_gtv_the_input_shows_unless_whole_slices_are_asked_for(store, tiny_bundle, compose):
    slices, loaded = read_held_out(store, "test"), open_model(only(tiny_bundle)[0], compose=compose).load("cpu")
    images = predict_slices(loaded, slices, assign_classes(loaded, slices).tokens, seed=1)
    far = loaded.predictor.bundle.composition.shares(slices.gtv.astype(bool)) == 0
    assert far.any()
    assert np.array_equal(images[far], slices.pre[far]) == compose


def test_skill_is_against_the_best_baseline_and_names_it(evaluated):
    skill = evaluated[1]["table"]["no class"]["skill"]["mse_local"]
    table = {name: row for name, row in evaluated[1]["table"].items() if row["kind"] == "baseline"}
    errors = {name: row["metrics"]["mse_local"]["patient_mean"] for name, row in table.items()}
    assert skill["baseline"] == min(errors, key=errors.__getitem__)
    own = evaluated[1]["table"]["no class"]["metrics"]["mse_local"]["patient_mean"]
    assert skill["value"] == pytest.approx(1 - own / min(errors.values()))


def test_no_blur_of_the_copy_comes_nearer_to_the_follow_ups_than_that_of_the_blurred_copy(store):
    slices = read_held_out(store, "test")
    gtv = slices.gtv.astype(bool)

    def error(images):
        return np.mean([((images[k] - slices.post[k])[gtv[k]] ** 2).mean() for k in range(len(slices))])

    others = [np.stack([ndimage.gaussian_filter(image, sigma) for image in slices.pre]) for sigma in SIGMAS]
    assert error(blurred_copy(slices)) == pytest.approx(min(map(error, others)))


def test_without_backbone_lpips_is_left_out_and_told(store, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.delenv(BACKBONE_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    report = evaluate(
        only(tiny_bundle), store, tmp_path / "out", EvaluationOptions(max_slices_per_patient=1, figure_slices=1)
    )
    assert "lpips" not in report["table"]["model"]["metrics"]
    assert "LPIPS" not in (tmp_path / "out" / "table1.md").read_text("utf-8").split("## Skill")[0].split("## Pat")[0]
    assert any("AlexNet backbone was not found" in note for note in report["notes"])


def test_slices_without_gtv_have_no_local_values(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store")
    gtv = np.load(store / "gtv.npy")
    gtv[-1] = 0
    np.save(store / "gtv.npy", gtv)
    report = evaluate(only(tiny_bundle), store, tmp_path / "out", EvaluationOptions(figure_slices=1))
    last = [row for row in read_csv(tmp_path / "out" / "per_slice.csv") if row["model"] == "model"][-1]
    assert (last["psnr_local"], last["ssim_local"], last["mse_local"]) == ("", "", "")
    assert report["table"]["model"]["metrics"]["mse_local"]["mean"] is not None
    assert report["data"]["slices_without_gtv"] == 1
    assert "1 without GTV" in (tmp_path / "out" / "table1.md").read_text("utf-8")


def test_rows_of_one_bundle_share_its_networks(tiny_bundle):
    first = open_model(EvaluatedModel("a", tiny_bundle)).load()
    second = open_model(EvaluatedModel("b", tiny_bundle, "4-class", "true")).load(before=first)
    assert second.predictor is first.predictor
    assert (second.model.name, second.scheme.name) == ("b", "4-class")


def test_another_bundle_has_networks_of_its_own(tiny_bundle, tmp_path):
    first = open_model(EvaluatedModel("a", tiny_bundle)).load()
    other = write_tiny_bundle(tmp_path / "other", change_scale=[1.0] * 4)
    assert open_model(EvaluatedModel("b", other)).load(before=first).predictor is not first.predictor


# Classes and noise


def test_true_classes_come_from_the_survival(store, tiny_bundle):
    slices = read_held_out(store, "test")
    loaded = open_model(EvaluatedModel("m", tiny_bundle, "4-class", "true")).load()
    assert assign_classes(loaded, slices).names == ["quartile1", "quartile4", "quartile3"]


def test_patients_of_unknown_class_are_predicted_without(tiny_bundle, tmp_path):
    records = {"P4": {"censored": True}, "P5": {"censored": True}, "P6": {"survival_days": None}}
    slices = read_held_out(write_small_store(tmp_path, **records), "test")
    assigned = assign_classes(open_model(EvaluatedModel("m", tiny_bundle, "2-class", "true")).load(), slices)
    assert assigned.names == ["none", "long", "none"]
    assert assigned.unknown == ["P4", "P6"]


def test_predicted_classes_are_the_classifier_s(store, tiny_bundle):
    slices = read_held_out(store, "test")
    loaded = open_model(EvaluatedModel("m", tiny_bundle, "2-class", "predicted")).load()
    rows = slices.rows_of(1)
    four = loaded.predictor.classify(slices.pre[rows], slices.gtv[rows])
    expected = "short" if four[:2].sum() > four[2:].sum() else "long"
    assert assign_classes(loaded, slices).names[1] == expected


def test_two_patients_never_share_noise(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path)
    for name in ("pre", "gtv"):
        array = np.load(store / f"{name}.npy")
        array[:] = array[0]
        np.save(store / f"{name}.npy", array)
    slices = read_held_out(store, "test")
    loaded = open_model(EvaluatedModel("m", tiny_bundle)).load()
    predicted = predict_slices(loaded, slices, assign_classes(loaded, slices).tokens, seed=1)
    first, second = (predicted[slices.rows_of(patient)][0] for patient in (0, 1))
    assert not np.allclose(first, second)
    assert patient_seed(1, "P4") != patient_seed(2, "P4")


def test_a_patient_s_prediction_does_not_depend_on_the_others(store, tiny_bundle, tmp_path):
    alone = write_small_store(tmp_path, {**SPLIT, "P4": "validation", "P6": "validation"})
    loaded = open_model(EvaluatedModel("m", tiny_bundle)).load()
    images = []
    for folder in (store, alone):
        slices = read_held_out(folder, "test")
        tokens = assign_classes(loaded, slices).tokens
        own = slices.rows_of([record["id"] for record in slices.records].index("P5"))
        images.append(predict_slices(loaded, slices, tokens, seed=1)[own])
    assert np.allclose(*images, atol=1e-5)


def test_a_model_without_class_is_not_guided(tiny_bundle):
    assert open_model(EvaluatedModel("m", tiny_bundle)).sampling.guidance_scale == 1.0
    assert open_model(EvaluatedModel("m", tiny_bundle, "2-class", "true")).sampling.guidance_scale == 2.0


def test_the_sampling_can_be_chosen(tiny_bundle):
    model = open_model(EvaluatedModel("m", tiny_bundle, "2-class", "true"), {"steps": 3, "guidance_scale": 4.0})
    assert (model.sampling.steps, model.sampling.guidance_scale) == (3, 4.0)


def test_a_perfect_predictor_has_skill_one(store):
    slices = read_held_out(store, "test")
    perfect, copied = (
        per_patient_means(standard_metrics(images, slices.post, slices.gtv), slices.patient)
        for images in (slices.post, slices.pre)
    )
    assert {figure["value"] for figure in skills(perfect, copied).values()} == {1.0}


def predicted(bundle, store):
    """First sample of the held-out slices without class, and the slices."""
    slices = read_held_out(store, "test")
    loaded = open_model(EvaluatedModel("m", bundle)).load()
    return predict_slices(loaded, slices, assign_classes(loaded, slices).tokens, seed=1), slices


def test_a_model_that_sees_neighbors_sees_those_of_the_patient_alone(store, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", neighbor_slices=1)
    changed = tmp_path / "store"
    shutil.copytree(store, changed)
    pre = np.load(changed / "pre.npy")
    pre[-1] = -1
    np.save(changed / "pre.npy", pre)
    (before, slices), (after, _) = (predicted(bundle, folder) for folder in (store, changed))
    differs = [not np.allclose(a, b, atol=1e-4) for a, b in zip(before, after, strict=True)]
    assert slices.rows_of(2).tolist() == [6, 7, 8]
    assert differs == [False] * 7 + [True] * 2


def test_a_selection_of_slices_has_no_neighbors(store, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", neighbor_slices=1)
    with pytest.raises(EvaluationError, match="neighboring slices"):
        evaluate(only(bundle), store, tmp_path / "out", EvaluationOptions(max_slices_per_patient=1, figure_slices=1))


def test_a_model_that_knows_days_is_told_those_of_the_patient(tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", days_since_rt=100.0)
    stated = write_small_store(tmp_path / "stated", P4={"days_since_rt": 100.0}, P5={"days_since_rt": 200.0})
    (told, slices), (default, _) = (
        predicted(bundle, folder) for folder in (stated, write_small_store(tmp_path / "unknown"))
    )
    same = [np.allclose(told[slices.rows_of(p)], default[slices.rows_of(p)], atol=1e-5) for p in range(3)]
    assert same == [True, False, True]


# Interrupted


def test_an_interrupted_evaluation_continues_where_it_stopped(store, tiny_bundle, tmp_path, monkeypatch):
    options = EvaluationOptions(figure_slices=1)
    expected = evaluate(only(tiny_bundle), store, tmp_path / "whole", options)
    generate, sampled = model_predictions.generate_slices, []

    def stop_at_the_third_patient(model, conditions, *arguments, **options):
        if len(sampled) == 2:
            raise KeyboardInterrupt
        sampled.append(len(conditions))
        return generate(model, conditions, *arguments, **options)

    monkeypatch.setattr(model_predictions, "generate_slices", stop_at_the_third_patient)
    with pytest.raises(KeyboardInterrupt):
        evaluate(only(tiny_bundle), store, tmp_path / "out", options)
    assert not (tmp_path / "out" / "report.json").exists()

    continued = []
    monkeypatch.setattr(
        model_predictions,
        "generate_slices",
        lambda model, conditions, *a, **k: continued.append(len(conditions)) or generate(model, conditions, *a, **k),
    )
    report = evaluate(only(tiny_bundle), store, tmp_path / "out", options)
    assert continued == [SLICES] * 4  # the third patient's sample, and three expected images
    assert report == expected


def test_a_damaged_kept_slice_is_sampled_again_with_those_beside_it(store, tiny_bundle, tmp_path, monkeypatch):
    options = EvaluationOptions(batch_size=2, figure_slices=1)
    expected = evaluate(only(tiny_bundle), store, tmp_path / "whole", options)
    evaluate(only(tiny_bundle), store, tmp_path / "out", options)
    next((tmp_path / "out" / "predictions").rglob("*slice0001.npy")).write_bytes(b"")
    generate, again = model_predictions.generate_slices, []
    monkeypatch.setattr(
        model_predictions,
        "generate_slices",
        lambda model, conditions, *a, **k: again.append(len(conditions)) or generate(model, conditions, *a, **k),
    )
    assert evaluate(only(tiny_bundle), store, tmp_path / "out", options) == expected
    assert again == [2]


# Refused


def test_leakage_is_refused_before_anything_is_written(store, tiny_bundle, tmp_path):
    bundle = tmp_path / "run" / "bundles" / "2-class"
    shutil.copytree(tiny_bundle, bundle)
    write_split({**SPLIT, "P6": "train"}, tmp_path / "run" / SPLIT_FILE)
    with pytest.raises(LeakageError, match="P6"):
        evaluate(only(bundle), store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_run_s_own_split_is_noted_as_checked(store, tiny_bundle, tmp_path):
    bundle = tmp_path / "run" / "bundles" / "2-class"
    shutil.copytree(tiny_bundle, bundle)
    write_split(SPLIT, tmp_path / "run" / SPLIT_FILE)
    report = evaluate(
        only(bundle), store, tmp_path / "out", EvaluationOptions(max_slices_per_patient=1, figure_slices=1)
    )
    assert report["models"][0]["training_split_checked"]
    assert not any("held out" in note for note in report["notes"])


def test_training_patients_are_no_test(store, tiny_bundle, tmp_path):
    report = evaluate(
        only(tiny_bundle), store, tmp_path, EvaluationOptions(split="train", max_slices_per_patient=1, figure_slices=1)
    )
    assert "These are train patients: the figures are no test." in report["notes"]


def test_a_missing_bundle_is_refused(store, tmp_path):
    with pytest.raises(BundleError, match="no folder 'absent'"):
        evaluate(only(tmp_path / "absent"), store, tmp_path / "out")


def test_slices_of_another_size_are_refused(store, tmp_path):
    with pytest.raises(EvaluationError, match="32 x 32"):
        evaluate(only(write_tiny_bundle(tmp_path / "bundle", size=32)), store, tmp_path / "out")


def test_other_intensities_are_refused(tiny_bundle, tmp_path):
    record = {"preprocessing": {"intensity": {"clip_high": 90.0}}}
    store = write_small_store(tmp_path / "store", P4=record)
    with pytest.raises(EvaluationError, match="other intensities"):
        evaluate(only(tiny_bundle), store, tmp_path / "out")


def test_guidance_without_label_dropout_is_refused(store, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", label_dropout=0.0)
    with pytest.raises(GuidanceError):
        evaluate(only(bundle), store, tmp_path / "out", EvaluationOptions(sampling={"guidance_scale": 3.0}))


def test_a_sweep_needs_a_model_that_can_be_guided(store, tiny_bundle, tmp_path):
    with pytest.raises(EvaluationError, match="No model can be guided"):
        evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", EvaluationOptions(guidance_sweep=(1.0,)))


def test_an_unknown_scheme_is_refused(tiny_bundle):
    with pytest.raises(EvaluationError, match="3-class"):
        open_model(EvaluatedModel("m", tiny_bundle, "3-class", "true"))


@pytest.mark.parametrize("scheme, source", [("2-class", "none"), (None, "true"), ("2-class", "guessed")])
def test_scheme_and_source_must_fit(scheme, source):
    with pytest.raises(EvaluationError):
        EvaluatedModel("m", "bundle", scheme, source)


@pytest.mark.parametrize("names", [(), ("a", "a"), (COPY,)])
def test_names_must_be_unique(store, tiny_bundle, tmp_path, names):
    with pytest.raises(EvaluationError):
        evaluate([EvaluatedModel(name, tiny_bundle) for name in names], store, tmp_path)


@pytest.mark.parametrize("wrong", [{"split": "all"}, {"metrics": "best"}, {"samples": 0}, {"figure_slices": 0}])
def test_options_are_checked(wrong):
    with pytest.raises(OptionError):
        EvaluationOptions(**wrong)


def test_json_has_no_nan():
    assert json_values({"a": [float("nan"), 1.0, float("inf")], "b": "x"}) == {"a": [None, 1.0, None], "b": "x"}
