"""The tables of the proper scores, from an evaluation whose every part is real."""

import csv
import json

import pytest
from small_store import SLICES, SPLIT, write_small_store

from GBMResponseTraining.bundles.card import bundle_card
from GBMResponseTraining.evaluation.evaluate import evaluate
from GBMResponseTraining.evaluation.held_out import EvaluationError
from GBMResponseTraining.evaluation.model_predictions import EvaluatedModel
from GBMResponseTraining.evaluation.options import EvaluationOptions
from GBMResponseTraining.evaluation.results import COPY
from GBMResponseTraining.evaluation.score_baselines import (
    AUTOENCODER,
    BASE_RATE,
    BLURRED,
    BLURRED_MASK,
    CALIBRATED_MASK,
    DRESSED,
    TRUTH,
    UNCHANGED,
    USUAL_CHANGES,
)
from GBMResponseTraining.evaluation.score_report import TITLES
from GBMResponseTraining.evaluation.score_tables import best_baseline_table, score_table, scores_text
from GBMResponseTraining.evaluation.scores import APPEARANCE, SCORES

STACK = {"stack_spacing_mm": [1.0, 1.0, 5.0]}
FILES = {
    "baselines.json", "scores.csv", "scores.md", "scores_per_patient.csv", "scores_per_slice.csv", "scores_tests.csv",
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluated(tiny_bundle, tmp_path_factory):
    """Folder and report of an evaluation with two samples."""
    folder = tmp_path_factory.mktemp("scores")
    store = write_small_store(folder / "store", **dict.fromkeys(SPLIT, STACK))
    options = EvaluationOptions(samples=2, sampling={"steps": 1}, figure_slices=1)
    return folder / "out", evaluate([EvaluatedModel("model", tiny_bundle)], store, folder / "out", options)


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_several_samples_write_the_scores(evaluated):
    assert {path.name for path in evaluated[0].iterdir()} >= FILES
    assert json.loads((evaluated[0] / "report.json").read_text("utf-8")) == evaluated[1]


def test_one_sample_writes_none(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store")
    options = EvaluationOptions(max_slices_per_patient=1, sampling={"steps": 1}, figure_slices=1)
    assert evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", options)["scores"] is None
    assert not FILES & {path.name for path in (tmp_path / "out").iterdir()}


def test_every_baseline_stands_beside_the_model(evaluated):
    assert list(evaluated[1]["scores"]["rows"]) == [
        COPY, BLURRED, DRESSED, BLURRED_MASK, CALIBRATED_MASK, BASE_RATE, UNCHANGED, USUAL_CHANGES, AUTOENCODER,
        "model", TRUTH,
    ]  # fmt: skip


def test_random_weights_lose_and_the_text_says_to_which_baseline(evaluated):
    skill = evaluated[1]["scores"]["rows"]["model"]["skill"]["auc"]
    text = (evaluated[0] / "scores.md").read_text("utf-8")
    assert skill["value"] < 0
    assert skill["baseline"] == BLURRED_MASK
    assert f"- **The {BLURRED_MASK} is at least as good as model in" in text
    assert "synthetic" in text.lower()


def test_the_means_of_the_table_are_those_of_the_patients(evaluated):
    rows = read_csv(evaluated[0] / "scores_per_patient.csv")
    assert len(rows) == 11 * 3
    values = [float(row["crps_gtv"]) for row in rows if row["model"] == "model"]
    entry = evaluated[1]["scores"]["rows"]["model"]["scores"]["crps_gtv"]
    assert entry["patient_mean"] == pytest.approx(sum(values) / 3)
    summary = next(
        row for row in read_csv(evaluated[0] / "scores.csv") if (row["model"], row["score"]) == ("model", "auc")
    )
    assert summary["best_baseline"] == BLURRED_MASK


def test_every_slice_of_every_row_is_listed_with_its_scores(evaluated):
    rows = read_csv(evaluated[0] / "scores_per_slice.csv")
    assert len(rows) == 11 * 3 * SLICES
    own = [row for row in rows if row["model"] == "model"]
    assert all(row[name] for row in own for name in ("crps_gtv", "crps_region", "energy", "brier", "gain_drift"))
    # The last slice of a patient has no neighbor above it.
    assert [row["flicker_ratio"] == "" for row in own] == [False, False, True] * 3


def test_what_the_baselines_know_is_kept_with_the_results(evaluated):
    kept = json.loads((evaluated[0] / "baselines.json").read_text("utf-8"))
    assert kept == evaluated[1]["scores"]["fitted"]
    assert set(kept["blur"]["sigma"]) == {*SCORES[:6]}
    assert kept["training"]["split"] == "train"


def test_only_what_beats_the_best_baseline_is_bold(evaluated):
    report = json.loads(json.dumps(evaluated[1]))
    skill = report["scores"]["rows"]["model"]["skill"]
    for name in SCORES:
        skill[name] = {"value": 0.2, "ci_low": -0.1, "ci_high": 0.4, "baseline": COPY, "patients": 3}
    assert "**" not in score_table(report) + best_baseline_table(report)
    skill["brier"]["ci_low"] = 0.1
    assert "**0.200 [0.100, 0.400]** (copy of the pre image)" in best_baseline_table(report)
    line = next(line for line in score_table(report).splitlines() if line.startswith("| model | 0"))
    assert line.count("**") == 2
    assert line.split(" | ")[4].startswith("**")


def test_without_training_patients_the_text_says_what_is_missing(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store", dict.fromkeys(SPLIT, "test"))
    options = EvaluationOptions(samples=2, max_slices_per_patient=1, sampling={"steps": 1}, figure_slices=1)
    report = evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", options)
    assert report["scores"]["fitted"]["training"] is None
    assert "no training patients: base rate and usual changes are missing" in scores_text(report)
    assert not {BASE_RATE, USUAL_CHANGES} & report["scores"]["rows"].keys()
    assert BLURRED in report["scores"]["rows"]


def test_a_part_of_the_slices_has_no_whole_volumes_and_the_report_says_so(tiny_bundle, tmp_path, evaluated):
    store = write_small_store(tmp_path / "store", **dict.fromkeys(SPLIT, STACK))
    options = EvaluationOptions(samples=2, max_slices_per_patient=1, sampling={"steps": 1}, figure_slices=1)
    report = evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", options)
    caveat = "those of the evaluated slices, 33% of those that the patients have, not of whole lesions"
    assert any(caveat in note for note in report["notes"])
    assert f"3 of {3 * SLICES} slices that lie 5 mm apart" in (tmp_path / "out" / "scores.md").read_text("utf-8")
    assert not any(caveat[:29] in note for note in evaluated[1]["notes"])
    assert f" {3 * SLICES} slices that lie 5 mm apart" in (evaluated[0] / "scores.md").read_text("utf-8")


def test_a_cohort_made_otherwise_has_another_fingerprint(tiny_bundle, tmp_path, evaluated):
    thicker = {"stack_spacing_mm": [1.0, 1.0, 10.0]}
    store = write_small_store(tmp_path / "store", **dict.fromkeys(SPLIT, thicker))
    options = EvaluationOptions(sampling={"steps": 1}, figure_slices=1)
    other = evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", options)["data"]
    mine = evaluated[1]["data"]
    assert (mine["store"], len(mine["store_sha256"])) == (other["store"], 64)
    assert mine["store_sha256"] != other["store_sha256"]
    assert (mine["slice_spacing_mm"], other["slice_spacing_mm"]) == ([5.0] * 3, [10.0] * 3)


def test_another_store_may_tell_the_usual_changes(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store", dict.fromkeys(SPLIT, "test"))
    trained = write_small_store(tmp_path / "trained")
    options = EvaluationOptions(
        samples=2, max_slices_per_patient=1, sampling={"steps": 1}, figure_slices=1, tuning_store=trained
    )  # fmt: skip
    report = evaluate([EvaluatedModel("m", tiny_bundle)], store, tmp_path / "out", options)
    assert report["scores"]["fitted"]["training"]["patients"] == 2
    assert USUAL_CHANGES not in report["scores"]["rows"]
    assert BASE_RATE in report["scores"]["rows"]


def test_the_card_says_where_a_baseline_wins(evaluated):
    bundle = {"name": "tiny", "version": "0", "description": "", "intended_use": "", "license": "", "training_data": ""}
    bundle |= {"neighbour_slices": 0, "conditioning": {"schemes": {}, "label_dropout": 0.1}}
    bundle |= {"sampling": {"sampler": "unipc", "steps": 1, "guidance_scale": 1.0}}
    card = bundle_card(bundle, {}, [("a", evaluated[1])])
    assert f"**The {BLURRED_MASK} is at least as good as model in" in card
    assert "Skill against the best baseline" in card
    earlier = {name: value for name, value in evaluated[1].items() if name != "scores"}
    assert BLURRED_MASK not in bundle_card(bundle, {}, [("a", earlier)])


def test_a_model_may_not_be_named_like_a_baseline(tiny_bundle, tmp_path):
    store = write_small_store(tmp_path / "store")
    with pytest.raises(EvaluationError, match="used twice"):
        evaluate([EvaluatedModel(BASE_RATE, tiny_bundle)], store, tmp_path / "out")


def test_every_score_has_a_title():
    assert set(TITLES) == {*SCORES, *APPEARANCE, "mse_local"}
