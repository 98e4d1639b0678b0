"""What the panel reads of model bundles, on the bundle that ships and on damaged copies of it."""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from GBMResponseLib.common.Failure import Failure, engineErrors
from GBMResponseLib.model.ModelCatalog import ModelCatalog
from GBMResponseLib.model.ModelDescription import ModelDescription, classLabel
from GBMResponseLib.settings.Choices import ClassMode, ComputeDevice, SamplerPreset, nearestSteps
from GBMResponseLib.settings.PredictionSettings import PredictionSettings

MODELS = Path(__file__).resolve().parents[3] / "GBMResponse" / "Resources" / "Models"
SHIPPED = sorted(path.parent for path in MODELS.glob("*/bundle.json"))[-1]


@pytest.fixture(scope="module")
def shipped():
    return ModelDescription.read(SHIPPED)


@pytest.fixture
def copied(tmp_path):
    return shutil.copytree(SHIPPED, tmp_path / "model")


def edit(folder: Path, change) -> None:
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "bundle.json").write_text(json.dumps(content), encoding="utf-8")


def test_engine_and_panel_read_the_same(shipped):
    from GBMResponseCore.model.bundle import open_bundle

    bundle = open_bundle(SHIPPED)
    assert (shipped.name, shipped.version, shipped.label_dropout) == (bundle.name, bundle.version, bundle.label_dropout)
    assert shipped.schemes == bundle.schemes


def test_class_label_says_months(shipped):
    assert [classLabel(entry) for entry in shipped.classes("2-class")] == [
        "short (up to 13 months)",
        "long (over 13 months)",
    ]


def test_classes_without_known_range_are_shown_by_name(copied):
    """As `import-checkpoint` writes them when no thresholds are given."""

    def forget(content):
        for entries in content["conditioning"]["schemes"].values():
            for entry in entries:
                entry.update(min_days=None, max_days=None)

    edit(copied, forget)
    model = ModelDescription.read(copied)
    assert [classLabel(entry) for entry in model.classes("2-class")] == ["short", "long"]
    assert "2-class: short, long; 4-class: quartile1" in model.card()


@pytest.mark.parametrize(
    "metrics",
    [{"x": 1}, {"table": []}, {"table": {"m": 3}}, {"table": {}, "others": 5}, {"table": {"m": {"metrics": "good"}}}],
)
def test_figures_of_another_form_are_left_out_of_the_card(copied, metrics):
    edit(copied, lambda content: content.update(metrics=metrics))
    assert "Held-out figures" not in ModelDescription.read(copied).card()


def test_card_says_where_a_baseline_wins(copied):
    row = {"m": {"metrics": {"psnr": {"mean": 20.0}}}}
    metrics = {"split": "test", "table": row, "sentences": ["**The blurred copy is at least as good as m in X.**"]}
    edit(copied, lambda content: content.update(metrics=metrics))
    assert "test: The blurred copy is at least as good as m in X." in ModelDescription.read(copied).card()


def test_card_shows_the_baseline_beside_the_model(shipped):
    assert "copy of the pre image" in shipped.card()
    assert shipped.description["training_data"].split(";")[0] in shipped.card()


def test_card_shows_the_figures_of_every_evaluation(copied):
    def table(psnr):
        return {
            "copy of the pre image": {"kind": "baseline", "metrics": {"psnr": {"mean": psnr}, "ssim": {"mean": 0.5}}},
            "VQ-VAE": {"kind": "upper bound", "metrics": {"psnr": {"mean": 99.0}}},
            "perfect": {"kind": "model", "metrics": {"psnr": {"mean": None}, "ssim": {"mean": 1.0}}},
        }

    metrics = {"split": "test", "table": table(21.0), "others": {"Real": {"split": "test", "table": table(23.0)}}}
    edit(copied, lambda content: content.update(metrics=metrics))
    card = ModelDescription.read(copied).card()
    assert "test, copy of the pre image: PSNR 21, SSIM 0.5" in card
    assert "Real, copy of the pre image: PSNR 23, SSIM 0.5" in card
    assert "VQ-VAE" not in card
    assert "test, perfect: SSIM 1" in card


def test_card_escapes_what_the_bundle_says(copied):
    edit(copied, lambda content: content.update(description="<script>x</script>"))
    assert "<script>" not in ModelDescription.read(copied).card()


