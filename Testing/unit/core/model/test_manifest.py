"""What is read of bundles without the engine's packages."""

import json
import shutil

import pytest
from GBMResponseCore.errors import BundleError, BundleIntegrityError, BundleSchemaError
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import bundled_models, default_bundle, read_manifest


@pytest.fixture
def copied(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copied")


def edit(folder, change):
    path = folder / "bundle.json"
    description = json.loads(path.read_text("utf-8"))
    change(description)
    path.write_text(json.dumps(description), "utf-8")


def test_manifest_and_bundle_say_the_same(tiny_bundle):
    manifest, bundle = read_manifest(tiny_bundle), open_bundle(tiny_bundle)
    manifest.check()
    for name in (
        "name",
        "version",
        "label_dropout",
        "schemes",
        "classifier_scheme",
        "default_sampling",
        "files",
        "sha256",
    ):
        assert getattr(manifest, name) == getattr(bundle, name), name
    assert [entry.name for entry in manifest.schemes["2-class"].classes] == ["short", "long"]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("name"),
        lambda content: content.update(conditioning=[]),
        lambda content: content["conditioning"].update(label_dropout="much"),
        lambda content: content["conditioning"]["schemes"]["2-class"][0].pop("max_days"),
        lambda content: content["conditioning"]["schemes"]["2-class"][0].update(min_days="0"),
        lambda content: content["classifier"].update(scheme="9-class"),
        lambda content: content["sampling"].update(sampler="fast"),
        lambda content: content["sampling"].update(steps=0),
        lambda content: content["sampling"].update(guidance_scale="2"),
        lambda content: content["files"].update({"../outside": {"size": 1, "sha256": "0" * 64}}),
        lambda content: content["files"].update({"inside": {"sha256": "0" * 64}}),
    ],
    ids=[
        "name",
        "conditioning",
        "dropout",
        "class",
        "days",
        "classifier",
        "sampler",
        "steps",
        "guidance",
        "outside",
        "size",
    ],
)
def test_a_field_that_is_missing_or_wrong_is_refused_without_the_schema_too(copied, change):
    edit(copied, change)
    with pytest.raises(BundleSchemaError, match=r"bundle\.json of 'copied' is not valid"):
        read_manifest(copied).check()
    with pytest.raises(BundleSchemaError):
        open_bundle(copied)


def test_classes_may_have_no_known_range(copied):
    edit(copied, lambda content: [e.update(min_days=None) for e in content["conditioning"]["schemes"]["2-class"]])
    manifest = read_manifest(copied)
    manifest.check()
    assert [entry.min_days for entry in manifest.schemes["2-class"].classes] == [None, None]


def test_a_description_nested_without_end_is_refused(copied):
    (copied / "bundle.json").write_text("[" * 100_000, "utf-8")
    with pytest.raises(BundleError, match="not readable JSON"):
        read_manifest(copied)


def test_verification_goes_on_in_steps_to_the_end(tiny_bundle):
    fractions = list(read_manifest(tiny_bundle).verification_steps())
    assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)


def test_verification_names_the_file_that_differs(copied):
    path = next(copied.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleIntegrityError, match=path.name):
        list(read_manifest(copied).verification_steps())


def test_the_last_bundle_of_a_folder_is_the_default(copied, tmp_path):
    shutil.copytree(copied, tmp_path / "another")
    assert bundled_models(tmp_path) == [tmp_path / "another", tmp_path / "copied"]
    assert default_bundle(tmp_path) == tmp_path / "copied"
    with pytest.raises(BundleError, match="No model bundle ships"):
        default_bundle(tmp_path / "nothing")
