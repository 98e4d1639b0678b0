"""Volume -> stack -> volume on every kind of acquisition."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import BundleSchemaError, GeometryError
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.inputs.preprocessing import InPlaneRule
from GBMResponseCore.inputs.resampling import outer_corners
from phantoms import IDENTITY, rotation
from rows import share

SAGITTAL = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float)  # columns: image axes toward P, I, L
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)  # L, I, P
FLIPPED = np.diag([-1.0, -1.0, -1.0])  # R, A, I
PERMUTED = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], float)  # A, L, S
OBLIQUE = rotation("x", 20) @ rotation("z", 5)

GRIDS = {
    "axial": ((256, 256, 20), (0.859375, 0.859375, 6.5), IDENTITY, "exact"),
    "smaller matrix": ((224, 201, 20), (0.95, 0.95, 6), IDENTITY, "exact"),
    "larger matrix": ((320, 288, 20), (0.9, 0.9, 6), IDENTITY, "exact"),
    "flipped": ((256, 256, 20), (0.9, 0.9, 6), FLIPPED, "exact"),
    "permuted": ((240, 256, 20), (0.9, 0.9, 6), PERMUTED, "exact"),
    "oblique": ((256, 256, 24), (0.9, 0.9, 6), OBLIQUE, "exact"),
    "oblique flipped": ((250, 256, 24), (0.9, 0.9, 6), OBLIQUE @ FLIPPED, "exact"),
    "1 mm isotropic": ((160, 200, 60), (1, 1, 1), IDENTITY, "exact"),
    "big matrix": ((512, 512, 8), (0.47, 0.47, 10), IDENTITY, "in-plane"),
    "small matrix": ((96, 96, 24), (2.5, 2.5, 6), IDENTITY, "in-plane"),
    "rectangular pixels": ((200, 256, 24), (1.2, 0.9, 6), IDENTITY, "in-plane"),
    "oblique, fine pixels": ((320, 320, 20), (0.7, 0.7, 7), OBLIQUE @ PERMUTED, "in-plane"),
    "2 mm isotropic, stored sagittally": ((110, 96, 90), (2, 2, 2), SAGITTAL, "in-plane"),
    "sagittal": ((200, 200, 32), (1, 1, 5), SAGITTAL, "resampled"),
    "sagittal 3-D": ((128, 128, 80), (1.6, 1.6, 2), SAGITTAL, "resampled"),
    "coronal": ((200, 200, 36), (1, 1, 5), CORONAL, "resampled"),
    "tilted by 45 degrees": ((180, 200, 50), (1.1, 1.1, 4), rotation("x", 45), "resampled"),
}
INTERPOLATED = [name for name, grid in GRIDS.items() if grid[3] != "exact"]
BOUND = {"exact": 0.0, "in-plane": 0.2, "resampled": 0.5}
"""Mean absolute error of the round trip in % of the phantom's range; measured: at most 0.14 and 0.39."""

RULE = InPlaneRule()


