"""What the panel reads of model bundles, on the bundle that ships and on damaged copies of it."""

import json
import shutil
from pathlib import Path

import pytest
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.model.ModelCatalog import ModelCatalog
from GBMResponseLib.model.ModelDescription import ModelDescription
from GBMResponseLib.model.ModelVerification import verificationSteps
from GBMResponseLib.settings.Choices import ClassMode, ComputeDevice, SamplerPreset
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
    assert (shipped.name, shipped.version, shipped.labelDropout) == (bundle.name, bundle.version, bundle.label_dropout)
    assert {name: [entry.name for entry in classes] for name, classes in shipped.schemes.items()} == {
        name: [entry.name for entry in scheme.classes] for name, scheme in bundle.schemes.items()
    }


def test_class_label_says_months(shipped):
    assert [entry.label for entry in shipped.schemes["2-class"]] == [
        "short (up to 13 months)",
        "long (over 13 months)",
    ]


def test_card_shows_the_baseline_beside_the_model(shipped):
    assert "copy of the pre image" in shipped.card()
    assert shipped.trainingData.split(";")[0] in shipped.card()


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
def test_damaged_description(copied, text):
    (copied / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(Failure) as caught:
        ModelDescription.read(copied)
    assert caught.value.code == "bundle"


def test_future_schema_is_refused(copied):
    edit(copied, lambda content: content.update(schema_version=2))
    with pytest.raises(Failure) as caught:
        ModelDescription.read(copied)
    assert caught.value.code == "bundle-schema"


def test_verification_accepts_the_shipped_model(shipped):
    fractions = list(verificationSteps(shipped))
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)


def test_verification_sees_a_changed_byte(copied):
    path = next(copied.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Failure) as caught:
        list(verificationSteps(ModelDescription.read(copied)))
    assert caught.value.code == "bundle-integrity" and path.name in caught.value.message


def test_verification_sees_a_missing_file(copied):
    (copied / "MODEL_CARD.md").unlink()
    with pytest.raises(Failure, match=r"MODEL_CARD\.md"):
        list(verificationSteps(ModelDescription.read(copied)))


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
        (ClassMode.predicted, "", ["predicted"]),
        (ClassMode.chosen, "2-class", ["long"]),
        (ClassMode.compareAll, "4-class", ["quartile1", "quartile2", "quartile3", "quartile4"]),
        (ClassMode.compareAll, "none", ["predicted"]),
    ],
)
def test_classes_of_a_request(shipped, mode, scheme, expected):
    settings = PredictionSettings(SHIPPED, classMode=mode, classScheme=scheme, className="long")
    assert settings.classes(shipped) == expected


@pytest.mark.parametrize(("mode", "expected"), [("predicted", ["predicted"]), ("chosen", ["long"])])
def test_scripts_may_name_choices_by_their_values(shipped, mode, expected):
    settings = PredictionSettings(SHIPPED, classMode=mode, className="long", samplerPreset="paper", device="cuda:1")
    assert settings.classes(shipped) == expected
    assert settings.samplerPreset is SamplerPreset.paper
    assert settings.device == "cuda:1"


def test_a_device_of_the_panel_is_one_the_engine_knows(shipped):
    settings = PredictionSettings(SHIPPED, device=ComputeDevice.cpu)
    assert settings.request(shipped, {}, Path("out"), "id")["device"] == "cpu"


def test_an_unknown_choice_is_named_with_the_known_ones():
    with pytest.raises(Failure, match=r"'all' is no choice for classMode.*compareAll"):
        PredictionSettings(SHIPPED, classMode="all")


def test_request_is_one_the_engine_accepts(shipped):
    from GBMResponseCore.request import PredictionRequest

    files = {"image": "a.nrrd", "gtv": "b.nrrd", "follow_up": None}
    message = PredictionSettings(SHIPPED, sliceBatch=0, seed=7).request(shipped, files, Path("out"), "id")
    request = PredictionRequest.from_message({key: message[key] for key in message if key not in ("type", "id")})
    assert request.options.seed == 7 and request.options.batch_size is None and request.bundle == SHIPPED


@pytest.mark.parametrize("preset", list(SamplerPreset))
def test_preset_is_one_the_engine_accepts(preset):
    from GBMResponseCore.request import SamplingOptions

    assert SamplingOptions(**preset.sampling(preset.steps, 2.0)).steps == preset.steps


@pytest.mark.parametrize(("steps", "nearest"), [(200, 200), (150, 125), (999, 1000), (1, 1)])
def test_paper_sampler_takes_divisors_of_a_thousand(steps, nearest):
    assert SamplerPreset.paper.nearestSteps(steps) == nearest
