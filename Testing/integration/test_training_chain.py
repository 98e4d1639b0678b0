"""The whole recipe in miniature: simulate, train every network, export, evaluate, predict with the result."""

import json

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli as predict_cli
from GBMResponseCore.bundle import open_bundle
from phantom_anatomy import write_egg_anatomy

from GBMResponseTraining import cli, demo_bundle


@pytest.fixture(scope="module")
def anatomies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anatomies")
    write_egg_anatomy(folder)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Two "real" pairs, so that registration and the table on real cases run too."""
    folder = tmp_path_factory.mktemp("real")
    size, spacing = (96, 96, 8), (2.0, 2.0, 10.0)
    for name in ("01", "05"):
        (folder / name).mkdir()
        for time in ("pre", "post"):
            sitk.WriteImage(phantoms.head(size, spacing), str(folder / name / f"{time}_t1gd.nii.gz"))
        sitk.WriteImage(phantoms.gtv(size, spacing), str(folder / name / "pre_tumour.nii.gz"))
    return folder


def arguments(anatomies, out, *extra):
    return ["demo-bundle", "--recipe", "smoke", "--anatomies", str(anatomies), "--out", str(out), *map(str, extra)]


@pytest.fixture(scope="module")
def run_folder(anatomies, real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    assert cli.main(arguments(anatomies, folder, "--real", real, "--processes", 1)) == 0
    return folder


def test_the_bundle_is_complete_and_verified(run_folder):
    bundle = open_bundle(run_folder / "bundle")
    assert set(bundle.schemes) == {"2-class", "4-class"}
    assert bundle.label_dropout > 0
    bundle.load_networks()


def test_the_card_shows_the_copy_baseline_and_says_synthetic(run_folder):
    card = (run_folder / "bundle" / "MODEL_CARD.md").read_text("utf-8")
    assert card.count("copy of the pre image") == 2
    assert "synthetic" in card
    assert "cases 05" in card


def test_the_figures_are_stored_with_the_bundle(run_folder):
    metrics = open_bundle(run_folder / "bundle").description["metrics"]
    assert metrics["simulated"]["patients"] == 2
    assert metrics["real"]["cases"] == ["05"]


def test_the_bundle_predicts_a_case(run_folder, tmp_path):
    size, spacing = (128, 128, 6), (1.0, 1.0, 8.0)
    image, gtv = tmp_path / "image.nrrd", tmp_path / "gtv.nrrd"
    sitk.WriteImage(phantoms.head(size, spacing, centre=phantoms.GTV_CENTRE), str(image))
    sitk.WriteImage(phantoms.gtv(size, spacing, centre=phantoms.GTV_CENTRE), str(gtv))
    command = ["predict", "--image", image, "--gtv", gtv, "--out", tmp_path / "out", "--bundle", run_folder / "bundle"]
    assert predict_cli.main([str(part) for part in command]) == 0
    record = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    assert record["bundle"]["name"] == "gbm-response-smoke"


def test_a_finished_run_does_not_train_again(run_folder, anatomies, real, monkeypatch):
    import lightning

    monkeypatch.setattr(lightning.Trainer, "fit", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(demo_bundle, "evaluate", lambda *_: pytest.fail("evaluated again"))
    before = (run_folder / "bundle" / "bundle.json").read_bytes()
    assert cli.main(arguments(anatomies, run_folder, "--real", real)) == 0
    assert (run_folder / "bundle" / "bundle.json").read_bytes() == before


def test_a_folder_of_another_recipe_is_refused(run_folder, anatomies, capsys):
    assert cli.main(arguments(anatomies, run_folder)) == 34
    assert "another recipe" in capsys.readouterr().err


def test_missing_anatomies_are_named(tmp_path, capsys):
    assert cli.main(arguments(tmp_path, tmp_path / "out")) == 34
    assert "egg.npz" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
