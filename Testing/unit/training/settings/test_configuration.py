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
        ("image_autoencoder.gain=[1.1,0.9]", "ascending factors"),
        ("classifier.gain=[0,1]", "ascending factors"),
        ("classifier.label_smoothing=1", "label_smoothing"),
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


def test_the_paper_preset_sees_and_learns_what_the_paper_says():
    configuration = load_configuration("paper")
    assert configuration.image_autoencoder.gain == configuration.classifier.gain == (1.0, 1.0)
    assert (configuration.classifier.with_gtv, configuration.classifier.label_smoothing) == (False, 0.0)
    assert configuration.image_autoencoder.crop is None
    assert not configuration.diffusion.even_time_steps
    assert (configuration.diffusion.prediction, configuration.diffusion.predict_change) == ("epsilon", False)
    assert configuration.sampling["noise_length"] == 0.0


# Phases

CROPS = {"network": "image_autoencoder", "name": "crops", "settings": {"crop": 64, "training": {"epochs": 2}}}
WHOLE = {"quantize_from": 0.0, "crop": None}


def with_phases(*phases, **image):
    values = load_configuration("smoke").to_dict()
    return parse_configuration(
        {**values, "image_autoencoder": {**values["image_autoencoder"], **WHOLE, **image}, "phases": list(phases)}
    )


def test_a_phase_has_the_values_of_the_section_where_it_states_none():
    configuration = with_phases({**CROPS, "extra_images_share": 0.5})
    (name, first), (_, last) = configuration.phases_of("image_autoencoder")
    assert name == "crops"
    assert (first.image_autoencoder.crop, last.image_autoencoder.crop) == (64, None)
    assert first.image_autoencoder.codes == last.image_autoencoder.codes
    assert (first.image_autoencoder.training.epochs, first.image_autoencoder.training.steps) == (2, None)
    assert first.image_autoencoder.training.batch_size == last.image_autoencoder.training.batch_size
    assert (first.extra_images_share, last.extra_images_share) == (0.5, 0.25)
    assert [name for name, _ in configuration.phases_of("diffusion")] == [None]


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ({**CROPS, "network": "classifier"}, "must be one of image_autoencoder"),
        ({**CROPS, "name": "../crops"}, "no name of a folder"),
        ({**CROPS, "settings": {"codes": 16}}, "another network"),
        ({**CROPS, "settings": {"colors": 16}}, r"phases\[0\].settings.colors"),
        ({**CROPS, "color": 16}, r"phases\[0\].color"),
        ({**CROPS, "settings": 3}, "must be a mapping"),
        ("crops", "must be a mapping"),
        ({"network": "diffusion", "name": "x", "settings": {"predict_change": False}}, "another network"),
    ],
)
def test_a_wrong_phase_is_named(phase, message):
    with pytest.raises(ConfigurationError, match=message):
        with_phases(phase)


def test_two_phases_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match="one name"):
        with_phases(CROPS, CROPS)


def test_codes_that_a_phase_left_need_no_filling():
    with pytest.raises(ConfigurationError, match="follows a phase: quantize_from must be 0"):
        with_phases(CROPS, quantize_from=0.5)


def test_the_shipped_recipe():
    configuration = load_configuration("shipped")
    (image,) = [entry.image_autoencoder for _, entry in configuration.phases_of("image_autoencoder")]
    assert (image.architecture, image.crop, image.training.steps) == ("continuous", 96, 3000)
    (diffusion,) = [entry.diffusion for _, entry in configuration.phases_of("diffusion")]
    assert (diffusion.window, diffusion.coarse_first, diffusion.training.steps) == (128, 0.5, 8500)
