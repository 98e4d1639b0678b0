import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import errors
from GBMResponseCore.inputs.case import Case, load_case, make_case
from GBMResponseCore.inputs.reading import sha256_of_image

GRID = ((96, 110, 16), (1.8, 1.8, 6.5))
GTV_ML = 4 / 3 * np.pi * 1.2**3


@pytest.fixture
def image() -> sitk.Image:
    return phantoms.head(*GRID)


@pytest.fixture
def gtv() -> sitk.Image:
    return phantoms.gtv(*GRID)


def fails(error: type[errors.GBMResponseError], *inputs, says: str) -> errors.GBMResponseError:
    """The case is refused with this error and a sentence that contains some words."""
    with pytest.raises(error) as caught:
        make_case(*inputs)
    assert caught.value.code == error.code
    assert says in str(caught.value)
    assert caught.value.message.endswith(".") and caught.value.remedy.endswith(".")
    return caught.value


def edited(image: sitk.Image, change) -> sitk.Image:
    """The image with its array passed through a function."""
    result = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
    result.CopyInformation(image)
    return result


def codes(case: Case) -> list[str]:
    return [note.code for note in case.notes]


def sentence(case: Case, code: str) -> str:
    return next(note.sentence for note in case.notes if note.code == code)


# A good case


def test_a_good_case_has_no_notes(image, gtv):
    case = make_case(image, gtv)
    assert case.notes == []
    assert case.follow_up is None
    assert case.sources == {}


def test_image_keeps_its_voxels_and_type(image, gtv):
    case = make_case(image, gtv)
    assert case.image.GetPixelID() == image.GetPixelID()
    assert np.array_equal(sitk.GetArrayViewFromImage(case.image), sitk.GetArrayViewFromImage(image))


def test_gtv_is_0_and_1_on_the_image_grid(image, gtv):
    case = make_case(image, gtv * 7)
    assert case.gtv.GetPixelID() == sitk.sitkUInt8
    assert np.unique(sitk.GetArrayViewFromImage(case.gtv)).tolist() == [0, 1]
    assert case.gtv.GetOrigin() == image.GetOrigin()


def test_gtv_volume_is_in_ml(image, gtv):
    assert make_case(image, gtv).gtv_volume_ml == pytest.approx(GTV_ML, rel=0.05)


def test_inputs_are_not_modified(image):
    other = phantoms.gtv((60, 60, 60), (1, 1, 1), center=phantoms.GTV_CENTER) * 3
    before = [sitk.GetArrayFromImage(i) for i in (image, other)]
    make_case(image, other)
    assert all(np.array_equal(a, sitk.GetArrayFromImage(i)) for a, i in zip(before, (image, other), strict=True))


def test_follow_up_stays_on_its_own_grid(image, gtv):
    follow_up = phantoms.head((80, 90, 20), (2.2, 2.2, 6))
    assert make_case(image, gtv, follow_up).follow_up.GetSize() == (80, 90, 20)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_files_with_spaces_and_accents(tmp_path, image, gtv, suffix):
    paths = [tmp_path / f"Jürgen Groß {name}.{suffix}" for name in ("pre", "gtv", "post")]
    for item, path in zip((image, gtv, image), paths, strict=True):
        sitk.WriteImage(item, path)
    case = load_case(*paths)
    assert case.gtv_volume_ml == pytest.approx(GTV_ML, rel=0.05)
    assert case.follow_up is not None
    assert case.sources["GTV"] == {"file": paths[1].name, "sha256": sha256_of_image(sitk.ReadImage(str(paths[1])))}
    assert list(case.sources) == ["image", "GTV", "follow-up"]


def test_sources_do_not_name_folders(tmp_path, image, gtv):
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    sitk.WriteImage(gtv, tmp_path / "b.nrrd")
    assert str(tmp_path) not in str(load_case(str(tmp_path / "a.nrrd"), str(tmp_path / "b.nrrd")).sources)


def test_equal_headers_with_other_voxels_beside_them_are_other_sources(tmp_path, image, gtv):
    sources = []
    for name, voxels in (("first", image), ("second", sitk.ShiftScale(image, 5.0, 1.0))):
        folder = tmp_path / name
        folder.mkdir()
        sitk.WriteImage(voxels, str(folder / "pre.mhd"))
        sitk.WriteImage(gtv, str(folder / "gtv.mhd"))
        sources.append(load_case(folder / "pre.mhd", folder / "gtv.mhd").sources)
    assert (tmp_path / "first/pre.mhd").read_bytes() == (tmp_path / "second/pre.mhd").read_bytes()
    assert sources[0]["image"]["sha256"] != sources[1]["image"]["sha256"]
    assert sources[0]["GTV"] == sources[1]["GTV"]