@pytest.fixture(scope="module")
def volume():
    """The head on one of GRIDS, made once."""
    made = {}

    def make(name: str) -> sitk.Image:
        if name not in made:
            made[name] = phantoms.head(*GRIDS[name][:3])
        return made[name]

    return make


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def some_slices(grid: StackGrid) -> np.ndarray:
    """A block in the middle and one slice apart from it."""
    generated = np.zeros(grid.shape[0], bool)
    generated[grid.shape[0] // 3 : grid.shape[0] // 2] = True
    generated[-2] = True
    return generated


def assert_same_geometry(image: sitk.Image, other: sitk.Image) -> None:
    assert image.GetSize() == other.GetSize()
    assert image.GetSpacing() == other.GetSpacing()
    assert image.GetOrigin() == other.GetOrigin()
    assert image.GetDirection() == other.GetDirection()


@pytest.mark.parametrize("name", GRIDS)
def test_mode_is_chosen_by_the_acquisition(volume, name):
    assert StackGrid.for_image(volume(name), RULE).mode == GRIDS[name][3]


@pytest.mark.parametrize("name", GRIDS)
def test_round_trip_returns_the_input_within_the_bound(volume, name):
    image = volume(name)
    grid = StackGrid.for_image(image, RULE)
    result, mask = grid.to_volume(grid.to_stack(image), np.ones(grid.shape[0], bool), image)
    written = array(mask) > 0
    before, after = array(image).astype(float), array(result).astype(float)
    error = 100 * np.abs(after - before)[written].mean() / np.ptp(before)
    assert error <= BOUND[grid.mode]
    assert written[before > 20].mean() > 0.95


@pytest.mark.parametrize("name", GRIDS)
def test_output_has_the_grid_and_type_of_the_input(volume, name):
    image = volume(name)
    grid = StackGrid.for_image(image, RULE)
    result, mask = grid.to_volume(grid.to_stack(image), some_slices(grid), image)
    assert_same_geometry(result, image)
    assert_same_geometry(mask, image)
    assert result.GetPixelID() == image.GetPixelID()
    assert mask.GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize("name", GRIDS)
def test_voxels_outside_the_mask_are_untouched_and_inside_are_written(volume, name):
    image = volume(name)
    grid = StackGrid.for_image(image, RULE)
    generated = some_slices(grid)
    stack = grid.to_stack(image)
    stack[generated] = 5000
    result, mask = grid.to_volume(stack, generated, image)
    written = array(mask) > 0
    assert np.array_equal(array(result)[~written], array(image)[~written])
    changed = array(result) != array(image)
    assert changed[written].all()
    assert 0 < written.mean() < 0.6


@pytest.mark.parametrize("name", [name for name in GRIDS if name not in INTERPOLATED])
def test_exact_stack_slices_are_whole_native_slices(volume, name):
    image = volume(name)
    grid = StackGrid.for_image(image, RULE)
    _, mask = grid.to_volume(grid.to_stack(image), some_slices(grid), image)
    per_slice = array(mask).mean(axis=(1, 2))
    field = min(1, 256 / image.GetWidth()) * min(1, 256 / image.GetHeight())
    assert np.allclose(np.unique(per_slice), [0, field])


@pytest.mark.parametrize("name", share(list(GRIDS), 6))
def test_inputs_are_not_modified(volume, name):
    image = volume(name)
    before = array(image)
    grid = StackGrid.for_image(image, RULE)
    stack = grid.to_stack(image)
    copy = stack.copy()
    grid.to_volume(stack, some_slices(grid), image)
    assert np.array_equal(array(image), before)
    assert np.array_equal(stack, copy)


@pytest.mark.parametrize("name", GRIDS)
def test_anterior_is_row_0_right_is_column_0_inferior_is_slice_0(volume, name):
    image = volume(name)
    grid = StackGrid.for_image(image, RULE)
    marker = phantoms.gtv(*GRIDS[name][:3], radius_mm=8, at=(40, 20, 20))
    slice_, row, column = np.argwhere(grid.to_stack(marker, label=True)).mean(axis=0) - np.array(grid.shape) / 2
    assert column * grid.spacing[0] > 30
    assert row * grid.spacing[1] > 10
    assert slice_ * grid.spacing[2] > 4


@pytest.mark.parametrize("name", GRIDS)
def test_mask_on_another_grid_lands_in_the_same_place(volume, name):
    grid = StackGrid.for_image(volume(name), RULE)
    other = phantoms.gtv((90, 80, 70), (1.1, 1.2, 1.3), rotation("z", 12), center=(22, -14, 21))
    stack = grid.to_stack(other, label=True)
    assert stack.dtype == bool
    center = phantoms.voxel_mean(grid.as_image(stack.astype(np.uint8)))
    assert np.linalg.norm(center - np.array(phantoms.GTV_CENTER)) < 0.3 * max(*grid.spacing, 2)
    volume_ml = stack.sum() * np.prod(grid.spacing) / 1000
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.12)


def test_stack_is_float32_and_padded_with_the_image_minimum():
    image = phantoms.head((200, 200, 5), (0.9, 0.9, 5), pixel=sitk.sitkInt16) - 17
    stack = StackGrid.for_image(image, RULE).to_stack(image)
    assert stack.dtype == np.float32
    assert stack.shape == (5, 256, 256)
    assert (stack[:, :28] == -17).all()
    assert stack[:, 28:228, 28:228].max() == array(image).max()


@pytest.mark.parametrize("pixel", [sitk.sitkUInt8, sitk.sitkUInt16, sitk.sitkInt32, sitk.sitkFloat32, sitk.sitkFloat64])
def test_pixel_types_survive(pixel):
    image = sitk.Cast(sitk.Cast(phantoms.head((256, 200, 6), (0.9, 0.9, 20)), sitk.sitkFloat32) / 4, pixel)
    grid = StackGrid.for_image(image, RULE)
    result, _ = grid.to_volume(grid.to_stack(image), np.ones(6, bool), image)
    assert result.GetPixelID() == pixel
    assert np.array_equal(array(result), array(image).astype(np.float32))


def test_integers_are_rounded_and_clamped():
    image = sitk.Cast(phantoms.head((256, 256, 4), (0.9, 0.9, 20)) / 4, sitk.sitkUInt8)
    grid = StackGrid.for_image(image, RULE)
    stack = grid.to_stack(image)
    stack[0], stack[1], stack[2] = -3.2, 300.0, 7.6
    result, _ = grid.to_volume(stack, np.array([True, True, True, False]), image)
    assert [int(np.unique(plane)[0]) for plane in array(result)[:3]] == [0, 255, 8]