def test_folder_without_bundle(tmp_path):
    with pytest.raises(Failure) as caught:
        ModelDescription.read(tmp_path)
    assert caught.value.code == "bundle" and "bundle.json" in caught.value.remedy


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema_version": 1}', '{"schema_version": 1, "conditioning": []}']
)
def test_damaged_description_is_refused_as_the_engine_does(copied, text):
    from GBMResponseCore.errors import BundleError
    from GBMResponseCore.model.bundle import open_bundle

    (copied / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(Failure) as caught:
        ModelDescription.read(copied)
    assert caught.value.code == "bundle-schema"
    with pytest.raises(BundleError) as refused:
        open_bundle(copied)
    assert refused.value.code == caught.value.code


def test_future_schema_is_refused(copied):
    edit(copied, lambda content: content.update(schema_version=2))
    with pytest.raises(Failure) as caught:
        ModelDescription.read(copied)
    assert caught.value.code == "bundle-schema"


def verified(folder: Path) -> list[float]:
    """Do what the panel does in turns of the event loop."""
    with engineErrors():
        return list(ModelDescription.read(folder).verification_steps())


def test_verification_accepts_the_shipped_model():
    fractions = verified(SHIPPED)
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)


def test_verification_sees_a_changed_byte(copied):
    path = next(copied.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Failure) as caught:
        verified(copied)
    assert caught.value.code == "bundle-integrity" and path.name in caught.value.message


def test_verification_sees_a_missing_file(copied):
    (copied / "MODEL_CARD.md").unlink()
    with pytest.raises(Failure, match=r"MODEL_CARD\.md"):
        verified(copied)


def test_catalog_lists_shipped_models_and_added_ones(copied):
    catalog = ModelCatalog(MODELS)
    catalog.add(copied)
    catalog.add(copied)
    assert catalog.folders() == [SHIPPED, copied]
    assert catalog.default() == SHIPPED


def test_catalog_takes_a_folder_of_bundles(copied):
    catalog = ModelCatalog(copied / "nothing")
    assert catalog.add(copied.parent).folder == copied
    assert catalog.default() is None


def test_catalog_leaves_damaged_models_out(copied):
    catalog = ModelCatalog(copied.parent)
    (copied / "bundle.json").write_text("{", encoding="utf-8")
    assert catalog.models() == []


@pytest.mark.parametrize(
    ("mode", "scheme", "expected"),
    [
        (ClassMode.auto, "", ["auto"]),
        (ClassMode.predicted, "", ["predicted"]),
        (ClassMode.chosen, "2-class", ["long"]),
        (ClassMode.compareAll, "4-class", ["quartile1", "quartile2", "quartile3", "quartile4"]),
        (ClassMode.compareAll, "none", ["auto"]),
    ],
)
def test_classes_of_a_request(shipped, mode, scheme, expected):
    settings = PredictionSettings(classMode=mode, classScheme=scheme, className="long")
    assert settings.classes(shipped) == expected


@pytest.mark.parametrize(("mode", "expected"), [("predicted", ["predicted"]), ("chosen", ["long"])])
def test_scripts_may_name_choices_by_their_values(shipped, mode, expected):
    settings = PredictionSettings(SHIPPED, classMode=mode, className="long", samplerPreset="paper", device="cuda:1")
    assert settings.classes(shipped) == expected
    assert settings.samplerPreset is SamplerPreset.paper
    assert settings.device == "cuda:1"


@pytest.mark.parametrize("device", [ComputeDevice.cpu, "cpu"])
def test_a_device_of_the_panel_is_one_the_engine_knows(shipped, device):
    settings = PredictionSettings(device=device)
    assert settings.request(shipped, {}, Path("out"), "id")["device"] == "cpu"


def test_an_unknown_choice_is_named_with_the_known_ones():
    with pytest.raises(Failure, match=r"'all' is no choice for classMode.*compareAll"):
        PredictionSettings(classMode="all")


def asked(settings, model):
    """The engine's reading of a request."""
    from GBMResponseCore.request import PredictionRequest

    files = {"image": "a.nrrd", "gtv": "b.nrrd", "follow_up": None}
    message = json.loads(json.dumps(settings.request(model, files, Path("out"), "id")))
    return PredictionRequest.from_message({key: message[key] for key in message if key not in ("type", "id")})


def test_request_is_one_the_engine_accepts(shipped):
    request = asked(PredictionSettings(sliceBatch=0, seed=7, samples=3), shipped)
    assert (request.options.seed, request.options.sample_count, request.options.batch_size) == (7, 3, None)
    assert request.bundle == SHIPPED and request.format == ".nrrd" and not request.montage


def test_nothing_is_said_about_sampling_unless_the_user_chose_it(shipped):
    for settings in (PredictionSettings(), PredictionSettings(guidanceScale=None, steps=None, samplerPreset=None)):
        assert settings.request(shipped, {}, Path("out"), "id")["sampling"] == {}


@pytest.mark.parametrize("form", ["standard", "algorithm2"])
def test_a_model_without_label_dropout_works_as_it_comes(copied, form):
    """Its null class is random: guidance other than 1 would be refused."""
    from GBMResponseCore.request import check_guidance

    scale = 1.0 if form == "standard" else 0.0
    sampling = {"sampler": "ddim", "steps": 50, "guidance_scale": scale, "guidance_form": form, "eta": 1.0}

    def change(content):
        content["conditioning"].update(label_dropout=0.0)
        content.update(sampling=sampling)

    edit(copied, change)
    model = ModelDescription.read(copied)
    options = asked(PredictionSettings(), model).options.with_defaults(vars(model.default_sampling))
    check_guidance(options, model.label_dropout, True)
    assert {name: getattr(options, name) for name in sampling} == sampling


