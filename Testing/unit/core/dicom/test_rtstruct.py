import os
from pathlib import Path

import numpy as np
import phantoms
import pydicom
import pytest
import SimpleITK as sitk
from fake_dicom import ball_contours, remove_preamble, write_series, write_structures
from GBMResponseCore.dicom.rtstruct import Roi, check_frame, choose_rois, draw_rois, rasterize, read_structure_set
from GBMResponseCore.dicom.series import read_series
from GBMResponseCore.dicom.tree import Series, scan_tree
from GBMResponseCore.errors import FrameOfReferenceError, NoOverlapError, StructureSetError

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


def test_a_contour_inside_a_hole_is_filled_again(plane):
    assert rasterize([square(-0.5, 7.5), square(0.5, 6.5), square(2.5, 4.5)], plane).sum() == 64 - 36 + 4


def test_a_contour_that_is_drawn_twice_is_filled(plane):
    assert rasterize([square(0.5, 6.5), square(0.5, 6.5)], plane).sum() == 36


def test_a_contour_that_is_drawn_again_with_other_points_is_filled():
    wide = sitk.Image((64, 64, 1), sitk.sitkUInt8)
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)[:, None]
    circles = [
        np.hstack([30 + r * np.cos(angle), 30 + r * np.sin(angle), 0 * angle])[::step]
        for r, step in ((20, 1), (20.1, 30))
    ]
    assert rasterize(circles, wide).sum() == pytest.approx(np.pi * 20**2, rel=0.02)


def test_a_thin_rim_is_a_rim():
    wide = sitk.Image((64, 64, 1), sitk.sitkUInt8)
    rim = rasterize([square(4.5, 44.5), square(5.5, 43.5)], wide)
    assert rim.sum() == 40 * 40 - 38 * 38


def test_contours_that_overlap_are_united(plane):
    assert rasterize([square(-0.5, 4.5), square(2.5, 7.5)], plane).sum() == 25 + 25 - 4


def test_a_hole_stays_a_hole_beside_a_contour_that_overlaps_its_edge():
    wide = sitk.Image((20, 20, 1), sitk.sitkUInt8)
    outer, hole, other = square(0.5, 12.5), square(4.5, 8.5), square(10.5, 16.5)
    assert rasterize([outer, hole, other], wide).sum() == 144 - 16 + 36 - 4


def test_two_holes_that_overlap_are_one(plane):
    assert rasterize([square(-0.5, 7.5), square(0.5, 3.5), square(2.5, 5.5)], plane).sum() == 64 - (9 + 9 - 1)


def test_contours_that_exclude_each_other_do_so(tmp_path, plane):
    contours = [square(-0.5, 4.5), square(2.5, 7.5)]
    assert rasterize(contours, plane, exclusive=True).sum() == 25 + 25 - 2 * 4


def test_the_type_of_a_contour_decides_how_it_is_combined(tmp_path):
    image = phantoms.empty(*GRID)
    circles = ball_contours(image, (0, 0, 0), 9)
    header = write_series(tmp_path / "series", image)
    count = {}
    for kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
        path = write_structures(tmp_path / "RS.dcm", header, {"GTV": [*circles, *circles[:2]]}, kind=kind)
        found = read_structure_set(path)
        count[kind] = sitk.GetArrayFromImage(draw_rois(found, found.rois, image)).any(axis=(1, 2)).sum()
    assert count == {"CLOSED_PLANAR": len(circles), "CLOSEDPLANAR_XOR": len(circles) - 2}


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


@pytest.mark.parametrize(
    "names",
    [
        ("GTV_T1", "PTV=GTV+5mm"),
        ("gtv T1", "GTV 5 mm", "CTV_GTV"),
        ("GTV_during", "Brain-GTV", "z ring GTV", "GTV+3", "GTV_margin", "GTV minus edema", "zGTV opt"),
    ],
)
def test_what_is_made_from_a_gtv_is_no_gtv(tmp_path, image, names):
    found = structures(tmp_path, image, dict.fromkeys(names, ball_contours(image, (0, 0, 0), 9)))
    assert [roi.name for roi in choose_rois(found)] == list(names[:1])


def test_a_pattern_of_ones_own_is_taken_at_its_word(tmp_path, image):
    circles = ball_contours(image, (0, 0, 0), 9)
    found = structures(tmp_path, image, {"GTV_T1": circles, "PTV=GTV+5mm": circles})
    assert [roi.name for roi in choose_rois(found, "^ptv")] == ["PTV=GTV+5mm"]