def test_nothing_generated_gives_the_input(volume):
    image = volume("coronal")
    grid = StackGrid.for_image(image, RULE)
    result, mask = grid.to_volume(grid.to_stack(image), np.zeros(grid.shape[0], bool), image)
    assert np.array_equal(array(result), array(image))
    assert not array(mask).any()


def test_a_large_field_is_cropped_about_the_head():
    image = phantoms.head((400, 400, 10), (0.9, 0.9, 12), center=(50, -40, 0))
    grid = StackGrid.for_image(image, RULE)
    center = phantoms.voxel_mean(grid.as_image((grid.to_stack(image) > 100).astype(np.uint8)))
    window = np.array(grid.origin)[:2] + 127.5 * 0.9
    assert np.abs(window - center[:2]).max() < 3


@pytest.mark.parametrize("name", ["axial", "flipped", "oblique", "big matrix", "coronal", "tilted by 45 degrees"])
def test_slice_positions_do_not_depend_on_the_crop(volume, name):
    image = volume(name)
    axis = int(np.abs(np.reshape(image.GetDirection(), (3, 3))[2]).argmax())
    cut = [slice(None)] * 3
    cut[axis] = slice(3, image.GetSize()[axis] - 4)
    whole = StackGrid.for_image(image, RULE).slice_positions_mm
    part = StackGrid.for_image(image[tuple(cut)], RULE).slice_positions_mm
    assert 0 < len(part) < len(whole)
    assert set(part) <= set(whole)


def test_slice_positions_survive_a_file(volume, tmp_path):
    image = volume("oblique")
    sitk.WriteImage(image, tmp_path / "image.nii.gz")
    again = sitk.ReadImage(tmp_path / "image.nii.gz")
    first, second = (StackGrid.for_image(i, RULE).slice_positions_mm for i in (image, again))
    assert np.array_equal(first, second)


def test_slice_positions_are_along_the_normal_in_mm(volume):
    positions = StackGrid.for_image(volume("axial"), RULE).slice_positions_mm
    assert positions[0] == pytest.approx(-9.5 * 6.5, abs=0.01)
    assert np.allclose(np.diff(positions), 6.5, atol=0.011)


def test_a_rounded_direction_is_still_exact():
    image = phantoms.head((256, 256, 12), (0.9, 0.9, 10), np.round(OBLIQUE, 4))
    grid = StackGrid.for_image(image, RULE)
    result, mask = grid.to_volume(grid.to_stack(image), np.ones(12, bool), image)
    assert grid.mode == "exact"
    assert np.array_equal(array(result), array(image))
    assert array(mask).all()


def test_resampled_slabs_meet_without_gaps(volume):
    image = volume("sagittal")
    grid = StackGrid.for_image(image, RULE)
    _, mask = grid.to_volume(grid.to_stack(image), np.ones(grid.shape[0], bool), image)
    assert array(mask).mean() > 0.99


def test_resampled_slab_edges_use_the_image_next_to_them(volume):
    image = volume("sagittal 3-D")
    grid = StackGrid.for_image(image, RULE)
    generated = some_slices(grid)
    everything, _ = grid.to_volume(grid.to_stack(image), np.ones(grid.shape[0], bool), image)
    some, mask = grid.to_volume(grid.to_stack(image), generated, image)
    inside = array(mask) > 0
    assert np.array_equal(array(some)[inside], array(everything)[inside])


def test_rule_survives_json():
    rule = InPlaneRule(size=128, native_spacing_mm=(1.5, 2.0))
    assert InPlaneRule.from_dict(rule.to_dict()) == rule
    assert isinstance(rule.to_dict()["native_spacing_mm"], list)


def test_rule_refuses_an_unknown_key():
    with pytest.raises(BundleSchemaError, match="color"):
        InPlaneRule.from_dict({"color": 1})


def test_a_stack_of_more_slices_than_any_head_is_refused():
    image = phantoms.empty((64, 64, 64), (500, 500, 500), rotation("x", 45))
    with pytest.raises(GeometryError, match="slices"):
        StackGrid.for_image(image, RULE)


def test_generated_slices_outside_the_image_are_an_error(volume):
    image = volume("coronal")
    grid = StackGrid.for_image(image, RULE)
    image = sitk.Image(image)
    image.SetOrigin((1e6, 1e6, 1e6))
    with pytest.raises(GeometryError, match="None of the generated slices"):
        grid.to_volume(np.zeros(grid.shape, np.float32), some_slices(grid), image)


