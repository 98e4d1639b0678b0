"""What departments' files have really been: each ends in the right volume, a note that says so, or a typed refusal.

The names in parentheses are those of the public reports in which such files were found.
"""

from pathlib import Path

import hard_cases
import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import errors
from GBMResponseCore.inputs.case import Case, load_case
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.inputs.preprocessing import InPlaneRule, fit_scale
from hard_cases import GTV_ML, SPACING, affine, write_nifti
from scipy import ndimage

MOVED = affine((12, 0, 10))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the plain head and GTV; tests replace what they spoil."""
    write_nifti(tmp_path / "image.nii.gz", hard_cases.head())
    write_nifti(tmp_path / "gtv.nii.gz", hard_cases.gtv(), "uint8")
    return tmp_path


def load(folder: Path, image: str = "image.nii.gz", gtv: str = "gtv.nii.gz", **options) -> Case:
    return load_case(folder / image, folder / gtv, **options)


def codes(case: Case) -> list[str]:
    return [note.code for note in case.notes]


def sentence(case: Case, code: str) -> str:
    return next(note.sentence for note in case.notes if note.code == code)


def assert_as_drawn(case: Case) -> None:
    """The GTV lies at its voxels, with the right volume, and the model sees the head upright."""
    mask = sitk.GetArrayViewFromImage(case.gtv)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [3, 4]
    assert np.argwhere(mask).mean(axis=0)[:0:-1].tolist() == [22, 42]
    assert case.gtv_volume_ml == pytest.approx(GTV_ML)
    assert case.image.GetSpacing() == pytest.approx(SPACING)
    stack = StackGrid.for_image(case.image, InPlaneRule()).to_stack(case.gtv, label=True)
    row, column = np.argwhere(stack).mean(axis=0)[1:]
    assert row < 110 and column < 110  # anterior, and on the patient's right


def scale(case: Case) -> tuple[float, float]:
    fitted = fit_scale(sitk.GetArrayViewFromImage(case.image))
    return fitted.low, fitted.high


def test_the_plain_case_is_as_drawn_and_has_no_notes(folder):
    case = load(folder)
    assert_as_drawn(case)
    assert case.notes == []


# Orientation


def test_a_gtv_with_the_sform_alone_lands_at_its_voxels_in_an_image_whose_forms_disagree(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=MOVED, codes=(1, 2))
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=MOVED, codes=(0, 2))
    case = load(folder)
    assert_as_drawn(case)
    assert sentence(case, "qform-sform") == "qform and sform of the image disagree by 15.6 mm; the sform is used."


def test_a_gtv_drawn_on_the_qform_lands_at_its_voxels_in_an_image_whose_forms_disagree(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=MOVED, codes=(1, 2))
    case = load(folder)
    assert_as_drawn(case)
    assert "the qform is used" in sentence(case, "qform-sform")
    assert case.image.GetOrigin() == pytest.approx((-56.7, 56.7, -17.5))


def test_image_and_gtv_whose_forms_disagree_alike_are_as_drawn_and_noted(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=MOVED, codes=(1, 2))
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=MOVED, codes=(1, 2))
    case = load(folder)
    assert_as_drawn(case)
    assert codes(case) == ["qform-sform", "qform-sform"]


def test_a_gtv_that_fits_neither_form_of_the_image_is_refused(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=MOVED, codes=(1, 2))
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=affine((3, 0, 0)), codes=(0, 1))
    with pytest.raises(errors.GeometryError, match="qform and sform of the image disagree") as caught:
        load(folder)
    assert caught.value.exit_code == 26


def test_a_sheared_sform_is_passed_over_for_the_qform(folder):
    sheared = affine()
    sheared[0, 1] = 0.7
    for name, array, dtype in (("image", hard_cases.head(), "int16"), ("gtv", hard_cases.gtv(), "uint8")):
        write_nifti(folder / f"{name}.nii.gz", array, dtype, sform=sheared, codes=(1, 4))
    case = load(folder)
    assert_as_drawn(case)
    assert sentence(case, "qform-sform") == "The sform of the image has sheared axes; the qform is used."


def test_files_without_orientation_are_read_upright_and_say_so(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), codes=(0, 0))
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", codes=(0, 0))
    case = load(folder)
    assert_as_drawn(case)
    assert not case.oriented
    assert "orientation unknown" in sentence(case, "orientation-unknown")


@pytest.mark.parametrize("name", ["image", "gtv"])
def test_an_oriented_and_an_unoriented_file_on_different_grids_are_refused(folder, name):
    array, dtype = (hard_cases.head(), "int16") if name == "image" else (hard_cases.gtv(), "uint8")
    write_nifti(folder / f"{name}.nii.gz", array[:, :, 1:], dtype, codes=(0, 0))
    with pytest.raises(errors.GeometryError, match="does not say which way its axes point"):
        load(folder)


def test_an_analyze_image_says_that_it_has_no_orientation(folder):
    write_nifti(folder / "image.hdr", hard_cases.head(), magic=b"")
    case = load(folder, image="image.hdr")
    assert_as_drawn(case)
    assert codes(case) == ["orientation-unknown"]
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=affine((20, 0, 0)), codes=(0, 1))
    with pytest.raises(errors.GeometryError, match="does not say which way"):
        load(folder, image="image.hdr")


def test_an_nrrd_without_a_space_says_that_its_orientation_is_unknown(folder):
    image = sitk.ReadImage(folder / "image.nii.gz")
    sitk.WriteImage(image, folder / "image.nrrd")
    content = (folder / "image.nrrd").read_bytes()
    (folder / "image.nrrd").write_bytes(content.replace(b"space: left-posterior-superior", b"space dimension: 3"))
    case = load(folder, image="image.nrrd")
    assert_as_drawn(case)
    assert codes(case) == ["orientation-unknown"]


# Spacing and units


@pytest.mark.parametrize("pixdim", [(1, 1, 1), (1.8, 1.8, 0)], ids=["ones", "a zero"])
def test_a_wrong_pixdim_beside_a_right_sform_is_not_used(folder, pixdim):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), codes=(0, 1), pixdim=pixdim)
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", codes=(0, 1), pixdim=pixdim)
    case = load(folder)
    assert_as_drawn(case)
    assert sentence(case, "spacing").endswith("that of its sform 1.8 x 1.8 x 5, which is used.")


def test_a_spacing_of_0_without_a_sform_is_refused(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), codes=(0, 0), pixdim=(1.8, 1.8, 0))
    with pytest.raises(errors.GeometryError, match="no size"):
        load(folder)


@pytest.mark.parametrize(("units", "word"), [(1, "meter"), (3, "micron")])
@pytest.mark.parametrize("both", [False, True], ids=["image", "both"])
def test_a_unit_that_no_head_can_have_is_read_as_mm_and_noted(folder, units, word, both):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), units=units)
    if both:
        write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", units=units)
    case = load(folder)
    assert_as_drawn(case)
    assert codes(case) == ["unit"] * (2 if both else 1)
    assert word in sentence(case, "unit")


def test_a_head_that_is_really_in_meters_is_read_in_meters(folder):
    small = affine()
    small[:3] /= 1000
    pixdim = tuple(s / 1000 for s in SPACING)
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=small, codes=(0, 1), pixdim=pixdim, units=1)
    case = load(folder)
    assert case.image.GetSpacing() == pytest.approx(SPACING)
    assert case.notes == []


def test_a_follow_up_that_says_micron_is_read_as_mm_and_noted(folder):
    write_nifti(folder / "later.nii.gz", hard_cases.head(5), units=3)
    case = load(folder, follow_up_path=folder / "later.nii.gz")
    assert case.follow_up.GetSpacing() == pytest.approx(SPACING)
    assert "follow-up" in sentence(case, "unit")


@pytest.mark.parametrize("pixdim", [(0.018, 0.018, 0.05), (18, 18, 50), (1.8, 1.8, 500)])
def test_an_image_that_is_too_small_or_too_large_for_a_head_is_refused(folder, pixdim):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), codes=(1, 0), pixdim=pixdim)
    with pytest.raises(errors.GeometryError, match="that is no head"):
        load(folder)


def test_numbers_in_an_orientation_that_are_none_are_damage(folder):
    broken = affine()
    broken[1, 3] = np.nan
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=broken, codes=(1, 1))
    with pytest.raises(errors.UnreadableFileError, match="orientation has numbers that are none"):
        load(folder)


@pytest.mark.parametrize("kind", ["rounded", "shear"])
def test_nearly_perpendicular_axes_are_straightened(folder, kind):
    turned = np.eye(4)
    (c, s), (c2, s2) = [(np.cos(a), np.sin(a)) for a in np.radians((7.3, 4.1))]
    turned[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array([[c2, 0, s2], [0, 1, 0], [-s2, 0, c2]])
    exact = turned @ affine()
    spoiled = np.round(exact, 3)
    if kind == "shear":
        spoiled = exact.copy()
        spoiled[:3, 0] += 1e-4 * exact[:3, 1]
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=exact, codes=(0, 1))
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=spoiled, codes=(0, 1))
    case = load(folder)
    mask = sitk.GetArrayViewFromImage(case.gtv)
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [3, 4]
    assert case.gtv_volume_ml == pytest.approx(GTV_ML, rel=0.03)
    direction = np.reshape(sitk.ReadImage(folder / "image.nii.gz").GetDirection(), (3, 3))
    assert np.allclose(np.reshape(case.gtv.GetDirection(), (3, 3)), direction)


# Bytes


def test_a_slope_of_0_means_unscaled_whatever_the_intercept(folder):
    plain = sitk.GetArrayFromImage(load(folder).image)
    for scaling in ((0.0, 2000.0), (np.nan, 7.0)):
        write_nifti(folder / "image.nii.gz", hard_cases.head(), scaling=scaling)
        assert np.array_equal(sitk.GetArrayFromImage(load(folder).image), plain)


def test_a_nii_gz_that_is_not_zipped_and_a_nii_that_is_are_read_by_their_content(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), zipped=False)
    assert_as_drawn(load(folder))
    write_nifti(folder / "image.nii", hard_cases.head(), zipped=True)
    assert_as_drawn(load(folder, image="image.nii"))


def test_bytes_after_the_end_are_passed_over(folder):
    with open(folder / "image.nii.gz", "ab") as file:
        file.write(bytes(512) + b"END")
    write_nifti(folder / "gtv.nii", hard_cases.gtv(), "uint8")
    with open(folder / "gtv.nii", "ab") as file:
        file.write(b"END")
    assert_as_drawn(load(folder, gtv="gtv.nii"))


@pytest.mark.parametrize("name", ["image", "gtv"])
@pytest.mark.parametrize("magic", [b"ni1", b""], ids=["NIfTI", "Analyze"])
def test_a_pair_whose_data_file_is_cut_off_is_refused(folder, name, magic):
    array, dtype = (hard_cases.head(), "int16") if name == "image" else (hard_cases.gtv((2, 3, 4, 5)), "uint8")
    write_nifti(folder / f"{name}.hdr", array, dtype, magic=magic)
    data = folder / f"{name}.img"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(errors.UnreadableFileError, match="cut off") as caught:
        load(folder, **{name: f"{name}.hdr"})
    assert caught.value.exit_code == 12


def test_a_pair_is_read_by_either_name_and_refused_without_its_other_half(folder):
    write_nifti(folder / "image.hdr", hard_cases.head(), magic=b"ni1")
    assert_as_drawn(load(folder, image="image.hdr"))
    assert_as_drawn(load(folder, image="image.img"))
    (folder / "image.img").unlink()
    with pytest.raises(errors.UnreadableFileError, match=r"lacks its data file image\.img"):
        load(folder, image="image.hdr")


def test_nifti_2_is_read(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), version=2)
    assert_as_drawn(load(folder))


# Masks


def test_a_gtv_half_a_voxel_off_keeps_its_volume_and_its_two_slices(folder):
    shifted = affine()
    shifted[:3, 3] += shifted[:3, :3] @ [0.5, 0.5, 0.5]
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=shifted, codes=(0, 1))
    case = load(folder)
    mask = sitk.GetArrayViewFromImage(case.gtv)
    assert case.gtv_volume_ml == pytest.approx(GTV_ML, rel=0.1)
    assert mask.any(axis=(1, 2)).sum() == 2
    assert np.abs(np.argwhere(mask).mean(axis=0)[:0:-1] - 22.5 - [0, 20]).max() <= 0.5


def test_a_soft_mask_of_few_whole_levels_is_cut_at_half(folder):
    soft = np.round(ndimage.gaussian_filter(hard_cases.gtv(), (1.5, 1.5, 0)) * 15) * 17
    write_nifti(folder / "gtv.nii.gz", soft, "uint8")
    case = load(folder)
    assert case.gtv_volume_ml == pytest.approx(GTV_ML, rel=0.1)
    assert codes(case) == ["gtv-fractional"]


def test_labels_that_were_interpolated_are_refused(folder):
    core, ring = hard_cases.gtv(radius_mm=9), hard_cases.gtv(radius_mm=20)
    labels = ndimage.gaussian_filter(core + 4 * (ring - core), (0.6, 0.6, 0))
    write_nifti(folder / "gtv.nii.gz", np.where(labels < 0.05, 0, labels), "float32")
    with pytest.raises(errors.NotAMaskError, match="labels 1, 4 and values between them"):
        load(folder)


@pytest.mark.parametrize("sign", [1, -1], ids=["positive inside", "negative inside"])
def test_signed_distances_are_cut_at_0(folder, sign):
    inside = hard_cases.gtv() > 0
    distance = ndimage.distance_transform_edt(inside, SPACING) - ndimage.distance_transform_edt(~inside, SPACING)
    write_nifti(folder / "gtv.nii.gz", sign * distance, "float32")
    case = load(folder)
    assert_as_drawn(case)
    assert codes(case) == ["gtv-signed"]


def test_an_inverted_gtv_is_refused(folder):
    write_nifti(folder / "gtv.nii.gz", 1 - hard_cases.gtv(), "uint8")
    with pytest.raises(errors.NotAMaskError, match="of the head"):
        load(folder)


def test_a_gtv_in_air_is_noted(folder):
    air = np.zeros(hard_cases.SHAPE)
    air[1:9, 1:9, 2:5] = 1
    write_nifti(folder / "gtv.nii.gz", air, "uint8")
    assert "gtv-in-air" in codes(load(folder))


def test_a_gtv_whose_header_is_mirrored_is_told(folder):
    write_nifti(folder / "image.nii.gz", hard_cases.head(), sform=affine((15, -20, 30)), codes=(0, 1))
    mirrored = np.diag([-1, -1, 1, 1]) @ affine((15, -20, 30))
    write_nifti(folder / "gtv.nii.gz", hard_cases.gtv(), "uint8", sform=mirrored, codes=(0, 1))
    with pytest.raises(errors.GeometryError, match="LPS and RAS are exchanged"):
        load(folder)


# Intensities


def test_a_background_of_2000_is_black(folder):
    low, high = scale(load(folder))
    write_nifti(folder / "image.nii.gz", hard_cases.head() + 2000)
    assert scale(load(folder)) == (low + 2000, high + 2000)


def test_one_hot_voxel_does_not_change_the_scale(folder):
    plain = scale(load(folder))
    hot = hard_cases.head()
    hot[30, 30, 4] = 1e9
    write_nifti(folder / "image.nii.gz", hot, "float32")
    assert scale(load(folder)) == plain


@pytest.mark.parametrize("padding", [-1024, -32768])
def test_a_padded_mr_is_read_as_without_its_padding(folder, padding):
    padded = hard_cases.head()
    padded[:6] = padding
    write_nifti(folder / "image.nii.gz", padded)
    case = load(folder)
    assert_as_drawn(case)
    padded[:6] = 0
    write_nifti(folder / "image.nii.gz", padded)
    without = load(folder)
    assert scale(case) == pytest.approx(scale(without), rel=1e-3)
    grids = [StackGrid.for_image(entry.image, InPlaneRule()) for entry in (case, without)]
    assert grids[0] == grids[1]


# Paths


def test_a_folder_is_called_a_folder(folder):
    with pytest.raises(errors.MissingFileError, match="is a folder"):
        load(folder, image=".")


def test_a_name_that_is_too_long_is_a_typed_error(folder):
    with pytest.raises(errors.UnreadableFileError, match="cannot be read"):
        load(folder, image="n" * 300 + ".nii.gz")


def test_a_file_that_cannot_be_read_is_a_typed_error(folder, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("GBMResponseCore.inputs.reading.unzipped", fail)
    with pytest.raises(errors.UnreadableFileError, match=r"cannot be read \(Input/output error\)"):
        load(folder)


def test_a_dicom_file_is_called_one(folder):
    (folder / "IM1").write_bytes(bytes(128) + b"DICM" + bytes(2000))
    with pytest.raises(errors.UnreadableFileError, match="is a DICOM file"):
        load(folder, image="IM1")
