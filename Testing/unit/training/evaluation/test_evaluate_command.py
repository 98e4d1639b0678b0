"""`gbmresponse-train evaluate`."""

import json
import shutil
from pathlib import Path

import pytest
from GBMResponseCore.errors import BundleError, OptionError
from small_store import SPLIT, write_small_store
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining import cli
from GBMResponseTraining.commands.evaluate import known_store, models_of_run, parse_model
from GBMResponseTraining.evaluation.model_predictions import EvaluatedModel


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def run(tiny_bundle, tmp_path):
    """A run with two of the four bundles."""
    for name in ("no-class", "4-class"):
        shutil.copytree(tiny_bundle, tmp_path / "run" / "bundles" / name)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "text, bundle, scheme, source",
    [
        ("a=models/x:2-class:predicted", "models/x", "2-class", "predicted"),
        ("a=models/x:4-class", "models/x", "4-class", "true"),
        ("a=models/x:none", "models/x", None, "none"),
        ("a=models/x:none:none", "models/x", None, "none"),
        (r"a=C:\models\x:2-class:true", r"C:\models\x", "2-class", "true"),
    ],
)
def test_models_are_named_with_scheme_and_source(text, bundle, scheme, source):
    assert parse_model(text) == EvaluatedModel("a", Path(bundle), scheme, source)


def test_without_scheme_the_bundle_s_first_is_taken(tiny_bundle):
    assert parse_model(f"a={tiny_bundle}") == EvaluatedModel("a", tiny_bundle, "2-class", "true")


@pytest.mark.parametrize("text", ["models/x", "=models/x", "a="])
def test_other_forms_are_refused(text):
    with pytest.raises(OptionError):
        parse_model(text)


def test_a_bundle_that_is_not_there_is_told():
    with pytest.raises(BundleError):
        parse_model("a=absent")


def test_a_run_has_the_configurations_that_were_exported(run):
    assert models_of_run(run) == [
        EvaluatedModel("no class", run / "bundles" / "no-class"),
        EvaluatedModel("4-class", run / "bundles" / "4-class", "4-class", "true"),
    ]


def test_one_network_beside_the_four_has_rows_of_its_own(run, tiny_bundle):
    both = shutil.copytree(tiny_bundle, run / "bundles" / "2-and-4-class")
    assert models_of_run(run)[2:] == [
        EvaluatedModel("no class (one network)", both),
        EvaluatedModel("predicted 2-class (one network)", both, "2-class", "predicted"),
        EvaluatedModel("2-class (one network)", both, "2-class", "true"),
        EvaluatedModel("4-class (one network)", both, "4-class", "true"),
    ]


def test_a_run_without_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="has no bundle"):
        models_of_run(tmp_path)


def test_the_command_writes_into_the_run(store, run, capsys):
    assert cli.main(["evaluate", str(store), "--run", str(run), "--max-slices", "1", "--steps", "1"]) == 0
    report = json.loads((run / "evaluation" / "report.json").read_text("utf-8"))
    assert [model["sampling"]["steps"] for model in report["models"]] == [1, 1]
    assert "| copy of the pre image |" in capsys.readouterr().out


def test_the_baselines_of_a_run_know_the_rates_of_its_own_store(store, run, tmp_path, capsys):
    other = write_small_store(tmp_path / "other", dict.fromkeys(SPLIT, "test"))
    (run / "store.json").write_text(json.dumps({"store": str(store)}), encoding="utf-8")
    # Ids of the run's store in another data set are other people.
    patients = [{**record, "dataset": "other"} for record in json.loads((other / "patients.json").read_text("utf-8"))]
    (other / "patients.json").write_text(json.dumps(patients), encoding="utf-8")
    shutil.rmtree(run / "bundles" / "4-class")
    options = ["--samples", "2", "--max-slices", "1", "--steps", "1", "--figure-slices", "1"]
    assert cli.main(["evaluate", str(other), "--run", str(run), *options]) == 0
    kept = json.loads((run / "evaluation" / "baselines.json").read_text("utf-8"))
    assert (kept["training"]["split"], kept["training"]["patients"]) == ("train", 2)
    assert "is at least as good as no class in" in capsys.readouterr().out


def test_a_run_whose_store_is_gone_takes_the_rates_of_the_store_at_hand(store, run):
    (run / "store.json").write_text(json.dumps({"store": "/nowhere"}), encoding="utf-8")
    assert known_store(run) is None
    assert known_store(None) is None
    (run / "store.json").write_text(json.dumps({"store": str(store)}), encoding="utf-8")
    assert known_store(run) == store


def test_options_reach_the_evaluation(store, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle")
    arguments = ["--model", f"m={bundle}:2-class", "--max-slices", "1", "--guidance", "3", "--seed", "7"]
    arguments += ["--metrics", "authors", "--samples", "2", "--figure-slices", "2", "--data", "phantoms"]
    assert cli.main(["evaluate", str(store), str(tmp_path / "out"), *arguments, "--guidance-sweep", "0", "1"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["metrics"] == "authors"
    assert (report["options"]["seed"], report["options"]["samples"]) == (7, 2)
    assert report["models"][0]["sampling"]["guidance_scale"] == 3.0
    assert len(report["figure4"]["slices"]) == 2
    assert [row["guidance_scale"] for row in report["guidance_sweep"]["rows"]] == [0.0, 1.0]
    assert report["data"]["description"] == "phantoms"


def test_without_a_model_the_command_says_what_to_do(store, tmp_path, capsys):
    assert cli.main(["evaluate", str(store), str(tmp_path / "out")]) == 81
    assert "--model" in capsys.readouterr().err


def test_without_a_folder_the_command_says_what_to_do(store, tiny_bundle, capsys):
    assert cli.main(["evaluate", str(store), "--model", f"m={tiny_bundle}"]) == 34
    assert "no folder for the results" in capsys.readouterr().err
