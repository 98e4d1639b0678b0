import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.registration import register_rigidly
from GBMResponseCore.inputs.resampling import resample_onto

GRID = ((80, 90, 20), (2.2, 2.2, 6.5))


@pytest.fixture(scope="module")
def fixed() -> sitk.Image:
    return phantoms.head(*GRID)


@pytest.fixture(scope="module")
def truth() -> sitk.Euler3DTransform:
    """Fixed to moving points."""
    return sitk.Euler3DTransform((0, 0, 0), 0.03, -0.05, 0.12, (6, -8, 5))


@pytest.fixture(scope="module")
def moving(fixed, truth) -> sitk.Image:
    grid = phantoms.empty((90, 96, 30), (2.2, 2.2, 5))
    return sitk.Resample(fixed, grid, truth.GetInverse(), sitk.sitkLinear, 0)


@pytest.fixture(scope="module")
def result(fixed, moving):
    return register_rigidly(fixed, moving)


def error_mm(transform: sitk.Transform, truth: sitk.Transform) -> float:
    """Largest distance in the brain between two transforms."""
    points = [(x, y, z) for x in (-50, 50) for y in (-60, 60) for z in (-40, 40)]
    pairs = [(transform.TransformPoint(p), truth.TransformPoint(p)) for p in points]
    return max(float(np.linalg.norm(np.subtract(a, b))) for a, b in pairs)


def test_a_known_movement_is_found(result, truth):
    assert error_mm(sitk.Transform(), truth) > 10
    assert error_mm(result.transform, truth) < 1.5


@pytest.mark.parametrize("angles", [(0, 0, -40), (20, 0, 0), (0, -20, 15)])
def test_a_head_that_is_turned_far_is_found(fixed, angles):
    truth = sitk.Euler3DTransform((0, 0, 0), *np.radians(angles).tolist(), (15, -20, 8))
    moving = sitk.Resample(fixed, truth.GetInverse(), sitk.sitkLinear, 0)
    assert error_mm(register_rigidly(fixed, moving).transform, truth) < 2.5


def test_correlation_is_reported_before_and_after(result):
    assert result.improved
    assert result.metric_before < 0.8 < 0.9 < result.metric_after


def test_the_same_inputs_give_the_same_transform(result, fixed, moving):
    assert register_rigidly(fixed, moving).transform.GetParameters() == result.transform.GetParameters()


def test_a_worse_result_is_dropped(fixed, monkeypatch):
    far = sitk.Euler3DTransform((0, 0, 0), 0, 0, 0, (40, 0, 0))
    monkeypatch.setattr("GBMResponseCore.inputs.registration._optimize", lambda *_: far)
    result = register_rigidly(fixed, fixed)
    assert not result.improved
    assert result.metric_after < result.metric_before == pytest.approx(1)
    assert error_mm(result.transform, sitk.Transform()) == 0


def test_a_failing_optimizer_gives_the_identity(fixed):
    result = register_rigidly(fixed, fixed * 0)
    assert not result.improved
    assert error_mm(result.transform, sitk.Transform()) == 0


def test_resampled_image_has_the_fixed_grid_and_moving_type(fixed, moving, truth):
    moved = resample_onto(moving, fixed, truth)
    assert moved.GetPixelID() == moving.GetPixelID()
    assert moved.GetSize() == fixed.GetSize()
    difference = np.abs(sitk.GetArrayFromImage(moved).astype(float) - sitk.GetArrayViewFromImage(fixed))
    assert difference[4:-4].mean() < 20


def test_outside_the_field_is_the_moving_minimum(fixed):
    moved = resample_onto(fixed[:40] + 10, fixed)
    assert sitk.GetArrayViewFromImage(moved)[:, :, 60:].max() == 10


def test_resampled_mask_is_0_and_1(fixed, truth):
    ball = phantoms.gtv((60, 60, 60), (1, 1, 1), at=phantoms.GTV_CENTER, center=phantoms.GTV_CENTER)
    moved = resample_onto(ball, fixed, truth, label=True)
    assert moved.GetPixelID() == sitk.sitkUInt8
    expected = truth.GetInverse().TransformPoint(phantoms.GTV_CENTER)
    assert np.linalg.norm(phantoms.voxel_mean(moved) - np.array(expected)) < 1.5


def test_resampling_without_a_transform_uses_physical_space(fixed):
    moved = resample_onto(fixed, phantoms.empty((40, 40, 10), (2.2, 2.2, 6.5)))
    assert sitk.GetArrayViewFromImage(moved).mean() > 100
