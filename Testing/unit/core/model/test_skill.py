"""A classifier without skill is not asked, and nobody reads more out of its probabilities than there is."""

import json

import numpy as np
import pytest
from GBMResponseCore.errors import BundleSchemaError, OptionError
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import Manifest, default_bundle, read_manifest
from GBMResponseCore.model.slice_model import SliceModel
from GBMResponseCore.request import AUTO_CLASS, NO_CLASS, PREDICTED_CLASS, PredictionOptions
from tiny_bundle import CHANCE, SKILLED, write_tiny_bundle

PRE, GTV = np.zeros((2, 64, 64), np.float32), np.ones((2, 64, 64), np.float32)


def model_with(folder, **changes) -> SliceModel:
    return SliceModel(open_bundle(write_tiny_bundle(folder, **changes)), "cpu", "float32")


def edit(folder, change) -> None:
    """Change the bundle.json of a bundle."""
    description = json.loads((folder / "bundle.json").read_text("utf-8"))
    change(description)
    (folder / "bundle.json").write_text(json.dumps(description), "utf-8")


def choice(model, *classes, **options):
    resolved = model.resolve(PredictionOptions(classes=classes or (AUTO_CLASS,), **options))
    return resolved, model.choose_class(PRE, GTV, resolved)


def test_a_classifier_with_skill_is_asked_by_default(tmp_path):
    _, chosen = choice(model_with(tmp_path))
    assert (chosen.class_source, chosen.scheme) == ("predicted", "2-class")
    assert sum(chosen.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("held_out", "why"),
    [(CHANCE, "no better than chance: AUC 0.51 [0.45, 0.57] in 150"), (None, "not measured")],
)
def test_a_classifier_without_skill_is_not_asked_by_default_and_the_reason_is_said(tmp_path, held_out, why):
    model = model_with(tmp_path, held_out=held_out)
    resolved, chosen = choice(model)
    assert (resolved.scheme, chosen.name, chosen.class_source) == (NO_CLASS, NO_CLASS, NO_CLASS)
    assert chosen.class_token == model.bundle.null_token
    assert not chosen.probabilities
    assert why in chosen.note


def test_it_is_asked_if_the_user_wants_it_and_the_doubt_is_said(tmp_path):
    _, chosen = choice(model_with(tmp_path, held_out=CHANCE), PREDICTED_CLASS)
    assert chosen.class_source == "predicted"
    assert "no better than chance" in chosen.note


def test_a_model_that_was_never_trained_without_class_is_asked_and_the_doubt_is_said(tmp_path):
    _, chosen = choice(model_with(tmp_path, label_dropout=0.0, held_out=CHANCE))
    assert chosen.class_source == "predicted"
    assert "no better than chance" in chosen.note


def test_a_model_without_classifier_predicts_without_class(tmp_path):
    folder = write_tiny_bundle(tmp_path)
    edit(folder, lambda description: description.pop("classifier"))
    model = SliceModel(open_bundle(folder), "cpu", "float32")
    _, chosen = choice(model)
    assert chosen.name == NO_CLASS
    assert "no survival classifier" in chosen.note
    with pytest.raises(OptionError):
        choice(model, PREDICTED_CLASS)


def test_no_class_that_the_user_chose_needs_no_reason(tmp_path):
    _, chosen = choice(model_with(tmp_path, held_out=CHANCE), scheme=NO_CLASS)
    assert chosen.note == ""


def test_without_class_there_is_nothing_to_guide(tmp_path):
    resolved, _ = choice(model_with(tmp_path, held_out=CHANCE), guidance_scale=4.0)
    assert resolved.standard_guidance_scale == 1.0


@pytest.mark.parametrize(("chance", "information"), [(0.53, False), (0.46, False), (0.6, True), (0.4, True)])
def test_probabilities_near_even_are_called_no_information(tmp_path, chance, information):
    """The standard error of a frequency in 100 patients is .05."""
    manifest = Manifest(tmp_path, {"classifier": {"held_out": SKILLED | {"patients": 100}}})
    note = manifest.class_note({"short": chance, "long": 1 - chance})
    assert ("no information" in note) != information


def test_the_shipped_classifier_has_shown_no_skill():
    assert "no better than chance" in read_manifest(default_bundle()).classifier_doubt


def test_a_damaged_skill_is_refused(tmp_path):
    folder = write_tiny_bundle(tmp_path)
    edit(folder, lambda description: description["classifier"]["held_out"].update(auc="good"))
    with pytest.raises(BundleSchemaError):
        open_bundle(folder)
    with pytest.raises(BundleSchemaError):
        read_manifest(folder).check()
