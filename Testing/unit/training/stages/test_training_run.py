"""What cannot work is said before anything is trained."""

import numpy as np
import pytest
from small_file_limit import small_file_limit
from small_store import SPLIT, write_small_store
from smoke_run import smoke_run as start

from GBMResponseTraining.bundles.stage import training_data
from GBMResponseTraining.models.lpips import BACKBONE_VARIABLE
from GBMResponseTraining.stages.training_run import TrainingRun
from GBMResponseTraining.store.slice_store import open_store, read_patients


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def unknown_survival(tmp_path_factory):
    unknown = {patient: {"survival_days": None} for patient in SPLIT}
    return write_small_store(tmp_path_factory.mktemp("unknown") / "store", **unknown)


@pytest.mark.parametrize(
    "setting",
    [
        "image_autoencoder.crop=128",
        "gtv_autoencoder.crop=30",
        "classifier.pooling=65",
        "diffusion.fold=3",
    ],
)
def test_settings_that_do_not_fit_the_slices_are_refused_before_training(setting, store, tmp_path, capsys):
    assert start(store, tmp_path / "run", "train", "diffusion", "no-class", settings=[setting]) == 50
    assert not (tmp_path / "run" / "image_autoencoder").exists()
    assert "Error (configuration)" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["train", "diffusion", "no-class"], ["export", "no-class"], ["experiment"]])
def test_days_without_class_are_refused_before_training(command, store, tmp_path):
    assert start(store, tmp_path / "run", *command, settings=["diffusion.days_since_rt=true"]) == 50
    assert not (tmp_path / "run" / "image_autoencoder").exists()


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--evaluation-split", "tset"], []),
        (["--max-slices", "1"], ["diffusion.neighbor_slices=1"]),
        (["--nodes", "2"], []),
    ],
)
def test_an_experiment_that_could_not_end_does_not_begin(words, settings, store, tmp_path):
    assert start(store, tmp_path / "run", "experiment", *words, settings=settings) == 34
    assert not (tmp_path / "run" / "image_autoencoder").exists()


def test_an_experiment_without_test_patients_does_not_begin(tmp_path):
    split = {patient: name.replace("test", "train") for patient, name in SPLIT.items()}
    assert start(write_small_store(tmp_path / "store", split), tmp_path / "run", "experiment") == 34
    assert not (tmp_path / "run" / "image_autoencoder").exists()


@pytest.fixture
def extra_run(store, tmp_path):
    """A run that began with extra images, and that store of theirs."""
    extra = write_small_store(tmp_path / "extra")
    run = tmp_path / "run"
    assert start(store, run, "train", "image-autoencoder", "--extra-images", extra) == 0
    return run, extra


def test_a_known_run_keeps_its_extra_images(store, extra_run):
    run, extra = extra_run
    assert TrainingRun.reopen(run).extra_image_folders == [extra.resolve()]


def test_a_known_run_refuses_other_extra_images(store, extra_run, tmp_path, capsys):
    run, _ = extra_run
    other = write_small_store(tmp_path / "other")
    assert start(store, run, "train", "gtv-autoencoder", "--extra-images", other) == 34
    assert "other extra images" in capsys.readouterr().err


def test_the_bundle_says_whose_images_were_extra(store, extra_run):
    run, extra = extra_run
    ids = [record["id"] for record in read_patients(extra)]
    assert f"also learned {2 * len(open_store(extra))} slices of {', '.join(ids)}" in training_data(
        TrainingRun.reopen(run)
    )


def test_extra_images_of_another_size_are_refused(store, tmp_path, capsys):
    extra = write_small_store(tmp_path / "extra")
    for name in ("pre", "post", "gtv"):
        np.save(extra / f"{name}.npy", np.load(extra / f"{name}.npy")[:, ::2, ::2])
    assert start(store, tmp_path / "run", "train", "image-autoencoder", "--extra-images", extra) == 50
    assert "differ in size" in capsys.readouterr().err


def test_an_experiment_is_not_started_by_torchrun(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert start(store, tmp_path / "run", "experiment") == 34


def test_a_missing_accelerator_is_reported(store, tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this computer has one")
    assert start(store, tmp_path / "run", "train", "image-autoencoder", accelerator="gpu") == 35


def test_the_card_says_that_the_perceptual_loss_was_left_out(store, tmp_path, monkeypatch):
    monkeypatch.delenv(BACKBONE_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    settings = ["image_autoencoder.perceptual_weight=0.1"]
    assert start(store, tmp_path / "run", "export", "no-class", settings=settings) == 0
    card = (tmp_path / "run" / "bundles" / "no-class" / "MODEL_CARD.md").read_text("utf-8")
    assert "without the perceptual loss of the configuration, whose backbone was missing: image_autoencoder." in card


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_is_too_full_for_logs_is_reported_once(store, tmp_path, capsys):
    with small_file_limit(20_000):
        assert start(store, tmp_path / "run", "train", "image-autoencoder") == 21
    assert "Traceback" not in capsys.readouterr().err
    assert start(store, tmp_path / "run", "train", "image-autoencoder") == 0


def test_a_run_does_not_go_on_with_another_split(tmp_path, capsys):
    store = write_small_store(tmp_path / "store")
    assert start(store, tmp_path / "run", "train", "gtv-autoencoder") == 0
    write_small_store(store, SPLIT | {"P4": "train", "P1": "test"})
    assert start(store, tmp_path / "run", "train", "classifier") == 45
    assert "has changed" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_other_patients(tmp_path):
    store = write_small_store(tmp_path / "store")
    assert start(store, tmp_path / "run", "train", "gtv-autoencoder") == 0
    write_small_store(store, P1={"survival_days": 5.0})
    assert start(store, tmp_path / "run", "train", "classifier") == 45


def test_a_split_without_training_patients_is_refused(tmp_path):
    store = write_small_store(tmp_path / "store", dict.fromkeys(SPLIT, "test"))
    assert start(store, tmp_path / "run", "train", "image-autoencoder") == 45


def test_classes_without_any_known_survival_are_refused_before_training(unknown_survival, tmp_path):
    assert start(unknown_survival, tmp_path / "run", "experiment") == 45
    assert not (tmp_path / "run" / "image_autoencoder").exists()


def test_without_any_known_survival_the_model_without_class_is_trained_and_evaluated(unknown_survival, tmp_path):
    assert start(unknown_survival, tmp_path / "run", "experiment", "--configurations", "no-class") == 0
    assert "no class" in (tmp_path / "run" / "evaluation" / "table1.md").read_text("utf-8")


def test_a_classifier_needs_two_patients_of_known_class(tmp_path, capsys):
    store = write_small_store(tmp_path / "store", P1={"survival_days": None})
    assert start(store, tmp_path / "run", "train", "classifier") == 45
    assert "1 training patients" in capsys.readouterr().err
