"""Heads for the simulation: from label maps, from T1 volumes, from the ICBM152 files; made-up heads only."""

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import MissingFileError

from GBMResponseTraining import cli
from GBMResponseTraining.synthetic import AnatomyLibrary, choose_anatomies, load_anatomy
from GBMResponseTraining.synthetic.anatomy.file import SHAPE, anatomy_grid, from_ras, to_ras
from GBMResponseTraining.synthetic.anatomy.preparation import prepare_heads, prepare_icbm152
from GBMResponseTraining.synthetic.anatomy.t1_head import affine_registration, bias_corrected, demons, tissue_classes
from GBMResponseTraining.synthetic.errors import AnatomyError

NOD_DEGREES = 20.0


def label_head(spacing: float = 2.0) -> sitk.Image:
    """Nested shells with FreeSurfer's numbers, a cerebellum, soft tissue and bone; the head nods by `NOD_DEGREES`."""
    size = round(240 / spacing)
    image = sitk.Image(size, size, size, sitk.sitkInt16)
    image.SetSpacing([spacing] * 3)
    image.SetOrigin([-120.0] * 3)
    ticks = np.arange(size, dtype=np.float32) * spacing - 120
    superior, posterior, left = np.meshgrid(ticks, ticks, ticks, indexing="ij")
    angle = np.deg2rad(NOD_DEGREES)
    y = np.cos(angle) * posterior + np.sin(angle) * superior
    z = np.cos(angle) * superior - np.sin(angle) * posterior
    radius = np.sqrt((left / 66) ** 2 + (y / 84) ** 2 + (z / 66) ** 2)
    cerebellum = (left / 45) ** 2 + ((y - 47) / 28) ** 2 + ((z + 52) / 24) ** 2
    labels = np.zeros(radius.shape, np.int16)
    for limit, label in ((1.22, 511), (1.18, 507), (1.08, 515), (1.0, 24), (0.96, 3), (0.86, 2)):
        labels[radius < limit] = label
    labels[cerebellum < 1] = 8
    labels[((np.abs(left) - 11) / 6) ** 2 + (y / 26) ** 2 + ((z - 6) / 8) ** 2 < 1] = 4
    filled = sitk.GetImageFromArray(labels)
    filled.CopyInformation(image)
    return filled


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    sitk.WriteImage(label_head(), str(folder / "nodding.nii.gz"))
    sitk.WriteImage(sitk.Image(40, 40, 40, sitk.sitkInt16), str(folder / "air.nii.gz"))
    (folder / "notes.txt").write_text("no volume")
    return folder


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("anatomies")
    assert cli.main(["prepare-anatomies", str(source), str(folder), "--kind", "labels"]) == 0
    return folder


@pytest.fixture(scope="module")
def anatomy(prepared):
    return load_anatomy(prepared / "labels_nodding.npz")


def test_label_map_becomes_an_anatomy_that_the_simulation_finds(prepared):
    names = AnatomyLibrary(prepared).names()
    assert names == ["labels_nodding"]
    assert choose_anatomies(names, {}) == {"labels_nodding": 1.0}


def test_head_that_cannot_be_prepared_stops_no_other(source, prepared, capsys):
    assert cli.main(["prepare-anatomies", str(source), str(prepared), "--kind", "labels"]) == 0
    assert "air.nii.gz: The label map holds no whole brain" in capsys.readouterr().out


def test_finished_heads_are_kept(source, prepared):
    before = (prepared / "labels_nodding.npz").stat().st_mtime_ns
    prepare_heads(source, prepared, "labels")
    assert (prepared / "labels_nodding.npz").stat().st_mtime_ns == before


def test_looks_depend_on_the_seed(source, prepared, tmp_path):
    prepare_heads(source / "nodding.nii.gz", tmp_path, "labels", seed=1)
    first, second = (np.load(folder / "labels_nodding.npz") for folder in (prepared, tmp_path))
    assert (first["mask"] == second["mask"]).all()
    assert not (first["t1"] == second["t1"]).all()


def test_white_matter_has_level_one(anatomy):
    white = anatomy.half_grid.sample(anatomy.white, anatomy.grid.points()[::4, ::4, ::4]) > 0.95
    assert np.median(anatomy.t1[::4, ::4, ::4][white]) == pytest.approx(1, abs=0.03)


def test_brain_lies_where_icbm152_has_it(anatomy):
    inside = anatomy.half_grid.points()[anatomy.depth > 0]
    np.testing.assert_allclose(inside.min(axis=0)[:2], (-73, -108), atol=5)
    np.testing.assert_allclose(inside.max(axis=0), (73, 74, 83), atol=5)


def test_nod_is_undone(anatomy):
    """Both ventricles were made long from front to back: upright again, their ends are at one height."""
    points = anatomy.half_grid.points()[anatomy.ventricles > 0.5]
    front, back = (points[chosen][:, 2].mean() for chosen in (points[:, 1] > 0, points[:, 1] < -30))
    assert abs(front - back) < 8


