"""Can simulated tumors be told from real ones? The classifier, what it is shown, and the report."""

import json
import logging

import numpy as np
import pytest
import torch
from GBMResponseCore.errors import MissingFileError, OptionError
from skimage.io import imread

from GBMResponseTraining import cli
from GBMResponseTraining.store.slice_store import write_store
from GBMResponseTraining.synthetic.errors import RealismError
from GBMResponseTraining.synthetic.realism.classifiers import fit_network, patch_features, smoothed
from GBMResponseTraining.synthetic.realism.montage import evenly_drawn
from GBMResponseTraining.synthetic.realism.patches import SIDE, read_patches
from GBMResponseTraining.synthetic.realism.run import MOST_FOLDS, check_realism, held_out_auc, join, tell_apart

SLICES = 4
SCORES = np.array([0.9, 0.1, 5.9, 5.1, 5.2])


def make_store(folder, seed, persons=4, size=32, noise=0.1, stripes=0.0, gtv=True, ids=None):
    """A store of noise around -0.3, perhaps with wide stripes; every slice has a GTV of 5 x 5 pixels somewhere."""
    rng = np.random.default_rng(seed)
    count = persons * SLICES
    pattern = stripes * np.sin(np.arange(size) / 3)
    pre, post = (rng.normal(-0.3, noise, (count, size, size)) + pattern for _ in range(2))
    mask = np.zeros((count, size, size), np.uint8)
    for one, (row, column) in zip(mask, rng.integers(0, size - 5, (count, 2)), strict=True):
        one[row : row + 5, column : column + 5] = gtv
    ids = ids or [f"P{number}" for number in range(persons)]
    records = [{"id": name, "survival_days": 300.0, "spacing_mm": 0.9} for name in ids]
    write_store(folder, pre, post, mask, np.repeat(np.arange(persons), SLICES), records)
    return folder


def patches_of(tmp_path, image="pre", real_persons=4, **simulated):
    """Patches of a simulated and a real store, the former made with other settings."""
    first = read_patches(make_store(tmp_path / "simulated", 1, **simulated), "simulated")
    second = read_patches(make_store(tmp_path / "real", 2, real_persons), "real")
    return join(first, second, image)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """The test of two stores of one kind."""
    return tell_apart(patches_of(tmp_path_factory.mktemp("alike"), real_persons=12, persons=12), steps=25)


