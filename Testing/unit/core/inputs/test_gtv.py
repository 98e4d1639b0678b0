"""What the values of a mask mean, which of them are asked for, and where the mask lies."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import errors
from GBMResponseCore.inputs.case import load_case, make_case
from GBMResponseCore.inputs.gtv import distinct, segment_names

GRID = ((96, 110, 16), (1.8, 1.8, 6.5))


@pytest.fixture(scope="module")
def image() -> sitk.Image:
    return phantoms.head(*GRID)


@pytest.fixture(scope="module")
def inside() -> np.ndarray:
    return sitk.GetArrayFromImage(phantoms.gtv(*GRID)) > 0


@pytest.fixture(scope="module")
def ring() -> np.ndarray:
    return sitk.GetArrayFromImage(phantoms.gtv(*GRID, radius_mm=18)) > 0


def mask_of(voxels: np.ndarray, image: sitk.Image) -> sitk.Image:
    mask = sitk.GetImageFromArray(voxels)
    mask.CopyInformation(image)
    return mask


def found(case) -> np.ndarray:
    return sitk.GetArrayFromImage(case.gtv) > 0


@pytest.fixture
def files(tmp_path, image, inside, ring):
    """Paths of the image and of a segmentation with GTV = 1 and Edema = 4, as 3D Slicer writes it."""
    mask = mask_of((inside + 4 * (ring & ~inside)).astype(np.uint8), image)
    for number, (name, value) in enumerate({"GTV": 1, "Edema": 4}.items()):
        mask.SetMetaData(f"Segment{number}_Name", name)
        mask.SetMetaData(f"Segment{number}_LabelValue", str(value))
        mask.SetMetaData(f"Segment{number}_Layer", "0")
    sitk.WriteImage(image, tmp_path / "image.nrrd")
    sitk.WriteImage(mask, tmp_path / "gtv.seg.nrrd")
    return tmp_path / "image.nrrd", tmp_path / "gtv.seg.nrrd"


# What values mean


@pytest.mark.parametrize("values", [(1, 4), (1, 2), (2, 5, 7), (100, 255)])
def test_nested_and_neighboring_labels_are_labels(image, inside, ring, values):
    voxels = np.where(inside, values[-1], np.where(ring, values[0], 0)).astype(np.uint8)
    if len(values) == 3:
        voxels[:, :, :60][ring[:, :, :60]] = values[1]
    case = make_case(image, mask_of(voxels, image))
    assert [note.code for note in case.notes] == ["gtv-labels"]
    assert np.array_equal(found(case), ring)


def test_many_labels_side_by_side_are_labels(image, ring):
    voxels = np.where(ring, 20 + np.arange(110)[:, None] // 2, 0).astype(np.int16)
    assert np.unique(voxels).size > 8
    case = make_case(image, mask_of(voxels, image))
    assert np.array_equal(found(case), ring)


@pytest.mark.parametrize("highest", [1.0, 100.0, 255.0])
def test_probabilities_are_cut_at_half_of_the_highest(image, inside, highest):
    soft = sitk.SmoothingRecursiveGaussian(mask_of(inside.astype(np.float32), image), 2.0)
    voxels = np.clip(sitk.GetArrayFromImage(soft), 0, None)
    voxels *= highest / voxels.max()
    case = make_case(image, mask_of(voxels, image))
    assert [note.code for note in case.notes] == ["gtv-fractional"]
    assert np.array_equal(found(case), voxels >= np.float32(highest) / 2)


def test_an_ignored_label_below_0_is_background(image, inside, ring):
    voxels = inside.astype(np.int16) - (ring & ~inside)
    case = make_case(image, mask_of(voxels, image))
    assert case.notes == []
    assert np.array_equal(found(case), inside)


def test_a_background_of_minus_1_is_outside(image, inside):
    case = make_case(image, mask_of(np.where(inside, 1, -1).astype(np.int16), image))
    assert np.array_equal(found(case), inside)


def test_a_brain_mask_is_refused(image):
    brain = (sitk.GetArrayFromImage(image) > 100).astype(np.uint8)
    with pytest.raises(errors.NotAMaskError, match="one of the brain"):
        make_case(image, mask_of(brain, image))


def test_a_dark_cavity_in_the_head_is_not_in_air(image):
    ventricle = phantoms.gtv(*GRID, radius_mm=8, at=(14, 0, 10))
    assert "gtv-in-air" not in [note.code for note in make_case(image, ventricle).notes]


@pytest.mark.parametrize("signs", [(-1, -1, 1), (-1, 1, 1), (1, -1, 1)])
def test_a_mirrored_header_is_told_whether_or_not_the_mask_still_overlaps(image, signs):
    for move in ((10, 12, 0), (200, 300, 0)):
        moved, mask = sitk.Image(image), phantoms.gtv(*GRID)
        moved.SetOrigin(np.add(image.GetOrigin(), move).tolist())
        mask.SetOrigin((np.add(image.GetOrigin(), move) * signs).tolist())
        mask.SetDirection(np.diag(signs).astype(float).ravel().tolist())
        with pytest.raises(errors.GeometryError, match="mirrored"):
            make_case(moved, mask)


def test_a_mask_stored_the_other_way_round_is_not_mirrored(image, inside):
    flipped = sitk.Flip(phantoms.gtv(*GRID), (True, True, False))
    assert np.array_equal(found(make_case(image, flipped)), inside)


@pytest.mark.parametrize("change", ["nan", "far"])
def test_places_that_are_none_are_refused(image, change):
    moved = sitk.Image(image)
    moved.SetOrigin((np.nan, 0, 0) if change == "nan" else (1e7, 0, 0))
    mask = phantoms.gtv(*GRID)
    mask.CopyInformation(moved)
    with pytest.raises(errors.GeometryError) as caught:
        make_case(moved, mask)
    assert caught.value.exit_code == 26


# Labels and segments


@pytest.mark.parametrize("labels", [["1"], [1], ["GTV"], ["gtv"]])
def test_a_label_or_a_segment_name_chooses_the_gtv(files, inside, labels):
    case = load_case(*files, gtv_labels=labels)
    assert np.array_equal(found(case), inside)
    assert case.notes == []


@pytest.mark.parametrize("labels", [["1", "4"], ["GTV", "Edema"], ["GTV", 4]])
def test_several_labels_become_one_gtv(files, ring, labels):
    assert np.array_equal(found(load_case(*files, gtv_labels=labels)), ring)


def test_a_label_that_is_not_there_is_noted_beside_one_that_is(files, inside):
    case = load_case(*files, gtv_labels=[1, 7])
    assert np.array_equal(found(case), inside)
    assert [(note.code, note.sentence) for note in case.notes] == [
        ("gtv-label-missing", "The GTV has no voxels with the label 7.")
    ]


def test_labels_of_which_none_is_there_are_refused_with_those_that_are(files):
    with pytest.raises(errors.EmptyGTVError, match=r"label 7; it has Edema, GTV\."):
        load_case(*files, gtv_labels=[7])


def test_an_unknown_segment_is_refused_with_the_names(files):
    with pytest.raises(errors.OptionError, match="no segment 'Tumor'; it has the segments GTV, Edema"):
        load_case(*files, gtv_labels=["Tumor"])


def test_a_segment_of_a_layered_segmentation_is_chosen_by_its_layer(tmp_path, files, inside, ring):
    image, _ = files
    layers = [mask_of(layer.astype(np.uint8), sitk.ReadImage(image)) for layer in (ring, inside)]
    layered = sitk.Compose(layers)
    for number, name in enumerate(("Edema", "GTV")):
        layered.SetMetaData(f"Segment{number}_Name", name)
        layered.SetMetaData(f"Segment{number}_LabelValue", "1")
        layered.SetMetaData(f"Segment{number}_Layer", str(number))
    sitk.WriteImage(layered, tmp_path / "layered.seg.nrrd")
    assert np.array_equal(found(load_case(image, tmp_path / "layered.seg.nrrd", gtv_labels=["GTV"])), inside)
    with pytest.raises(errors.ColorImageError, match="Edema, GTV"):
        load_case(image, tmp_path / "layered.seg.nrrd")


def test_segments_are_read_from_the_header():
    values = {"Segment0_Name": "A", "Segment0_LabelValue": "3", "Segment0_Layer": "1", "Segment1_Name": "B", "x": "y"}
    assert segment_names(values) == {"A": (1, 3), "B": (0, 1)}


def test_distinct_values_are_all_found_if_they_are_few():
    voxels = np.zeros(3_000_000, np.int16)
    voxels[[5, 77_777, 2_999_999]] = 3, -4, 9
    assert distinct(voxels, 16).tolist() == [-4, 0, 3, 9]
    assert distinct(np.arange(3_000_000), 16).size == 17