def test_ventricles_are_found(anatomy):
    assert 10 < anatomy.half_grid.volume_ml(anatomy.ventricles > 0.5) < 60


def test_arrays_and_images_agree_on_the_sides():
    array = np.zeros(SHAPE, np.float32)
    array[150, 200, 30] = 1
    image = from_ras(array)
    (voxel,) = np.argwhere(sitk.GetArrayFromImage(image) == 1)
    assert image.TransformIndexToPhysicalPoint(voxel[::-1].tolist()) == pytest.approx((-52, -66, -42))
    np.testing.assert_array_equal(to_ras(image), array)


def small_head(shift=(0.0, 0.0, 0.0)) -> sitk.Image:
    """An egg with shells, 4 mm voxels, as if T1-weighted."""
    z, y, x = (axis * 4.0 - 120 for axis in np.meshgrid(*[np.arange(60)] * 3, indexing="ij"))
    radius = np.sqrt(((x - shift[0]) / 66) ** 2 + ((y - shift[1]) / 84) ** 2 + ((z - shift[2]) / 70) ** 2)
    values = np.select([radius < 0.8, radius < 0.95, radius < 1.05, radius < 1.2], [1.0, 0.75, 0.3, 1.3], 0.0)
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing((4, 4, 4))
    image.SetOrigin((-120, -120, -120))
    return sitk.SmoothingRecursiveGaussian(image, 2.0)


def test_registration_finds_a_shift():
    fixed, shift = small_head(), (9.0, -6.0, 12.0)
    transform = affine_registration(fixed, small_head(shift), fixed > 0.5)
    np.testing.assert_allclose(transform.TransformPoint((0.0, 0.0, 0.0)), shift, atol=1.5)


def test_demons_bring_a_smaller_atlas_to_the_head():
    head = small_head()
    atlas = sitk.Resample(head, sitk.ScaleTransform(3, (1.06, 1.06, 1.06)), sitk.sitkLinear, 0.0)
    moved = sitk.Resample(atlas, head, demons(head, atlas), sitk.sitkLinear, 0.0)
    before, after = (np.abs(sitk.GetArrayFromImage(image - head)).mean() for image in (atlas, moved))
    assert after < 0.6 * before


def test_bias_field_is_removed():
    head = sitk.Shrink(small_head(), [2, 2, 2])
    ramp = sitk.PhysicalPointSource(sitk.sitkVectorFloat32, head.GetSize(), head.GetOrigin(), head.GetSpacing())
    biased = head * sitk.Exp(sitk.VectorIndexSelectionCast(ramp, 0) * 0.004)
    white = sitk.GetArrayFromImage(head) > 0.97
    before, after = (
        np.std(values) / np.mean(values)
        for values in (sitk.GetArrayFromImage(image)[white] for image in (biased, bias_corrected(biased)))
    )
    assert after < 0.5 * before


def test_tissue_classes_follow_intensity():
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 12)[:, None, None] * np.ones((1, 36, 36), int)
    t1 = np.array([200.0, 520.0, 700.0])[truth] + 30 * generator.standard_normal(truth.shape)
    priors = [0.8 * (truth == tissue) + 0.1 for tissue in range(3)]
    brain = np.pad(np.ones((34, 34, 34), bool), 1)
    classes, white = tissue_classes(t1.astype(np.float32), brain, [prior.astype(np.float32) for prior in priors])
    assert white == pytest.approx(700, rel=0.02)
    assert (np.argmax(classes, axis=0) == truth)[brain].mean() > 0.98


def test_icbm152_is_made_from_its_files(tmp_path):
    for name, value in (("t1", 80.0), ("t1_brain_mask", 1.0), ("csf_pbmap", 0.0), ("gm_pbmap", 0.0), ("wm_pbmap", 1.0)):
        sitk.WriteImage(
            sitk.Cast(anatomy_grid(), sitk.sitkFloat32) + value, str(tmp_path / f"mni_icbm152_{name}.nii.gz")
        )
    path = prepare_icbm152(tmp_path, tmp_path / "out")
    with np.load(path) as stored:
        assert stored["t1"].shape == SHAPE
        assert (stored["t1"] == 1).all()
        assert (stored["wm"] == 255).all()


def test_missing_icbm152_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="mni_icbm152_t1"):
        prepare_icbm152(tmp_path, tmp_path / "out")


def test_folder_without_volumes_is_an_error(tmp_path):
    with pytest.raises(AnatomyError, match="no volume"):
        prepare_heads(tmp_path, tmp_path / "out", "labels")


def test_t1_needs_an_atlas(source, tmp_path, capsys):
    code = cli.main(["prepare-anatomies", str(source), str(tmp_path), "--kind", "t1"])
    assert code == AnatomyError.exit_code
    assert "--kind icbm152" in capsys.readouterr().err