# Files


def test_missing_files_are_found_before_anything_is_read(tmp_path):
    (tmp_path / "image.nrrd").write_text("not an image")
    with pytest.raises(errors.MissingFileError, match=r"GTV file gtv\.nrrd"):
        load_case(tmp_path / "image.nrrd", tmp_path / "gtv.nrrd")


def test_empty_follow_up_file(tmp_path, image, gtv):
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    sitk.WriteImage(gtv, tmp_path / "b.nrrd")
    (tmp_path / "c.nrrd").touch()
    with pytest.raises(errors.EmptyFileError, match="follow-up"):
        load_case(*[tmp_path / name for name in ("a.nrrd", "b.nrrd", "c.nrrd")])


def test_corrupt_file(tmp_path, gtv):
    (tmp_path / "a.nii.gz").write_bytes(b"hello" * 100)
    sitk.WriteImage(gtv, tmp_path / "b.nrrd")
    with pytest.raises(errors.UnreadableFileError, match=r"image file a\.nii\.gz"):
        load_case(tmp_path / "a.nii.gz", tmp_path / "b.nrrd")


# Images that are refused


def test_time_series(image, gtv):
    fails(errors.ImageDimensionError, sitk.JoinSeries([image] * 3), gtv, says="3 volumes")


def test_series_of_one_volume_is_used(image, gtv):
    case = make_case(sitk.JoinSeries([image]), gtv)
    assert codes(case) == ["single-frame"]
    assert case.image.GetSize() == image.GetSize()
    assert case.image.GetOrigin() == pytest.approx(image.GetOrigin())


def test_2d_image(image, gtv):
    fails(errors.ImageDimensionError, image[:, :, 8], gtv, says="single slice")


def test_volume_of_one_slice(image, gtv):
    fails(errors.ImageDimensionError, image[:, :, 8:9], gtv, says="single slice")


def test_five_slices_are_enough(image, gtv):
    assert make_case(image[:, :, 8:13], gtv).image.GetSize()[2] == 5


def test_color_image(image, gtv):
    fails(errors.ColorImageError, sitk.Compose([image] * 3), gtv, says="grayscale")


def test_complex_image(image, gtv):
    real = sitk.Cast(image, sitk.sitkFloat32)
    fails(errors.ColorImageError, sitk.RealAndImaginaryToComplex(real, real), gtv, says="several values")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_voxels(image, gtv, value):
    def spoil(voxels):
        voxels = voxels.astype(np.float32)
        voxels[3, 4, 5] = value
        return voxels

    fails(errors.NonFiniteImageError, edited(image, spoil), gtv, says="Replace NaN")


def test_constant_image(image, gtv):
    fails(errors.ConstantImageError, image * 0 + 7, gtv, says="value 7")


