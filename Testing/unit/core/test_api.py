"""The engine as Python users call it: its examples run, and it predicts what the command predicts."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import GBMResponseCore as gbm
import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import api
from GBMResponseCore.errors import GeometryError, ImageDimensionError, NotMRError
from GBMResponseCore.request import PredictionOptions, PredictionRequest
from GBMResponseCore.run import Runner

ROOT = Path(__file__).parents[3]
NAMES = ["GBMResponseCore", *(entry.name for entry in pkgutil.walk_packages(gbm.__path__, "GBMResponseCore."))]
MODULES = [name for name in NAMES if ">>> " in Path(importlib.util.find_spec(name).origin).read_text("utf-8")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted >= 3
    assert result.failed == 0


def test_examples_of_the_page_run():
    result = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False, encoding="utf-8")
    assert result.attempted >= 10
    assert result.failed == 0


def test_the_names_of_the_package_are_those_of_the_interface():
    assert gbm.__all__ == ["SYNTHETIC_NOTICE", *api.__all__]
    assert all(getattr(gbm, name) is getattr(api, name) for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        _ = gbm.guess


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, GBMResponseCore; sys.exit(bool({'numpy', 'torch', 'SimpleITK'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)
TILTED = phantoms.rotation("x", 12)


@pytest.fixture(scope="module")
def images():
    """A head, its GTV and a head afterwards, on an oblique grid."""
    place = {"direction": TILTED, "center": phantoms.GTV_CENTER}
    after = phantoms.head(SIZE, SPACING, **place) * 2
    return phantoms.head(SIZE, SPACING, **place), phantoms.gtv(SIZE, SPACING, **place), after


@pytest.fixture(scope="module")
def in_memory(images, tiny_bundle):
    case = gbm.case_from_images(*images)
    return gbm.predict(case, bundle=tiny_bundle, sample_count=2, seed=3, device="cpu", precision="float32")


def test_memory_and_files_give_the_same_voxels(images, in_memory, tiny_bundle, tmp_path):
    paths = [tmp_path / name for name in ("pre.nrrd", "gtv.nrrd", "post.nrrd")]
    for image, path in zip(images, paths, strict=True):
        sitk.WriteImage(image, str(path))
    options = PredictionOptions(sample_count=2, seed=3, device="cpu", precision="float32")
    request = PredictionRequest(paths[0], paths[1], tmp_path / "out", paths[2], bundle=tiny_bundle, options=options)
    result = Runner().run(request)
    written = result.class_files[gbm.PredictionOptions().classes[0]]
    images = {"expected": in_memory.expected, "sample_02": in_memory.samples[1], "spread": in_memory.spread}
    for name, image in images.items():
        same = sitk.ReadImage(str(written[name]))
        assert np.array_equal(sitk.GetArrayFromImage(same), sitk.GetArrayFromImage(image)), name
    measured = gbm.measure_prediction(in_memory, bundle=tiny_bundle)
    of_files = result.measurements_of("auto")
    scores, of_files_scores = measured.pop("score"), of_files.pop("score")
    assert measured == of_files
    # The cosines of a header are rounded, which moves the registration by as little.
    difference = "mean_absolute_difference_gtv"
    for name in ("prediction", "copy_of_the_input"):
        assert scores[name][difference] == pytest.approx(of_files_scores[name][difference], abs=1e-3)


def test_what_is_unusual_is_a_note_of_the_case_and_is_said(images, tiny_bundle):
    class Hears(gbm.Listener):
        said = []

        def warning(self, code, sentence):
            self.said.append(code)

    case = gbm.case_from_images(images[0], images[1])
    prediction = gbm.predict(case, bundle=tiny_bundle, sample_count=0, listener=Hears())
    found = [note.code for note in prediction.slices.case.notes]
    assert found[: len(case.notes)] == [note.code for note in case.notes]
    assert Hears.said == found[len(case.notes) :]


def test_arrays_and_their_affine_are_the_image(images):
    image, mask, _ = images
    array, affine = gbm.to_array(image)
    i, j, k = 7, 11, 3
    assert array[i, j, k] == image[i, j, k]
    point = np.array(image.TransformIndexToPhysicalPoint((i, j, k))) * (-1, -1, 1)
    assert np.allclose(affine @ (i, j, k, 1), [*point, 1])

    case = gbm.case_from_arrays(array, gbm.to_array(mask)[0] > 0, affine, array * 2, affine)
    assert np.array_equal(sitk.GetArrayFromImage(case.gtv), sitk.GetArrayFromImage(mask))
    assert np.array_equal(sitk.GetArrayFromImage(case.follow_up), 2 * sitk.GetArrayFromImage(image))
    for part in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(case.image, part)(), getattr(image, part)())


def test_the_follow_up_lies_on_the_grid_of_the_image_unless_an_affine_says_otherwise(images):
    array, affine = gbm.to_array(images[0])
    moved = affine.copy()
    moved[:3, 3] += 5
    mask = gbm.to_array(images[1])[0]
    same = gbm.case_from_arrays(array, mask, affine, array)
    other = gbm.case_from_arrays(array, mask, affine, array, moved)
    assert np.allclose(same.follow_up.GetOrigin(), same.image.GetOrigin())
    assert np.allclose(np.subtract(other.follow_up.GetOrigin(), same.image.GetOrigin()), (-5, -5, 5))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "longdouble", "int16", "uint16", "int64", ">i2"])
def test_every_kind_of_real_numbers_is_taken(images, kind):
    array, affine = gbm.to_array(images[0])
    case = gbm.case_from_arrays(array.astype(kind), gbm.to_array(images[1])[0], affine)
    assert np.array_equal(gbm.to_array(case.image)[0], array)


SHEAR = np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 6, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (ImageDimensionError, {"image": np.zeros((64, 64))}),
        (ImageDimensionError, {"gtv": np.zeros((60, 64, 8, 1))}),
        (NotMRError, {"image": np.zeros((60, 64, 8), complex)}),
        (NotMRError, {"image": np.full((60, 64, 8), "a")}),
        (GeometryError, {"gtv": np.ones((60, 64, 7))}),
        (GeometryError, {"affine": np.eye(3)}),
        (GeometryError, {"affine": np.full((4, 4), np.nan)}),
        (GeometryError, {"affine": np.diag([1, 1, np.nan, 1])}),
        (GeometryError, {"affine": np.diag([1, 1, 0, 1])}),
        (GeometryError, {"affine": SHEAR}),
        (GeometryError, {"follow_up_affine": np.eye(3), "follow_up": np.ones((60, 64, 8))}),
    ],
)
def test_what_is_no_case_is_refused(images, error, change):
    array, affine = gbm.to_array(images[0])
    with pytest.raises(error) as raised:
        gbm.case_from_arrays(**{"image": array, "gtv": gbm.to_array(images[1])[0], "affine": affine, **change})
    assert raised.value.remedy


def test_settings_that_do_not_exist_are_refused(images):
    with pytest.raises(TypeError, match="sample_cuont"):
        gbm.predict(gbm.case_from_images(images[0], images[1]), sample_cuont=3)
