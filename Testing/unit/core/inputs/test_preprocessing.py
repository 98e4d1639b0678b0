import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import BundleSchemaError, ConstantImageError
from GBMResponseCore.inputs.preprocessing import IntensityScale, NormalizationSettings, fit_scale, is_ct, ordinary_range

MAX = NormalizationSettings(kind="max")


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """Head with Rician-like noise in air and tissue, float32, >= 0."""
    clean = sitk.GetArrayFromImage(phantoms.head((128, 128, 20), (1.8, 1.8, 7))).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 12, (2, *clean.shape))
    return np.hypot(clean + noise[0], noise[1]).astype(np.float32)


def test_restore_is_the_inverse_within_the_clip_range():
    scale = IntensityScale(low=-20, high=900)
    values = np.linspace(-20, 900 + 0.25 * 920, 1000)
    assert np.allclose(scale.restore(scale.normalize(values)), values, atol=1e-3)


def test_low_and_high_become_minus_1_and_1():
    assert IntensityScale(10, 30).normalize(np.array([10, 20, 30])).tolist() == [-1, 0, 1]


def test_values_outside_are_clipped():
    scale = IntensityScale(0, 100, clip_high=1.5)
    assert scale.normalize(np.array([-50, 1e6])).tolist() == [-1, 1.5]


def test_arrays_become_float32_and_inputs_stay():
    values = np.array([0, 50, 1000], np.int16)
    scale = IntensityScale(0, 100)
    assert scale.normalize(values).dtype == np.float32
    assert scale.restore(scale.normalize(values)).dtype == np.float32
    assert values.tolist() == [0, 50, 1000]


@pytest.mark.parametrize("shift", [0, -30])
def test_zero_padding_does_not_change_high(head, shift):
    volume = head + shift
    padded = np.concatenate([volume, np.zeros_like(volume)])
    assert fit_scale(padded).high == pytest.approx(fit_scale(volume).high, rel=0.01)


def test_a_few_bright_vessels_do_not_change_high(head):
    vessels = head.copy()
    vessels.ravel()[:: head.size // 50] = 20000
    assert fit_scale(vessels).high == pytest.approx(fit_scale(head).high, rel=0.02)


def test_high_is_near_the_brightest_tissue(head):
    assert 480 < fit_scale(head).high < 600  # brain 500, a small ring 900


def test_scale_follows_the_gain(head):
    assert fit_scale(head * 7).high == pytest.approx(7 * fit_scale(head).high, rel=1e-4)


def test_low_is_0_without_negative_values(head):
    assert fit_scale(head + 5).low == 0


def test_low_is_robust_with_negative_values(head):
    volume = head - 30
    volume[0, 0, 0] = -5000
    assert -31 < fit_scale(volume).low < -20


def test_max_uses_0_and_the_maximum(head):
    scale = fit_scale(head - 30, MAX)
    assert (scale.low, scale.high) == (0, pytest.approx(head.max() - 30))
    assert scale.normalize(np.array([-30.0]))[0] == -1


def test_percentile_comes_from_the_settings(head):
    assert fit_scale(head, {"percentile": 90}).high < fit_scale(head, {"percentile": 99.5}).high


def test_clip_comes_from_the_settings(head):
    assert fit_scale(head, {"clip_high": 2.0}).clip_high == 2.0


@pytest.mark.parametrize("settings", [None, MAX])
def test_integer_volumes_work(head, settings):
    assert fit_scale(head.astype(np.int16), settings).high == pytest.approx(fit_scale(head, settings).high, rel=0.01)


@pytest.mark.parametrize("value", [0, -4])
def test_no_contrast_is_an_error(value):
    with pytest.raises(ConstantImageError):
        fit_scale(np.full((4, 4, 4), value))


def test_settings_survive_json():
    assert NormalizationSettings.from_dict(MAX.to_dict()) == MAX


def test_unknown_settings_are_refused():
    with pytest.raises(BundleSchemaError, match="gamma"):
        NormalizationSettings.from_dict({"gamma": 2})


def test_an_unknown_kind_is_refused():
    with pytest.raises(BundleSchemaError, match="median"):
        NormalizationSettings.from_dict({"kind": "median"})


def test_restored_values_stay_within_the_range_of_the_normalization():
    scale = IntensityScale(low=0, high=100, clip_high=1.5)
    assert scale.restore(np.array([-3.0, -1.2, 1.5, 9.0])).tolist() == [0, 0, 125, 125]
    assert IntensityScale(low=-40, high=60).restore(np.array([-2.0])).tolist() == [-40]


def test_an_ordinary_volume_has_its_own_range(head):
    assert ordinary_range(head) == (head.min(), head.max())
    shifted = head - 30
    assert ordinary_range(shifted) == (shifted.min(), shifted.max())


@pytest.mark.parametrize("settings", [None, MAX])
def test_one_hot_voxel_changes_no_scale(head, settings):
    hot = head.copy()
    hot[0, 0, 0] = 1e9
    assert fit_scale(hot, settings).high == pytest.approx(fit_scale(head, settings).high, rel=1e-4)


@pytest.mark.parametrize("padding", [-1000, -1024, -2000, -32768])
@pytest.mark.parametrize("settings", [None, MAX])
def test_padding_changes_no_scale(head, padding, settings):
    padded = np.concatenate([head, np.full_like(head, padding)])
    assert fit_scale(padded, settings) == fit_scale(head, settings)


@pytest.mark.parametrize("noise", [False, True])
def test_a_background_far_above_0_is_black(head, noise):
    volume = head if noise else np.where(head < 60, 0, head)
    scale, moved = fit_scale(volume), fit_scale(volume + 2000)
    assert moved.low == pytest.approx(scale.low + 2000, abs=5)
    assert moved.high == pytest.approx(scale.high + 2000, rel=0.03)


def test_a_head_without_air_keeps_0_as_black(head):
    brain = head[5:15, 50:78, 50:78]
    assert brain.min() > 0
    assert fit_scale(brain).low == 0


def test_a_padded_ct_is_still_a_ct():
    random = np.random.default_rng(0)
    ct = np.where(np.indices((20, 64, 64))[1] < 32, -1000, 40) + random.normal(0, 12, (20, 64, 64))
    assert is_ct(ct)
    ct[:, :, :8] = -3024
    assert is_ct(ct)