def test_ct(image, gtv):
    hounsfield = edited(image, lambda voxels: np.where(voxels < 50, -1000, voxels // 10))
    fails(errors.NotMRError, hounsfield, gtv, says="CT")


def test_tightly_cropped_ct(image, gtv):
    def hounsfield(voxels):
        voxels = voxels // 10
        voxels[:, :2] = -1024
        return voxels

    fails(errors.NotMRError, edited(image, hounsfield), gtv, says="-1024")


def test_signed_mr_passes(image, gtv):
    noise = np.random.default_rng(0).normal(0, 60, GRID[0][::-1])
    assert make_case(edited(image, lambda voxels: (voxels + noise).astype(np.int16)), gtv).notes == []


def test_standardized_mr_passes(image, gtv):
    assert make_case(edited(image, lambda v: ((v - v.mean()) / v.std()).astype(np.float32)), gtv).notes == []


def test_small_image(gtv):
    fails(errors.SmallImageError, phantoms.head((31, 64, 30), (6, 3, 6)), gtv, says="31")


def test_sagittal_image_with_few_slices_is_not_small(gtv):
    sagittal = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float)
    assert make_case(phantoms.head((100, 100, 26), (2, 2, 6), sagittal), gtv).image.GetSize()[2] == 26


@pytest.mark.parametrize("change", ["constant", "color", "small"])
def test_follow_up_is_checked_like_the_image(image, gtv, change):
    bad = {"constant": image * 0, "color": sitk.Compose([image] * 3), "small": image[::4, ::4]}[change]
    error = {"constant": errors.ConstantImageError, "color": errors.ColorImageError, "small": errors.SmallImageError}
    fails(error[change], image, gtv, bad, says="follow-up")


def test_labelmap_as_image(image, gtv):
    fails(errors.NotMRError, gtv, gtv, says="Choose the T1-Gd MRI")


# The GTV


def test_image_as_gtv(image, gtv):
    fails(errors.NotAMaskError, image, image, says="different values")


def test_empty_gtv(image, gtv):
    fails(errors.EmptyGTVError, image, gtv * 0, says="Draw the GTV")


def test_gtv_elsewhere(image, gtv):
    gtv.SetOrigin((500, 0, 0))
    fails(errors.NoOverlapError, image, gtv, says="same patient")


def test_gtv_of_several_channels(image, gtv):
    fails(errors.ColorImageError, image, sitk.Compose([gtv] * 2), says="one binary labelmap")


def test_gtv_with_nan(image, gtv):
    fails(errors.NonFiniteImageError, image, edited(gtv, lambda v: np.where(v, np.nan, 0.0)), says="GTV")


def test_gtv_as_time_series(image, gtv):
    fails(errors.ImageDimensionError, image, sitk.JoinSeries([gtv] * 2), says="GTV")


def test_several_labels_become_one_gtv(image, gtv):
    def relabel(voxels):
        voxels[:, :, :60] *= 4
        return voxels * 2

    case = make_case(image, edited(gtv, relabel))
    assert "labels 2, 8;" in sentence(case, "gtv-labels")
    assert case.gtv_volume_ml == pytest.approx(make_case(image, gtv).gtv_volume_ml)


def test_one_label_of_any_value_is_no_note(image, gtv):
    assert make_case(image, edited(gtv, lambda voxels: voxels.astype(np.int32) * 4137)).notes == []


@pytest.mark.parametrize("pixel", [np.float32, np.uint8])
def test_fractional_gtv_is_cut_at_half(image, gtv, pixel):
    soft = sitk.SmoothingRecursiveGaussian(sitk.Cast(gtv, sitk.sitkFloat32), 2.0)
    scale = 200 if pixel == np.uint8 else 1
    case = make_case(image, edited(soft, lambda voxels: (voxels.clip(0) * scale).astype(pixel)))
    assert codes(case) == ["gtv-fractional"]
    assert case.gtv_volume_ml == pytest.approx(GTV_ML, rel=0.15)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1, 1, 3), (3, 3, 3)])
def test_gtv_on_another_grid_is_resampled(image, spacing):
    size = [round(40 / s) for s in spacing]
    case = make_case(image, phantoms.gtv(size, spacing, phantoms.rotation("z", 10), center=phantoms.GTV_CENTER))
    assert codes(case) == ["gtv-grid"]
    assert case.gtv_volume_ml == pytest.approx(GTV_ML, rel=0.12)
    assert np.linalg.norm(phantoms.voxel_mean(case.gtv) - phantoms.GTV_CENTER) < 1.5


def test_a_header_rounded_by_a_file_is_the_same_grid(tmp_path):
    direction = phantoms.rotation("x", 17) @ phantoms.rotation("z", 3)
    sitk.WriteImage(phantoms.head(*GRID, direction), tmp_path / "a.nii.gz")
    sitk.WriteImage(phantoms.gtv(*GRID, direction), tmp_path / "b.nrrd")
    assert load_case(tmp_path / "a.nii.gz", tmp_path / "b.nrrd").notes == []


def test_gtv_partly_outside_is_noted(image):
    case = make_case(image[:62], phantoms.gtv(*GRID))
    assert 10 < float(sentence(case, "gtv-partly-outside").split()[0]) < 90


def test_tiny_gtv_of_a_fine_grid_survives(image):
    dot = phantoms.gtv((20, 20, 20), (0.4, 0.4, 0.4), radius_mm=0.6, at=(10, 10, 10), center=(10, 10, 10))
    case = make_case(image, dot)
    assert case.gtv_volume_ml > 0
    assert "small-gtv" in codes(case)


def test_thick_slices_are_noted():
    grid = ((96, 110, 14), (1.8, 1.8, 8))
    case = make_case(phantoms.head(*grid), phantoms.gtv(*grid))
    assert codes(case) == ["thick-slices"]
    assert "8.0 mm" in case.notes[0].sentence
