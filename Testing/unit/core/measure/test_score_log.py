"""The log of scores: what goes in comes out, and its summaries say what the rows say."""

import csv
import json
import sqlite3

import pytest
from GBMResponseCore.errors import ScoreLogError
from GBMResponseCore.measure.score_log import ScoreLog, summaries, wilson
from GBMResponseCore.outputs.score import write_log


def scored(true=10.0, inside=True, chance=1.0, category="SD", skill=0.2, seed=1, withheld=None):
    value = {"value": skill, "against": "blurred_copy"}
    plan = {"volume_ml": 1.0, "margin_that_covers_mm": {"50%": 2.0, "80%": 4.0, "95%": 8.0}}
    entry = {
        "class": "none", "samples": 4, "seed": seed, "forecasts": {"samples": {"mse": 0.1}},
        "skill": {"samples": {"mse_local": value}, "expected_image": {"mse_local": value}},
        "volume": {
            "samples_ml": [9.0, 10.0, 11.0, 12.0], "inside": dict.fromkeys(("50%", "80%", "95%"), inside), "rank": 1
        },
        "category": {"probabilities": {"SD": chance, "PD": 1 - chance} if chance < 1 else {"SD": 1.0}, "true": category,
                     "brier_score": 0.0},
        "planning": plan,
    }  # fmt: skip
    return {
        "synthetic": True, "scored_utc": f"2026-01-0{seed % 9 + 1}T00:00:00", "registered": True, "withheld": withheld,
        "volume_before_ml": 12.0, "true_volume_ml": true, "true_category": category,
        "true_planning": {**plan, "margin_that_covers_mm": {"50%": 1.0, "80%": 4.0, "95%": 9.0}},
        "classes": {"none": entry},
    }  # fmt: skip


def provenance(image="a" * 64):
    bundle = {"name": "m", "version": "1", "bundle_json_sha256": "b" * 64}
    return {"none": {"bundle": bundle, "inputs_sha256": {"image": image, "GTV": "c", "follow-up": "d"}}}


@pytest.fixture
def log(tmp_path):
    return ScoreLog(tmp_path / "log.sqlite")


def fill(log, entries):
    for number, entry in enumerate(entries):
        log.add(entry, f"case {number}", provenance(f"{number:064d}"))
    return log.rows()


def test_what_goes_in_comes_out(log):
    log.add(scored(), "case A", provenance())
    (row,) = ScoreLog(log.path).rows()
    assert (row.case_label, row.model, row.survival_class, row.withheld) == ("case A", "m 1", "none", None)
    assert row.record["true_volume_ml"] == 10.0
    assert row.record["volume"]["samples_ml"] == [9.0, 10.0, 11.0, 12.0]


def test_a_case_scored_again_replaces_its_row_and_another_seed_does_not(log):
    log.add(scored(true=10), "case A", provenance())
    log.add(scored(true=11), "case A", provenance())
    assert [row.record["true_volume_ml"] for row in log.rows()] == [11]
    log.add(scored(seed=2), "case A", provenance())
    assert len(log.rows()) == 2


def test_another_file_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but text that is long enough to be one" * 40)
    with pytest.raises(ScoreLogError):
        ScoreLog(text)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE patients (name TEXT)")
    connection.commit()
    connection.close()
    before = other.read_bytes()
    with pytest.raises(ScoreLogError, match="another database"):
        ScoreLog(other)
    assert other.read_bytes() == before


def test_a_log_of_a_later_version_is_refused(log):
    connection = sqlite3.connect(log.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ScoreLogError, match="later version"):
        log.rows()


def test_coverage_counts_what_the_intervals_held(log):
    rows = fill(log, [scored(inside=number < 3, withheld="why" if number == 0 else None) for number in range(5)])
    (summary,) = summaries(rows)
    assert (summary["cases"], summary["withheld"]) == (5, 1)
    assert [entry["observed"] for entry in summary["coverage"]] == [0.6] * 3
    assert [entry["observed"] for entry in summary["coverage_shown"]] == [0.5] * 3
    assert [entry["nominal"] for entry in summary["coverage"]] == [0.5, 0.8, 0.95]


def test_reliability_compares_probabilities_with_what_was_so(log):
    rows = fill(log, [scored(chance=0.75, category="SD" if number < 3 else "PD") for number in range(4)])
    low, high = summaries(rows)[0]["reliability"]
    assert (low["nominal"], low["observed"], low["cases"]) == (0.25, 0.25, 4)
    assert (high["nominal"], high["observed"], high["cases"]) == (0.75, 0.75, 4)


def test_skill_and_margins_are_counted(log):
    (summary,) = summaries(fill(log, [scored(skill=skill) for skill in (-0.5, 0.1, 0.3)]))
    samples = next(entry for entry in summary["skill"] if entry["of"] == "samples")
    assert samples["median"] == 0.1 and samples["observed"] == pytest.approx(2 / 3)
    assert {entry["part"]: entry["observed"] for entry in summary["margins"]} == {"50%": 1, "80%": 1, "95%": 0}


def test_models_are_kept_apart(log):
    log.add(scored(), "a", provenance())
    other = provenance()
    other["none"]["bundle"] = {**other["none"]["bundle"], "version": "2", "bundle_json_sha256": "e" * 64}
    log.add(scored(), "a", other)
    assert {entry["model"] for entry in summaries(log.rows())} == {"m 1", "m 2"}


def test_wilsons_interval_is_that_of_the_books():
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0, 1)


def test_page_and_table_hold_the_scores_and_no_hashes_of_patients(log):
    fill(log, [scored(seed=number) for number in range(3)])
    files = write_log(log)
    page = files["log_page"].read_text("utf-8")
    assert "SYNTHETIC" in page and "m 1, class none" in page
    assert page.count("<circle") == 3 + 3 + 1
    assert "These are few cases" in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    rows = list(csv.DictReader(files["log_table"].open(encoding="utf-8")))
    assert [row["case"] for row in rows] == ["case 0", "case 1", "case 2"]
    assert rows[0]["forecasts.samples.mse"] == "0.1"
    assert rows[0]["volume.samples_ml"] == "9.0 10.0 11.0 12.0"
    assert "a" * 64 not in page + json.dumps(rows)


def test_an_empty_log_has_a_page(log):
    assert "Nothing was scored yet." in write_log(log)["log_page"].read_text("utf-8")