def test_what_the_user_chose_replaces_the_models_own(shipped):
    sampling = PredictionSettings(guidanceScale=1.23456, steps=7).request(shipped, {}, Path("out"), "id")["sampling"]
    assert sampling == {"guidance_scale": 1.235, "guidance_form": "standard", "steps": 7}


@pytest.mark.parametrize("preset", list(SamplerPreset))
def test_preset_is_one_the_engine_accepts_with_any_model(shipped, preset):
    own = {"sampler": "ddim", "steps": 50, "guidance_scale": 1.0, "eta": 1.0}
    sampling = asked(PredictionSettings(samplerPreset=preset), shipped).options.with_defaults(own)
    expected = {"instant": ("ddim", 50, 1.0), "balanced": ("ddim", 50, 1.0), "paper": ("ddim", 200, 0.0)}
    assert (sampling.sampler, sampling.steps, sampling.eta) == expected[preset.value]


@pytest.mark.parametrize("preset, samples", [("instant", 0), ("balanced", 4), ("paper", 1), ("model", 4)])
def test_a_preset_says_how_many_samples_unless_a_script_does(shipped, preset, samples):
    settings = PredictionSettings.fromKeywords({"samplerPreset": preset})
    assert asked(settings, shipped).options.sample_count == samples
    settings = PredictionSettings.fromKeywords({"samplerPreset": preset, "samples": 7})
    assert asked(settings, shipped).options.sample_count == 7


def test_the_presets_are_three_and_the_paper_shows_independent_whole_slices():
    assert [preset.value for preset in SamplerPreset] == ["instant", "balanced", "paper"]
    assert [preset.further() for preset in SamplerPreset] == [{}, {}, {"compose": False}]
    assert SamplerPreset.paper.sampling() == {"sampler": "ddim", "steps": 200, "eta": 0.0, "noise_length": 0.0}


def test_presets_of_earlier_scenes_and_scripts_are_known():
    assert SamplerPreset["model"] is SamplerPreset["fast"] is SamplerPreset.balanced
    assert PredictionSettings(samplerPreset="model").samplerPreset is SamplerPreset.balanced
    with pytest.raises(Failure, match=r"no preset 'fast' any more\. Give balanced, and steps=5"):
        PredictionSettings(samplerPreset="fast")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"guidanceScale": -1.0}, "guidance cannot be -1"),
        ({"samples": -1}, "samples cannot be -1"),
        ({"steps": 150, "samplerPreset": "paper"}, "cannot take 150 steps"),
        ({"className": "", "classMode": "chosen"}, "no name of a class"),
        ({"colour": "red"}, "no setting colour"),
        ({"eta": 2.0}, "eta cannot be 2"),
    ],
)
def test_what_is_not_possible_is_said_before_anything_starts(shipped, values, sentence):
    with pytest.raises(Failure, match=sentence) as caught:
        PredictionSettings.fromKeywords(values).options(shipped)
    assert caught.value.code in ("option", "request") and caught.value.remedy


def test_scripts_may_set_every_option_of_the_engine(shipped):
    from GBMResponseCore.request import PredictionOptions
    from GBMResponseCore.setting import settings

    further = {"precision": "float32", "days_since_rt": 90.0, "eta": 0.5, "samplerPreset": "paper"}
    request = PredictionSettings.fromKeywords(further).request(shipped, {}, Path("out"), "id")
    assert (request["precision"], request["days_since_rt"], request["sampling"]["eta"]) == ("float32", 90.0, 0.5)
    for entry in settings(PredictionOptions):  # also those that come with later versions
        PredictionSettings.fromKeywords({entry.attribute: entry.default})


def test_a_copy_has_all_values():
    settings = PredictionSettings(
        "folder", ClassMode.chosen, "2-class", "long", 3, 1.5, SamplerPreset.paper, 7, 9, ComputeDevice.cpu, 2, False
    )
    values = [getattr(settings, entry.name) for entry in fields(settings)]
    copied = settings.copy()
    assert [getattr(copied, entry.name) for entry in fields(copied)] == values
    defaults = [entry.default for entry in fields(settings)]
    assert all(value != default for value, default in zip(values, defaults, strict=True))


@pytest.mark.parametrize(("steps", "nearest"), [(200, 200), (150, 125), (999, 1000), (1, 1)])
def test_paper_sampler_takes_divisors_of_a_thousand(steps, nearest):
    assert nearestSteps("ddim", steps) == nearest
