"""The whole experiment in miniature, by the commands of docs/cfb-gbm.md, from a simulated cohort to predictions."""

import csv
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from GBMResponseCore import cli as predict_cli
from GBMResponseCore.inputs.reading import read_image
from GBMResponseCore.model.bundle import open_bundle

from GBMResponseTraining import cli
from GBMResponseTraining.engine.checkpoints import FINISHED
from GBMResponseTraining.settings.reader import load_configuration

CONFIGURATIONS = ("no-class", "predicted-2-class", "2-class", "4-class")
# Everything that the presets leave off: 2.5-D, days, adversarial loss, Min-SNR.
SETTINGS = (
    "diffusion.neighbor_slices=1",
    "diffusion.min_snr_gamma=5.0",
    "image_autoencoder.adversarial={start_step: 2, channels: 32, layers: 1}",
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "cfb-gbm.md"


def train(*words):
    return cli.main([str(word) for word in words])


def documented(cohort, store, run):
    """The commands of the page, with these folders, the networks of `smoke` and small slices."""
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL).group(1)
    places = {"CFB-GBM": cohort, "stores/cfb": store, "runs/paper": run}
    for line in block.splitlines():
        name, *words = shlex.split(line)
        assert name == "gbmresponse-train"
        words = [
            next((str(places[key]) + word[len(key) :] for key in places if word.startswith(key)), word)
            for word in words
        ]
        if "paper" in words:
            words[words.index("paper")] = "smoke"
            # One batch a step, of two slices.
            words = [word for word in words if "=" not in word and word != "--set"]
            words += [word for setting in SETTINGS for word in ("--set", setting)]
        yield [*words, *(["--size", "64"] if words[0] == "import" else [])]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    cohort, store, run = folder / "cohort", folder / "store", folder / "run"
    simulate = ("simulate", 8, cohort, "--anatomies", "phantom", "--slices", 3, "--size", 64, "--processes", 1)
    assert train(*simulate) == 0
    for words in documented(cohort, store, run):
        assert train(*words) == 0, words
    return cohort, store, run


@pytest.fixture(scope="module")
def run(folders):
    return folders[2]


def bundle(run, name):
    return open_bundle(run / "bundles" / name)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_is_a_complete_bundle(run, name):
    bundle(run, name).load_networks()


def test_each_bundle_knows_its_classes(run):
    schemes = {name: set(bundle(run, name).schemes) for name in CONFIGURATIONS}
    assert schemes == {
        "no-class": set(),
        "predicted-2-class": {"2-class"},
        "2-class": {"2-class"},
        "4-class": {"4-class"},
    }


def test_models_with_class_have_a_null_class_and_the_others_no_guidance(run):
    for name in CONFIGURATIONS:
        opened = bundle(run, name)
        assert (opened.label_dropout > 0) == bool(opened.schemes)
        assert (opened.default_sampling.guidance_scale == 1.0) != bool(opened.schemes)