def test_a_slab_holds_the_slices_between_the_first_and_the_last(volume):
    grid = StackGrid.for_image(volume("axial"), RULE)
    slab, inside = grid.slab(np.array([3, 4, 7]))
    assert slab.GetSize() == (256, 256, 5)
    assert slab.GetOrigin() == grid.reference[:, :, 3:].GetOrigin()
    assert inside.tolist() == [0, 1, 4]


@pytest.mark.parametrize("count", [60, 160])
def test_the_stack_lies_around_the_head_however_many_voxels_the_volume_has(count):
    """Of a large volume every n-th voxel is looked at."""
    spacing, middle = 480 / count, np.array((150.0, 300.0, 240.0))
    z, y, x = np.ogrid[:count, :count, :count]
    squares = [(index * spacing - place) ** 2 for index, place in zip((x, y, z), middle, strict=True)]
    image = sitk.GetImageFromArray((sum(squares) < 80**2).astype(np.uint8))
    image.SetSpacing([spacing] * 3)
    grid = StackGrid.for_image(image, InPlaneRule())
    center = np.array(grid.origin) + (np.array(grid.size) - 1) / 2 * np.array(grid.spacing)
    assert np.abs(center - middle)[:2].max() < spacing


@pytest.mark.parametrize("name", [name for name, grid in GRIDS.items() if grid[3] == "resampled"])
def test_the_slices_of_a_resampled_stack_fill_the_volume_and_none_lies_beyond(volume, name):
    image = volume(name)
    grid = StackGrid.for_image(image, RULE)
    along = np.array(grid.direction)[2::3]
    corners, first = outer_corners(image) @ along, grid.origin @ along
    last, step = first + (grid.size[2] - 1) * grid.spacing[2], grid.spacing[2]
    assert corners.min() <= first < corners.min() + step
    assert corners.max() - step < last <= corners.max()


@pytest.mark.parametrize(
    "sides, mode",
    [
        ((0.9, 0.93), "exact"),
        ((0.93, 0.9), "exact"),
        ((0.87, 1.0), "in-plane"),
        *(((side, side), "exact") for side in (0.79995, 0.8, 1.05, 1.05005)),  # headers hold rounded limits
        *(((side, side), "in-plane") for side in (0.799, 1.051)),
    ],
)
def test_pixels_that_are_nearly_square_stay_and_oblong_ones_become_square(sides, mode):
    grid = StackGrid.for_image(phantoms.head((240, 240, 6), (*sides, 8.0), IDENTITY), RULE)
    assert grid.mode == mode
    assert grid.spacing[:2] == (sides if mode == "exact" else (RULE.spacing_mm, RULE.spacing_mm))


def middle_of_the_window(grid: StackGrid) -> np.ndarray:
    """In-plane, LPS mm, of an axial stack that is not tilted."""
    return np.array(grid.origin)[:2] + (np.array(grid.size[:2]) - 1) / 2 * np.array(grid.spacing[:2])


def middle_of_the_volume(image: sitk.Image) -> np.ndarray:
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))[:2]


def test_a_volume_smaller_than_the_window_lies_in_its_middle():
    image = phantoms.head((160, 180, 8), (0.9, 0.9, 8), center=(30, -20, 0))
    window = middle_of_the_window(StackGrid.for_image(image, RULE))
    np.testing.assert_allclose(window, middle_of_the_volume(image), atol=0.5)  # pixels coincide with the image's


def test_a_volume_in_which_no_head_is_found_is_cropped_about_its_middle():
    image = phantoms.head((300, 320, 4), (0.9, 0.9, 12)) * 0 + 7
    window = middle_of_the_window(StackGrid.for_image(image, RULE))
    np.testing.assert_allclose(window, middle_of_the_volume(image), atol=0.5)


@pytest.mark.parametrize("away", [90.0, -90.0])
def test_the_window_does_not_leave_the_volume_though_the_head_lies_at_its_edge(away):
    image = phantoms.head((400, 400, 4), (0.9, 0.9, 12), center=(away, away, 0))
    grid = StackGrid.for_image(image, RULE)
    low, high = (np.array(edge)[:2] for edge in (outer_corners(image).min(axis=0), outer_corners(image).max(axis=0)))
    window = np.array(grid.origin)[:2] - 0.45
    assert (window >= low - 1e-3).all() and (window + 256 * 0.9 <= high + 1e-3).all()


def test_a_volume_between_two_slices_of_the_lattice_has_the_nearest():
    image = phantoms.head((200, 2, 32), (1, 1, 5), SAGITTAL)
    x, y, _ = image.GetOrigin()
    image.SetOrigin((x, y, 2.3))  # from 0.8 to 2.8 mm, where slices lie every 3 mm
    grid = StackGrid.for_image(image, RULE)
    assert (grid.size[2], grid.mode) == (1, "resampled")
    assert grid.origin[2] == pytest.approx(3.0)
