"""One network for all rows of Table 1, its name, and its model card from several evaluations."""

import json
import shutil

import pytest
from GBMResponseCore.errors import MissingFileError, OptionError
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.probability import ProbabilityRule
from GBMResponseCore.model.bundle import open_bundle
from scans import write_scans
from small_store import SPLIT, write_small_store

from GBMResponseTraining import cli
from GBMResponseTraining.bundles.stage import evaluation_metrics
from GBMResponseTraining.commands.card import read_reports
from GBMResponseTraining.store.splits import LeakageError

ROWS = ["no class", "predicted 2-class", "2-class", "4-class"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with one exported network for both schemes, evaluated."""
    folder = tmp_path_factory.mktemp("card")
    store = write_small_store(folder / "store")
    new = ["--run", str(folder / "run"), "--store", str(store), "--preset", "smoke", "--accelerator", "cpu"]
    assert cli.main(["export", "2-and-4-class", "--name", "gbm-tiny-1", *new]) == 0
    evaluate = ["evaluate", str(store), "--run", str(folder / "run"), "--max-slices", "1", "--steps", "1"]
    evaluate += ["--figure-slices", "1"]
    assert cli.main([*evaluate, "--data", "phantoms"]) == 0
    return folder / "run"


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run, to be changed."""
    return shutil.copytree(run, tmp_path / "run")


def report_of(run):
    return json.loads((run / "evaluation" / "report.json").read_text("utf-8"))


def card(run, *reports):
    words = [word for report in reports for word in ("--report", report)]
    return cli.main(["card", "2-and-4-class", "--run", str(run), *words])


def folder(run):
    return run / "bundles" / "2-and-4-class"


def test_one_network_makes_all_rows_of_table_1(run):
    report = report_of(run)
    assert [model["name"] for model in report["models"]] == ROWS
    assert len({model["bundle"]["networks_sha256"] for model in report["models"]}) == 1
    assert [model["scheme"] for model in report["models"]] == [None, "2-class", "2-class", "4-class"]


def test_the_evaluation_of_a_run_describes_the_bundle(run):
    text = (folder(run) / "MODEL_CARD.md").read_text("utf-8")
    assert f"Rows of this bundle: {', '.join(ROWS)}." in text
    assert text.count("## Held-out figures\n") == 1
    assert open_bundle(folder(run)).description["metrics"].keys() == {"split", "table", "sentences"}


def test_the_classifier_of_the_network_is_told_once_per_scheme(run):
    text = (folder(run) / "MODEL_CARD.md").read_text("utf-8")
    assert text.count("Survival classifier, 2-class") == 1


def test_the_bundle_keeps_its_name(run):
    assert open_bundle(folder(run)).name == "gbm-tiny-1"
    assert (folder(run) / "MODEL_CARD.md").read_text("utf-8").startswith("# gbm-tiny-1 ")


def test_the_default_guidance_is_that_of_the_last_export(copied):
    assert cli.main(["export", "2-and-4-class", "--guidance", "3.5", "--run", str(copied), "--accelerator", "cpu"]) == 0
    assert open_bundle(folder(copied)).default_sampling.guidance_scale == 3.5


def test_a_calibrated_bundle_says_how_its_probability_is_made_and_wants_to_be_evaluated_again(copied, capsys):
    assert cli.main(["calibrate", "2-and-4-class", "--run", str(copied), "--samples", "2"]) == 0
    said = capsys.readouterr().out
    rule = open_bundle(folder(copied)).enhancement_probability
    assert f"Probability of enhancement: {ProbabilityRule(**rule)}." in said
    factor = open_bundle(folder(copied)).volume_interval_factor
    assert f"Intervals of volumes: {factor:g} times as wide as the samples say." in said
    assert f"Probability of enhancement: {ProbabilityRule(**rule)}, as fits" in (
        folder(copied) / "MODEL_CARD.md"
    ).read_text("utf-8")
    assert card(copied, f"Phantoms={copied / 'evaluation'}") == OptionError.exit_code
    assert "was calibrated after the report" in capsys.readouterr().err


def test_validation_patients_of_another_store_calibrate(copied, tmp_path, capsys):
    others = {name: "validation" if name in ("P3", "P4", "P5") else "test" for name in SPLIT}
    store = write_small_store(tmp_path / "store", others, **{name: {"dataset": "Elsewhere"} for name in SPLIT})
    command = ["calibrate", "2-and-4-class", "--run", str(copied), "--samples", "2", "--store"]
    leaking = write_small_store(tmp_path / "leaking", dict.fromkeys(SPLIT, "validation"))
    assert cli.main([*command, str(leaking)]) == LeakageError.exit_code
    shutil.rmtree(leaking)
    assert cli.main([*command, str(store)]) == 0
    assert "on 3 validation patients" in capsys.readouterr().out


def test_a_fitted_segmenter_is_in_the_bundle_which_wants_to_be_calibrated_and_evaluated_again(copied, tmp_path, capsys):
    assert cli.main(["calibrate", "2-and-4-class", "--run", str(copied), "--samples", "2"]) == 0
    table = write_scans(tmp_path / "scans", "one")
    assert cli.main(["segmenter", "2-and-4-class", "--run", str(copied), "--scans", str(table)]) == 0
    assert "scans/scans.csv: mean Dice 0." in capsys.readouterr().out
    bundle = open_bundle(folder(copied))
    assert EnhancementRule.with_head(bundle.enhancement_head).head is not None
    assert ProbabilityRule(**bundle.enhancement_probability) == ProbabilityRule()
    assert "learned 1 scans of a table without sources." in bundle.description["training_data"]
    assert "found by a network of 321 weights" in (folder(copied) / "MODEL_CARD.md").read_text("utf-8")
    assert card(copied, f"Phantoms={copied / 'evaluation'}") == OptionError.exit_code
    assert "Enhancing tissue is found otherwise in the report" in capsys.readouterr().err


def test_guidance_of_a_model_without_class_is_refused_before_training(tmp_path, capsys):
    store = write_small_store(tmp_path / "store")
    new = ["--run", str(tmp_path / "run"), "--store", str(store), "--preset", "smoke"]
    assert cli.main(["export", "no-class", "--guidance", "2", *new]) == 33
    assert not (tmp_path / "run" / "image_autoencoder").exists()
    assert "guidance" in capsys.readouterr().err.lower()


def test_a_name_that_no_bundle_can_have_is_refused_before_training(tmp_path, capsys):
    store = write_small_store(tmp_path / "store")
    new = ["--run", str(tmp_path / "run"), "--store", str(store), "--preset", "smoke"]
    assert cli.main(["export", "no-class", "--name", "a b", *new]) == 34
    assert not (tmp_path / "run").exists()
    assert "'a b'" in capsys.readouterr().err


def test_every_report_is_a_section_of_the_card(copied, tmp_path):
    other = report_of(copied)
    other["data"]["description"] = "another cohort"
    (tmp_path / "other.json").write_text(json.dumps(other), encoding="utf-8")
    assert card(copied, f"Phantoms={copied / 'evaluation'}", f"Others={tmp_path / 'other.json'}") == 0
    text = (folder(copied) / "MODEL_CARD.md").read_text("utf-8")
    first, second = text.index("## Held-out figures: Phantoms\n"), text.index("## Held-out figures: Others\n")
    assert first < text.index("Data: phantoms, slice store") < second < text.index("Data: another cohort, slice store")


def test_the_bundle_holds_the_tables_of_all_reports(copied, tmp_path):
    shutil.copytree(copied / "evaluation", tmp_path / "again")
    assert card(copied, f"Phantoms={copied / 'evaluation'}", f"Others={tmp_path / 'again'}") == 0
    metrics = open_bundle(folder(copied)).description["metrics"]
    expected = evaluation_metrics(report_of(copied))
    assert metrics == {**expected, "title": "Phantoms", "others": {"Others": expected}}


def test_rows_of_other_models_are_not_held_to_be_the_bundles(copied):
    report = report_of(copied)
    report["models"][1]["bundle"]["name"] = "other"
    (copied / "evaluation" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert card(copied, f"Phantoms={copied / 'evaluation'}") == 0
    foreign = {"predicted 2-class", "predicted 2-class, expected image"}
    assert foreign <= report["table"].keys()
    assert open_bundle(folder(copied)).description["metrics"]["table"].keys() == report["table"].keys() - foreign


def test_a_report_whose_baselines_were_tuned_as_they_used_to_be_is_refused(copied, capsys):
    report = report_of(copied)
    report["scores"] = {"tuning": None, "rows": {}}
    (copied / "evaluation" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert card(copied, f"Phantoms={copied / 'evaluation'}") == 34
    assert "older version, whose baselines were weaker" in capsys.readouterr().err


def test_a_report_of_other_networks_is_refused(copied, capsys):
    report = report_of(copied)
    for model in report["models"]:
        model["bundle"]["networks_sha256"] = "0" * 64
    (copied / "evaluation" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    before = (folder(copied) / "MODEL_CARD.md").read_bytes()
    assert card(copied, f"Phantoms={copied / 'evaluation'}") == 34
    assert "of other networks" in capsys.readouterr().err
    assert (folder(copied) / "MODEL_CARD.md").read_bytes() == before


def test_a_report_of_another_bundle_is_refused(copied, capsys):
    report = report_of(copied)
    for model in report["models"]:
        model["bundle"]["name"] = "other"
    (copied / "evaluation" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert card(copied, f"Phantoms={copied / 'evaluation'}") == 34
    assert "has no row of the bundle gbm-tiny-1" in capsys.readouterr().err


def test_a_bundle_that_was_not_exported_is_told(run, capsys):
    words = ["card", "no-class", "--run", str(run), "--report", f"Phantoms={run / 'evaluation'}"]
    assert cli.main(words) == 34
    assert "has no bundle no-class" in capsys.readouterr().err


@pytest.mark.parametrize("texts", [["a"], ["=a"], ["a="]])
def test_other_forms_of_a_report_are_refused(texts):
    with pytest.raises(OptionError, match="Cannot read"):
        read_reports(texts)


def test_titles_must_differ(run):
    with pytest.raises(OptionError, match="one title"):
        read_reports([f"a={run / 'evaluation'}"] * 2)


def test_a_missing_report_is_told(tmp_path):
    with pytest.raises(MissingFileError):
        read_reports([f"a={tmp_path}"])


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"split": "test"}'])
def test_a_file_that_is_no_report_is_told(text, tmp_path):
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match="no report"):
        read_reports([f"a={tmp_path}"])


def test_a_held_out_store_with_the_run_s_ids_is_evaluated(copied, tmp_path):
    records = {name: {"dataset": "another cohort"} for name in SPLIT}
    store = write_small_store(tmp_path / "store", dict.fromkeys(SPLIT, "test"), **records)
    words = ["evaluate", str(store), str(tmp_path / "out"), "--run", str(copied), "--max-slices", "1", "--steps", "1"]
    words += ["--figure-slices", "1"]
    assert cli.main(words) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["data"]["patients"] == 6
    assert {model["training_split_checked"] for model in report["models"]} == {True}
    assert any(note.startswith("6 ids of this store also occur") for note in report["notes"])


def test_patients_whom_the_image_autoencoder_saw_are_told(copied, tmp_path):
    records = {name: {"dataset": "real scans"} for name in SPLIT}
    store = write_small_store(tmp_path / "store", dict.fromkeys(SPLIT, "test"), **records)
    path = copied / "store.json"
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(content | {"extra_images": [str(store)]}), encoding="utf-8")
    words = ["evaluate", str(store), str(tmp_path / "out"), "--run", str(copied), "--max-slices", "1", "--steps", "1"]
    words += ["--figure-slices", "1"]
    assert cli.main(words) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert any(note.startswith("Slices of 6 of these patients were among the extra images") for note in report["notes"])
