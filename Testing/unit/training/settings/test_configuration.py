"""Settings of a training run."""

import pytest
import yaml

from GBMResponseTraining.settings.networks import ConfigurationError, Training
from GBMResponseTraining.settings.reader import load_configuration, parse_configuration, presets


@pytest.mark.parametrize("name", presets())
def test_a_snapshot_repeats_a_preset(name, tmp_path):
    configuration = load_configuration(name)
    path = tmp_path / "snapshot.yaml"
    path.write_text(yaml.safe_dump(configuration.to_dict()), encoding="utf-8")
    assert load_configuration(path) == configuration


def test_the_presets_of_the_issue_exist():
    assert {"paper", "small", "demo"} <= set(presets())


def test_an_override_replaces_one_setting():
    configuration = load_configuration("demo", ["diffusion.label_dropout=0.3", "name=own"])
    assert configuration.diffusion.label_dropout == 0.3
    assert configuration.name == "own"


def test_epochs_replace_steps():
    training = load_configuration("demo", ["diffusion.training.epochs=7"]).diffusion.training
    assert (training.epochs, training.steps) == (7, None)


def test_an_exponent_without_dot_is_a_number():
    assert (
        load_configuration("demo", ["diffusion.training.learning_rate=1e-4"]).diffusion.training.learning_rate == 1e-4
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nonsense", "key=value"),
        ("diffusion.color=red", "Unknown setting diffusion.color"),
        ("color=red", "Unknown setting color"),
        ("diffusion.fold=two", "diffusion.fold must be of type int"),
        ("diffusion.fold=true", "diffusion.fold must be of type int"),
        ("diffusion.prediction=x0", "v_prediction, epsilon"),
        ("diffusion.label_dropout=1.5", "label_dropout"),
        ("diffusion.attention_levels=[7]", "missing level"),
        ("diffusion.training.batch_size=0", "batch_size"),
        ("diffusion.training=3", "must be a mapping"),
        ("classifier.layers=[1,2]", "needs 4 values"),
        ("classifier.layers=3", "must be a list"),
        ("image_autoencoder.channels=[8,8]", "latents of one size"),
        ("image_autoencoder.channels=[9,9,9]", "multiples of groups"),
        ("precision=int8", "precision"),
        ("sampling={sampler: euler}", "sampling"),
        ("name=3", "name must be of type str"),
    ],
)
def test_a_wrong_setting_is_named(override, message):
    with pytest.raises(ConfigurationError, match=f"(?i){message}"):
        load_configuration("demo", [override])


def test_a_missing_setting_is_named():
    values = load_configuration("demo").to_dict()
    del values["diffusion"]["training"]
    with pytest.raises(ConfigurationError, match=r"diffusion\.training is missing"):
        parse_configuration(values)


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigurationError) as raised:
        load_configuration("huge")
    assert "demo" in raised.value.remedy


def test_broken_yaml_is_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        load_configuration(path)


def test_epochs_become_steps_of_all_devices():
    training = Training(batch_size=30, learning_rate=1e-4, epochs=200, accumulate=2)
    assert training.optimizer_steps(6000, devices=2) == 200 * 6000 // 120


def test_neither_steps_nor_epochs_is_refused():
    with pytest.raises(ConfigurationError, match="epochs or steps"):
        Training(batch_size=1, learning_rate=1.0)


@pytest.mark.parametrize("preset", ["paper", "smoke"])
def test_an_override_changes_the_autoencoder_that_it_names(preset):
    settings = load_configuration(preset, ["image_autoencoder.codes=77", "image_autoencoder.training.steps=9"])
    assert settings.image_autoencoder.codes == 77
    assert settings.gtv_autoencoder == load_configuration(preset).gtv_autoencoder