def test_an_empty_region_beside_a_drawn_one_is_passed_over(tmp_path, image):
    found = structures(tmp_path, image, {"GTV1": ball_contours(image, (0, 0, 0), 9), "GTV2": []})
    assert [roi.name for roi in choose_rois(found)] == ["GTV1"]
    assert [roi.drawn for roi in found.rois] == [True, False]


def test_an_empty_gtv_is_passed_over_for_a_drawn_region_of_another_name(tmp_path, image):
    found = structures(tmp_path, image, {"GTV": [], "GTV_T1": ball_contours(image, (0, 0, 0), 9)})
    assert [roi.name for roi in choose_rois(found)] == ["GTV_T1"]


def test_of_two_regions_of_one_name_the_drawn_one_is_taken(tmp_path, image):
    found = structures(tmp_path, image, {"GTV": ball_contours(image, (0, 0, 0), 9), "gtv": []})
    assert [roi.number for roi in choose_rois(found)] == [1]
    assert [roi.number for roi in choose_rois(found, names=["GTV"])] == [1]


def test_an_empty_region_that_was_asked_for_is_refused(tmp_path, image):
    found = structures(tmp_path, image, {"GTV1": ball_contours(image, (0, 0, 0), 9), "GTV2": []})
    with pytest.raises(StructureSetError, match="GTV2 has no closed contour"):
        choose_rois(found, names=["GTV1", "GTV2"])


def test_a_region_outside_the_image(tmp_path, image):
    far = [
        circle + np.reshape(image.GetDirection(), (3, 3))[:, 0] * 500 for circle in ball_contours(image, (0, 0, 0), 9)
    ]
    found = structures(tmp_path, image, {"GTV": far})
    with pytest.raises(NoOverlapError):
        draw_rois(found, choose_rois(found), image)


def series(frame):
    return Series("1", "MR", "P", "P", "20200101", "T1", "1", frame, ())


def test_frames_of_reference_that_are_not_stated_are_not_the_same():
    with pytest.raises(FrameOfReferenceError, match="not stated"):
        check_frame([Roi(1, "GTV", "")], series(""))
    with pytest.raises(FrameOfReferenceError, match="region GTV is not stated"):
        check_frame([Roi(1, "GTV", "")], series("1.2"))
    with pytest.raises(FrameOfReferenceError, match="another frame of reference"):
        check_frame([Roi(1, "GTV", "1.3")], series("1.2"))
    check_frame([Roi(1, "GTV", "1.2")], series("1.2"))


def without(path, edit):
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)
    return path


def no_roi_number(dataset):
    del dataset.StructureSetROISequence[0].ROINumber


def no_series_uid(dataset):
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    del study.RTReferencedSeriesSequence[0].SeriesInstanceUID


def no_referenced_roi(dataset):
    del dataset.ROIContourSequence[0].ReferencedROINumber


def two_numbers(dataset):
    dataset.ROIContourSequence[0].ContourSequence[0].ContourData = [1, 2]


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (no_roi_number, "lacks ROINumber"),
        (no_series_uid, "lacks SeriesInstanceUID"),
        (no_referenced_roi, "lacks ReferencedROINumber"),
        (two_numbers, "impossible value"),
    ],
)
def test_a_structure_set_that_lacks_a_tag_is_refused_with_its_name(tmp_path, image, edit, text):
    header = write_series(tmp_path / "series", image)
    path = write_structures(tmp_path / "RS.dcm", header, {"GTV": ball_contours(image, (0, 0, 0), 9)})
    with pytest.raises(StructureSetError, match=text):
        read_structure_set(without(path, edit))


def test_a_structure_set_without_a_preamble_is_read(tmp_path, image):
    header = write_series(tmp_path / "series", image)
    write_structures(tmp_path / "rs" / "RS.dcm", header, {"GTV": ball_contours(image, (0, 0, 0), 9)})
    remove_preamble(tmp_path / "rs", 0)
    ((_, _, path),) = scan_tree(tmp_path).structure_sets
    assert [roi.name for roi in read_structure_set(path).rois] == ["GTV"]


def test_a_damaged_file(tmp_path):
    (tmp_path / "RS.dcm").write_bytes(b"DICM")
    with pytest.raises(StructureSetError, match="cannot be read"):
        read_structure_set(tmp_path / "RS.dcm")