def test_thresholds_come_from_training_patients_alone(folders):
    _, store, run = folders
    with (store / "patient_split.csv").open() as file:
        split = {row["patient"]: row["split"] for row in csv.DictReader(file)}
    days = sorted(
        record["survival_days"]
        for record in json.loads((store / "patients.json").read_text())
        if split[record["id"]] == "train"
    )
    median = (days[len(days) // 2] + days[(len(days) - 1) // 2]) / 2
    assert bundle(run, "2-class").schemes["2-class"].classes[0].max_days == pytest.approx(median)


def test_table_1_has_four_configurations_and_the_baselines(run):
    table = (run / "evaluation" / "table1.md").read_text("utf-8")
    rows = ("no class", "predicted 2-class", "2-class", "4-class", "copy of the pre image", "autoencoder of the truth")
    for row in rows:
        assert f"| {row}" in table
    assert "synthetic" in table.lower()


def test_the_table_says_that_the_patients_are_simulated(run):
    assert "simulated patients" in (run / "evaluation" / "table1.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["figure4.png", "figure4.pdf", "vq_vae.md", "paired_tests.md", "per_slice.csv"])
def test_the_evaluation_is_complete(run, name):
    assert (run / "evaluation" / name).stat().st_size > 0


def test_the_page_ends_in_the_paper_s_table_and_in_proper_scores(run):
    table = (run / "table1" / "table1.md").read_text("utf-8")
    for row in ("no class", "predicted 2-class", "2-class", "4-class"):
        assert f"| {row}" in table
    report = json.loads((run / "scores" / "report.json").read_text("utf-8"))
    assert report["scores"]["sentences"]


def test_the_settings_of_the_page_keep_the_paper_s_batches():
    """One card takes as many slices in a step as the authors' two."""
    words = shlex.split(re.search(r"gbmresponse-train experiment (.*)", PAGE.read_text("utf-8")).group(1))
    overrides = [word for before, word in pairwise(words) if before == "--set"]
    one, two = load_configuration("paper", overrides), load_configuration("paper")
    for name in ("image_autoencoder", "gtv_autoencoder", "diffusion"):
        steps = [
            getattr(one, name).training.optimizer_steps(6000),
            getattr(two, name).training.optimizer_steps(6000, 2),
        ]
        assert steps[0] == steps[1]


def test_the_store_has_the_intensities_that_the_page_asks_for(folders):
    record = json.loads((folders[1] / "patients.json").read_text("utf-8"))[0]
    assert record["preprocessing"]["intensity"]["kind"] == "max"


def test_the_model_cards_hold_the_figures_and_their_baseline(run):
    card = (run / "bundles" / "2-class" / "MODEL_CARD.md").read_text("utf-8")
    assert "copy of the pre image" in card
    assert "simulated patients" in card


def test_training_patients_are_predicted_by_classifiers_that_did_not_see_them(run):
    with (run / "classifier" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["classifier"] for row in rows if row["split"] == "train"} == {"out-of-fold"}
    assert {row["classifier"] for row in rows if row["split"] != "train"} == {"final"}


def test_the_classifier_is_reported_with_intervals(run):
    report = json.loads((run / "classifier" / "report.json").read_text())
    assert report["out_of_fold"]["auc"].keys() == {"value", "ci_low", "ci_high"}


def test_the_snapshot_repeats_the_settings(run):
    snapshot = yaml.safe_load((run / "configuration.yaml").read_text("utf-8"))
    assert snapshot["diffusion"]["neighbor_slices"] == 1
    assert snapshot["image_autoencoder"]["adversarial"]["start_step"] == 2


def test_pictures_of_validations_are_kept(run):
    for stage in ("image_autoencoder", "gtv_autoencoder", "diffusion/2-class"):
        assert len(list((run / stage / "images").glob("synthetic_step_*.png"))) == 2


def test_a_finished_experiment_trains_nothing_again(run, monkeypatch):
    import lightning

    before = (run / "diffusion" / "2-class" / FINISHED).read_bytes()
    monkeypatch.setattr(lightning.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert train("export", "2-class", "--run", run) == 0
    assert (run / "diffusion" / "2-class" / FINISHED).read_bytes() == before


def test_another_configuration_in_the_same_folder_is_refused(folders, capsys):
    _, store, run = folders
    assert train("export", "2-class", "--run", run, "--store", store, "--preset", "smoke") == 34
    assert "neighbor_slices" in capsys.readouterr().err


def test_a_new_run_needs_a_store(tmp_path, capsys):
    assert train("train", "classifier", "--run", tmp_path / "new", "--preset", "smoke") == 34
    assert "--store" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_an_unknown_configuration_is_refused(run, capsys):
    assert train("export", "3-class", "--run", run) == 34
    assert "predicted-2-class" in capsys.readouterr().err


def test_days_need_a_model_with_class(folders, tmp_path, capsys):
    _, store, _ = folders
    options = (
        "--run",
        tmp_path / "run",
        "--store",
        store,
        "--preset",
        "smoke",
        "--set",
        "diffusion.days_since_rt=true",
    )
    assert train("train", "diffusion", "no-class", *options) == 50
    assert "without class" in capsys.readouterr().err


def test_a_model_with_days_predicts_for_the_days_asked(folders, tmp_path):
    cohort, store, _ = folders
    run = tmp_path / "run"
    options = ("--run", run, "--store", store, "--preset", "smoke", "--set", "diffusion.days_since_rt=true")
    assert train("export", "2-class", *options) == 0
    images = {}
    for days in (30, 300):
        out = tmp_path / str(days)
        visit = next((cohort / "data").glob("*/t0"))
        image, gtv = next(visit.glob("*_t1gd.nii.gz")), next(visit.glob("*_gtv.nii.gz"))
        words = ("predict", "--image", image, "--gtv", gtv, "--out", out, "--bundle", run / "bundles" / "2-class")
        assert predict_cli.main([str(word) for word in (*words, "--days-since-rt", days, "--no-montage")]) == 0
        assert json.loads((out / "provenance.json").read_text())["days_since_rt"] == days
        images[days] = read_image(out / "predicted.nii.gz")
    assert images[30].GetSize() == images[300].GetSize()