@pytest.fixture(scope="module")
def noisier(tmp_path_factory):
    """The test of a simulation with too much noise."""
    return tell_apart(patches_of(tmp_path_factory.mktemp("noisier"), noise=0.2), steps=25)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Folder of what the command wrote."""
    folder = tmp_path_factory.mktemp("command")
    stores = [str(make_store(folder / name, seed)) for name, seed in (("simulated", 1), ("real", 2))]
    assert cli.main(["realism", *stores, str(folder / "out"), "--image", "pre", "--steps", "2", "--outline"]) == 0
    return folder / "out"


def test_the_network_finds_no_difference_where_there_is_none(alike):
    assert alike["network"]["auc"]["value"] == pytest.approx(0.5, abs=0.25)


def test_the_baseline_finds_no_difference_where_there_is_none(alike):
    assert alike["baselines"]["noise"]["auc"]["value"] == pytest.approx(0.5, abs=0.25)


def test_the_interval_of_no_difference_holds_a_half(alike):
    assert alike["network"]["auc"]["ci_low"] < 0.5 < alike["network"]["auc"]["ci_high"]


def test_the_network_sees_an_obvious_difference(noisier):
    assert noisier["network"]["auc"]["value"] > 0.95


def test_the_noise_explains_a_difference_of_noise(noisier):
    assert noisier["baselines"]["noise"]["auc"]["value"] == 1.0


def test_the_mean_does_not_explain_a_difference_of_noise(noisier):
    assert noisier["baselines"]["mean"]["auc"]["value"] < 0.9


def test_smoothed_patches_keep_a_difference_of_shape(tmp_path):
    test = tell_apart(patches_of(tmp_path, stripes=0.3), steps=25)
    assert test["network_smoothed"]["auc"]["value"] > 0.95


def test_smoothed_patches_have_half_the_resolution():
    assert smoothed(np.zeros((3, 64, 64), np.float32)).shape == (3, 32, 32)


def test_every_real_patient_has_a_figure(alike):
    assert len(alike["network"]["auc_by_real_patient"]) == 12


def test_the_other_image_is_another_test(tmp_path):
    first, second = (patches_of(tmp_path / image, image) for image in ("pre", "post"))
    assert not np.allclose(first.images, second.images)


def test_nobody_is_in_training_and_test(tmp_path):
    patches = patches_of(tmp_path)
    assert all(len(np.unique(patches.fold[patches.person == one])) == 1 for one in np.unique(patches.person))


def test_visits_of_a_patient_are_one_person(tmp_path):
    store = make_store(tmp_path, 1, persons=3, ids=["P1_t1", "P1_t2", "P2"])
    assert read_patches(store, "real").person.tolist() == [0] * 2 * SLICES + [1] * SLICES


def test_real_and_simulated_patients_are_different_persons(tmp_path):
    patches = patches_of(tmp_path)
    assert not set(patches.person[patches.real]) & set(patches.person[~patches.real])


def test_few_real_patients_are_left_out_one_by_one(tmp_path):
    patches = patches_of(tmp_path, real_persons=3)
    assert [len(np.unique(patches.person[patches.real & (patches.fold == one)])) for one in range(3)] == [1, 1, 1]


def test_many_real_patients_share_folds(tmp_path):
    assert patches_of(tmp_path, real_persons=9, persons=9).fold.max() + 1 == MOST_FOLDS


def test_every_fold_tests_both_kinds(tmp_path):
    patches = patches_of(tmp_path, real_persons=3)
    assert all(len(set(patches.real[patches.fold == one])) == 2 for one in range(3))


def test_the_tumor_is_in_the_middle_of_its_patch(tmp_path):
    size = 2 * SIDE
    image, gtv = np.full((2, size, size), -1.0), np.zeros((2, size, size), np.uint8)
    image[:, 50:53, 70:75] = gtv[:, 50:53, 70:75] = 1
    write_store(tmp_path, image, image, gtv, np.arange(2), [{"id": "A1"}, {"id": "A2"}])
    patch = read_patches(tmp_path, "real").images["pre"][0]
    assert np.argwhere(patch > 0).mean(axis=0) == pytest.approx([SIDE / 2] * 2, abs=1)


def test_slices_without_gtv_give_no_patch(tmp_path):
    gtv = np.zeros((4, 32, 32), np.uint8)
    gtv[[0, 3], 9, 9] = 1
    write_store(tmp_path, gtv, gtv, gtv, np.array([0, 0, 1, 1]), [{"id": "A1"}, {"id": "A2"}])
    assert read_patches(tmp_path, "real").rows.tolist() == [0, 3]


def test_a_large_cohort_is_drawn_from(tmp_path):
    assert read_patches(make_store(tmp_path, 1), "simulated", most_persons=3).persons == 3


def test_noise_raises_the_third_feature():
    patches = np.random.default_rng(0).normal(size=(1, 32, 32))
    assert patch_features(2 * patches)[0, 2] > patch_features(patches)[0, 2]


def test_a_ramp_is_not_noise():
    flat = np.zeros((1, 32, 32))
    assert patch_features(flat + np.arange(32) / 32)[0, 2] == pytest.approx(patch_features(flat)[0, 2])


def test_training_is_repeatable():
    images = np.random.default_rng(0).normal(size=(8, 32, 32)).astype(np.float32)
    scores = [fit_network(images, np.arange(8) < 4, np.arange(8), 3, seed=5)(images) for _ in range(2)]
    assert np.array_equal(*scores)


def test_training_leaves_the_random_state_alone():
    images, state = np.zeros((2, 32, 32), np.float32), torch.get_rng_state()
    fit_network(images, np.array([True, False]), np.arange(2), 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_scores_of_different_networks_are_not_compared():
    real = np.array([True, False, True, False, False])
    assert held_out_auc(SCORES, real, np.array([0, 0, 1, 1, 1])) == 1.0


def test_folds_count_by_their_pairs():
    real = np.array([False, True, True, False, False])
    assert held_out_auc(SCORES, real, np.array([0, 0, 1, 1, 1])) == pytest.approx(2 / 3)


def test_a_montage_shows_patients_equally_often():
    person = np.repeat(np.arange(4), [20, 6, 9, 30])
    assert np.bincount(person[evenly_drawn(person, 24, np.random.default_rng(0))]).tolist() == [6, 6, 6, 6]


def test_a_montage_shows_no_slice_twice():
    drawn = evenly_drawn(np.repeat(np.arange(3), 4), 24, np.random.default_rng(0))
    assert drawn.tolist() == list(range(12))


def test_the_montage_is_a_wide_picture(command):
    height, width = imread(command / "montage.png").shape[:2]
    assert width > 2 * height


def test_the_report_is_json(command):
    assert json.loads((command / "realism.json").read_text("utf-8"))["real"]["patients"] == 4


def test_only_the_image_that_was_asked_for_is_tested(command):
    assert list(json.loads((command / "realism.json").read_text("utf-8"))["tests"]) == ["pre"]


@pytest.mark.parametrize("text", ["**4 real patients limit what this means.**", "SYNTHETIC", "| baseline: noise | 0."])
def test_the_page_says_what_it_must(command, text):
    assert text in (command / "realism.md").read_text("utf-8")


def test_the_page_names_nobody(command):
    assert "P0" not in (command / "realism.md").read_text("utf-8")


def test_stores_of_different_size_are_refused(tmp_path):
    with pytest.raises(RealismError, match="48"):
        patches_of(tmp_path, size=48)


def test_stores_without_gtv_are_refused(tmp_path):
    with pytest.raises(RealismError, match="No slice of the simulated store"):
        patches_of(tmp_path, gtv=False)


def test_one_real_patient_is_refused(tmp_path):
    with pytest.raises(RealismError, match="has 1 patient"):
        patches_of(tmp_path, real_persons=1)


def test_a_missing_store_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        check_realism(tmp_path / "none", tmp_path / "none", tmp_path / "out", ("pre",), 1)


def test_no_training_is_refused(tmp_path):
    assert cli.main(["realism", "a", "b", str(tmp_path), "--steps", "0"]) == OptionError.exit_code


def test_progress_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    tell_apart(patches_of(tmp_path, real_persons=2), steps=1, name="pre")
    assert "pre, network: fold 2 of 2" in caplog.text
