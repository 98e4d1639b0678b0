"""What margins, contours and doses cover: cases whose answer is known exactly, and the view of a real prediction."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from fake_dicom import write_dose
from GBMResponseCore.errors import FrameOfReferenceError, MissingFileError, NoOverlapError
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.inputs.preprocessing import InPlaneRule
from GBMResponseCore.measure.enhancement import EnhancementSegmenter
from GBMResponseCore.measure.planning import (
    LIMITS,
    MARGINS_MM,
    SKULL_MM,
    Plan,
    PlanFiles,
    PlanningView,
    covered,
    dose_coverage,
    level_that_covers,
    margin_distance,
)

SPACING = (3.0, 1.0, 2.0)


def slab(shape, first, last):
    """Columns first to last - 1 of a stack."""
    mask = np.zeros(shape, bool)
    mask[:, :, first:last] = True
    return mask


def test_a_margin_around_a_slab_covers_what_arithmetic_says():
    gtv, forecast = slab((4, 6, 40), 0, 10), slab((4, 6, 40), 5, 25)
    distance = margin_distance(gtv, SPACING)
    assert distance[0, 0, [9, 10, 14]].tolist() == [0, 2, 10]
    # 20 columns of 2 mm, 5 of them inside the GTV.
    parts = covered(forecast.astype(float), distance, [0, 1.9, 2, 10, 29, 30])
    assert parts == pytest.approx([5 / 20, 5 / 20, 6 / 20, 10 / 20, 19 / 20, 1])
    margins = [level_that_covers(forecast.astype(float), distance, part) for part in (0.25, 0.5, 0.8, 0.95, 1)]
    assert margins == [0, 10, 22, 28, 30]


def test_weights_count_as_they_are():
    weights = slab((4, 6, 40), 0, 10) * 0.25 + slab((4, 6, 40), 10, 12) * 1.0
    distance = margin_distance(slab((4, 6, 40), 0, 10), SPACING)
    total = 10 * 0.25 + 2
    assert covered(weights, distance, [0, 2, 4]) == pytest.approx([2.5 / total, 3.5 / total, 1])
    assert level_that_covers(weights, distance, 0.5) == 0
    assert level_that_covers(weights, distance, 0.8) == 4


def test_the_last_voxel_counts_as_much_as_it_weighs():
    weights, reached_at = np.array([1.0, 9.0]), np.array([0.0, 4.0])
    assert level_that_covers(weights, reached_at, 0.5) == 4


def test_a_ball_around_a_ball_is_covered_as_their_volumes_are():
    points = (np.indices((61, 61, 61)) - 30.0) * 0.5
    radius = np.sqrt((points**2).sum(axis=0))
    inner, outer = 6.0, 14.0
    distance = margin_distance(radius <= inner, (0.5, 0.5, 0.5))
    parts = covered((radius <= outer).astype(float), distance, [0, 4, 8])
    assert parts == pytest.approx([(inner / outer) ** 3, (10 / outer) ** 3, 1], abs=0.04)


def test_slices_are_as_far_apart_as_they_are():
    gtv = np.zeros((9, 5, 5), bool)
    gtv[4] = True
    distance = margin_distance(gtv, SPACING)
    assert distance[:, 2, 2].tolist() == [12, 9, 6, 3, 0, 3, 6, 9, 12]


def test_a_margin_ends_at_a_barrier_and_never_gets_there():
    gtv, forecast = slab((4, 6, 40), 0, 10), slab((4, 6, 40), 5, 25).astype(float)
    distance = margin_distance(gtv, SPACING, slab((4, 6, 40), 0, 20))
    assert covered(forecast, distance, [1000]) == pytest.approx([15 / 20])
    assert level_that_covers(forecast, distance, 0.75) == 20
    assert level_that_covers(forecast, distance, 0.8) is None


def test_a_gtv_outside_the_barrier_is_covered_all_the_same():
    gtv = slab((4, 6, 40), 0, 10)
    assert (margin_distance(gtv, SPACING, np.zeros(gtv.shape, bool))[gtv] == 0).all()


def test_nothing_to_cover_has_no_margin():
    nothing, distance = np.zeros((4, 6, 40)), margin_distance(slab((4, 6, 40), 0, 10), SPACING)
    assert covered(nothing, distance, [0, 10]) is None
    assert level_that_covers(nothing, distance, 0.5) is None


def test_a_dose_that_falls_linearly_gives_a_linear_histogram():
    dose = np.broadcast_to(60.0 - np.arange(40.0), (4, 6, 40))
    record = dose_coverage(slab((4, 6, 40), 0, 20).astype(float), dose)
    # Columns get 60, 59, ... 41 Gy.
    at = dict(zip(record["dose_gy"], record["covered"], strict=True))
    assert at[60] == pytest.approx(1 / 20)
    assert at[45] == pytest.approx(16 / 20)
    assert at[0] == 1
    assert record["dose_that_covers_gy"] == {"50%": 51, "80%": 45, "95%": 42}
    # 57, 48 and 30 Gy.
    assert record["covered_by_isodoses"] == pytest.approx({"95%": 4 / 20, "80%": 13 / 20, "50%": 1})


def test_nothing_to_irradiate_has_no_dose():
    record = dose_coverage(np.zeros((4, 6, 40)), np.full((4, 6, 40), 60.0))
    assert record["covered"] is None
    assert set(record["dose_that_covers_gy"].values()) == set(record["covered_by_isodoses"].values()) == {None}


SIZE, PIXELS = (120, 128, 14), (1.6, 1.6, 5.0)


@pytest.fixture(scope="module")
def parts():
    """A head with its grid, GTV and segmenter."""
    image = phantoms.head(SIZE, PIXELS, center=phantoms.GTV_CENTER)
    gtv = phantoms.gtv(SIZE, PIXELS, center=phantoms.GTV_CENTER)
    grid = StackGrid.for_image(image, InPlaneRule.of_size(64))
    pre = grid.to_stack(image) / 500.0 - 1.0
    mask = grid.to_stack(gtv, label=True)
    generated = mask.any(axis=(1, 2))
    return image, gtv, grid, pre, mask, generated, EnhancementSegmenter(pre, mask, generated, grid.spacing[::-1])


def view(parts, plan=None):
    _, _, _, pre, mask, generated, segmenter = parts
    before = segmenter.segment(pre, segmenter.tissue(pre), segmenter.reach)
    return PlanningView(segmenter, before, mask, generated, plan)


def test_the_view_finds_recurrence_beyond_what_the_measures_look_at(parts):
    _, _, grid, pre, mask, generated, segmenter = parts
    distance = margin_distance(mask, grid.spacing[::-1])
    inside = generated[:, None, None] & (distance > 14) & (distance < 22) & (segmenter.depth_mm > 15)
    bright = np.where(inside, 2.0, pre)
    tissue = segmenter.tissue(pre)
    found = view(parts).recurrence(segmenter.segment(bright, tissue, segmenter.reach))
    assert (found & inside).sum() > 0.5 * inside.sum()
    assert not segmenter.segment(bright, tissue)[inside & (distance > 16)].any()
    record = view(parts).of_mask(found & inside)
    assert 14 <= record["margin_that_covers_mm"]["50%"] <= record["margin_that_covers_mm"]["95%"] <= 25
    assert record["covered"][MARGINS_MM.index(13)] == 0


def test_vessels_far_from_the_gtv_are_no_recurrence_and_what_enhances_near_it_is_the_copy(parts):
    _, _, grid, _, mask, generated, segmenter = parts
    distance = margin_distance(mask, grid.spacing[::-1])
    far = segmenter.reach & ~segmenter.region & (distance < 20)
    near = mask & (np.indices(mask.shape)[2] % 2 == 0)
    planning = PlanningView(segmenter, far | near, mask, generated)
    new = segmenter.reach & (distance >= 20)
    assert far.any() and new.any()
    np.testing.assert_array_equal(planning.recurrence(far | near | new), near | new)
    assert planning.of_copy()["volume_ml"] == pytest.approx(near.sum() * np.prod(grid.spacing) / 1000)


def test_few_samples_get_no_interval_and_others_one_that_holds_their_margins(parts):
    mask = parts[4]
    near, far = mask, margin_distance(mask, parts[2].spacing[::-1]) <= 10
    assert "interval" not in view(parts).of_samples([near, far])
    record = view(parts).of_samples([near, near, far, far])
    assert record["interval"]["95%"]["p10"] == 0
    assert 5 < record["interval"]["95%"]["p90"] <= 10
    assert record["volume_ml"] == pytest.approx(
        (near.mean() + far.mean()) / 2 * mask.size * np.prod(parts[2].spacing) / 1000
    )


def test_what_no_margin_covers_is_beyond_all(parts):
    near, scalp = parts[4], parts[6].depth_mm < 2
    record = view(parts).of_samples([near, near, scalp, scalp])
    assert record["interval"]["95%"] == {"p10": 0, "p90": None}


def test_margins_have_volumes_that_grow_and_start_at_the_gtv(parts):
    record = view(parts).margins()
    voxel = np.prod(parts[2].spacing) / 1000
    assert record["margins_mm"][0] == 0
    assert record["volumes_ml"][0] == pytest.approx(parts[4].sum() * voxel)
    distance = margin_distance(parts[4], parts[6].spacing_mm, parts[6].depth_mm >= SKULL_MM)[parts[5]]
    assert record["volumes_ml"] == pytest.approx([(distance <= margin).sum() * voxel for margin in MARGINS_MM])
    assert record["limits"] == list(LIMITS)


def test_contours_and_dose_come_from_files_on_any_grid(parts, tmp_path):
    image, gtv, grid, _, mask, _, _ = parts
    coarse = sitk.Resample(
        gtv, [60, 64, 14], sitk.Transform(), sitk.sitkNearestNeighbor, gtv.GetOrigin(), [3.2, 3.2, 5.0]
    )
    sitk.WriteImage(coarse, str(tmp_path / "ctv.nrrd"))
    sitk.WriteImage(sitk.Cast(image * 0 + 60, sitk.sitkFloat32), str(tmp_path / "dose.nrrd"))
    plan = PlanFiles({"CTV": tmp_path / "ctv.nrrd"}, tmp_path / "dose.nrrd").on(grid)
    record = view(parts, plan).of_mask(mask)
    assert record["contours"]["CTV"] == pytest.approx(1, abs=0.25)
    assert record["dose"]["dose_that_covers_gy"]["95%"] == pytest.approx(60)


def test_there_is_no_dose_outside_its_volume_nor_below_none(parts, tmp_path):
    image, _, grid, *_ = parts
    half = sitk.Cast(image * 0 + 60, sitk.sitkFloat32)[:60]
    half[:30] = -1.0
    sitk.WriteImage(half, str(tmp_path / "dose.nrrd"))
    dose = PlanFiles({}, tmp_path / "dose.nrrd").on(grid).dose
    assert set(np.unique(dose.round(3))) >= {0, 60} and dose.min() == 0
    assert (dose == 0).mean() > 0.7


def test_an_rtdose_for_an_image_that_is_no_dicom_is_refused(parts, tmp_path):
    write_dose(tmp_path / "dose.dcm", sitk.Cast(parts[0] * 0 + 60, sitk.sitkFloat32))
    with pytest.raises(FrameOfReferenceError):
        PlanFiles({}, tmp_path / "dose.dcm").on(parts[2])


def test_a_contour_that_is_missing_or_elsewhere_is_refused(parts, tmp_path):
    grid = parts[2]
    with pytest.raises(MissingFileError):
        PlanFiles({"CTV": tmp_path / "none.nrrd"}).on(grid)
    sitk.WriteImage(parts[1] * 0, str(tmp_path / "empty.nrrd"))
    with pytest.raises(NoOverlapError, match="PTV"):
        PlanFiles({"PTV": tmp_path / "empty.nrrd"}).on(grid)


def test_without_a_plan_nothing_is_said_of_one(parts):
    record = view(parts, Plan()).of_mask(parts[4])
    assert "contours" not in record and "dose" not in record
