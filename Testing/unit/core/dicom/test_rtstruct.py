import os
from pathlib import Path

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from fake_dicom import ball_contours, write_series, write_structures
from GBMResponseCore.dicom.rtstruct import choose_rois, draw_rois, rasterize, read_structure_set
from GBMResponseCore.dicom.series import read_series
from GBMResponseCore.dicom.tree import scan_tree
from GBMResponseCore.errors import NoOverlapError, StructureSetError

REPOSITORY = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("GBMRESPONSE_SHARED", REPOSITORY.parent / "shared")) / "data"

GRID = ((40, 44, 12), (2.0, 2.0, 4.0))
TURNED = phantoms.rotation("x", 20) @ phantoms.rotation("z", 10)


@pytest.fixture(params=[phantoms.IDENTITY, TURNED], ids=["axial", "oblique"])
def image(request) -> sitk.Image:
    return phantoms.empty(*GRID, direction=request.param)


@pytest.fixture
def plane() -> sitk.Image:
    """One slice of pixels of 1 mm, the first one at 0."""
    return sitk.Image((8, 8, 1), sitk.sitkUInt8)


def square(low: float, high: float, z: float = 0) -> np.ndarray:
    return np.array([(low, low, z), (high, low, z), (high, high, z), (low, high, z)])


def structures(tmp_path, image, rois, **more):
    header = write_series(tmp_path / "series", image)
    return read_structure_set(write_structures(tmp_path / "RS.dcm", header, rois, **more))


# Voxels


def test_published_mask_is_reproduced_exactly():
    source = DATA / "rtstruct-oracle" / "STS_001"
    if not source.is_dir():
        pytest.skip(f"rtstruct-oracle is not in the shared data folder {DATA}")
    tree = scan_tree(source)
    found = read_structure_set(tree.structure_sets[0][2])
    mask = draw_rois(found, choose_rois(found), read_series(tree.series[0]))
    truth = sitk.ReadImage(str(source / "nifti" / "MR_T1_mask.nii.gz"))
    assert sitk.GetArrayFromImage(mask).sum() == 117145
    assert np.array_equal(sitk.GetArrayFromImage(mask) > 0, sitk.GetArrayFromImage(truth) > 0)


def test_a_ball(image):
    mask = rasterize(ball_contours(image, (6, -4, 3), 14), image)
    ball = sitk.GetArrayFromImage(phantoms.gtv(*GRID, direction=np.reshape(image.GetDirection(), (3, 3)),
                                               radius_mm=14, at=(6, -4, 3))) > 0  # fmt: skip
    assert np.count_nonzero(mask ^ ball) < 0.01 * ball.sum()


def test_a_pixel_is_inside_by_its_center(plane):
    assert np.argwhere(rasterize([square(1.6, 4.4)], plane)[0]).tolist() == [
        [y, x] for y in (2, 3, 4) for x in (2, 3, 4)
    ]


def test_a_contour_inside_another_is_a_hole(plane):
    mask = rasterize([square(0.5, 6.5), square(2.5, 4.5)], plane)
    assert mask.sum() == 36 - 4
    assert not mask[0, 3:5, 3:5].any()


def test_contours_side_by_side(plane):
    assert rasterize([square(0.5, 2.5), square(4.5, 6.5)], plane).sum() == 8


def test_a_contour_that_leaves_the_image(plane):
    assert rasterize([square(-3, 2.5)], plane).sum() == 9


def test_contours_above_the_image_are_left_out(plane):
    assert not rasterize([square(1, 4, z=5)], plane).any()


@pytest.mark.parametrize("z", [0.4, -0.3])
def test_a_contour_between_slices(plane, z):
    with pytest.raises(StructureSetError, match="does not lie in a slice"):
        rasterize([square(1, 4, z=z)], plane)


def test_a_contour_across_slices(image):
    points = ball_contours(image, (0, 0, 0), 10)[2]
    points[0] += (0, 0, 3)
    with pytest.raises(StructureSetError, match="does not lie in a slice"):
        rasterize([points], image)


# Regions


def test_structure_set(tmp_path, image):
    found = structures(tmp_path, image, {"GTV": ball_contours(image, (0, 0, 0), 9)})
    (roi,) = choose_rois(found)
    assert roi.name == "GTV"
    assert len(found.series) == 1
    assert found.time == "20200102120000"
    assert sitk.GetArrayFromImage(draw_rois(found, [roi], image)).any()


@pytest.mark.parametrize(
    "names, chosen",
    [
        (("Brain", "gtv_1"), ["gtv_1"]),
        (("GTV1", "GTV2", "CTV"), ["GTV1", "GTV2"]),
        (("GTV", "GTV_old", "PTV"), ["GTV"]),
        (("Gtv", "PTV_gtv"), ["Gtv"]),
    ],
)
def test_regions_by_name(tmp_path, image, names, chosen):
    found = structures(tmp_path, image, dict.fromkeys(names, ball_contours(image, (0, 0, 0), 9)))
    assert [roi.name for roi in choose_rois(found)] == chosen


def test_regions_that_were_asked_for(tmp_path, image):
    circles = ball_contours(image, (0, 0, 0), 9)
    found = structures(tmp_path, image, {"GTV": circles, "Cavity": circles})
    assert [roi.name for roi in choose_rois(found, names=["cavity", "gtv"])] == ["Cavity", "GTV"]
    assert [roi.name for roi in choose_rois(found, "cav")] == ["Cavity"]
    with pytest.raises(StructureSetError, match="no region Edema; there are: GTV, Cavity"):
        choose_rois(found, names=["GTV", "Edema"])


def test_no_gtv(tmp_path, image):
    found = structures(tmp_path, image, {"Brain": ball_contours(image, (0, 0, 0), 9)})
    with pytest.raises(StructureSetError, match="'gtv'; there are: Brain"):
        choose_rois(found)


def test_regions_are_united(tmp_path, image):
    circles = {"GTV1": ball_contours(image, (12, 0, 0), 9), "GTV2": ball_contours(image, (-12, 0, 0), 9)}
    found = structures(tmp_path, image, circles)
    both = sitk.GetArrayFromImage(draw_rois(found, choose_rois(found), image))
    single = [rasterize(contours, image) for contours in circles.values()]
    assert np.array_equal(both > 0, single[0] | single[1])


def test_an_empty_region(tmp_path, image):
    found = structures(tmp_path, image, {"GTV": []})
    with pytest.raises(StructureSetError, match="no closed contour"):
        draw_rois(found, choose_rois(found), image)


def test_points_are_no_contours(tmp_path, image):
    found = structures(tmp_path, image, {"GTV": ball_contours(image, (0, 0, 0), 9)}, kind="POINT")
    with pytest.raises(StructureSetError, match="no closed contour"):
        draw_rois(found, choose_rois(found), image)


def test_a_region_outside_the_image(tmp_path, image):
    far = [
        circle + np.reshape(image.GetDirection(), (3, 3))[:, 0] * 500 for circle in ball_contours(image, (0, 0, 0), 9)
    ]
    found = structures(tmp_path, image, {"GTV": far})
    with pytest.raises(NoOverlapError):
        draw_rois(found, choose_rois(found), image)


def test_a_damaged_file(tmp_path):
    (tmp_path / "RS.dcm").write_bytes(b"DICM")
    with pytest.raises(StructureSetError, match="cannot be read"):
        read_structure_set(tmp_path / "RS.dcm")
