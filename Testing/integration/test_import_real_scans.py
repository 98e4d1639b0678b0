"""Real longitudinal scans through the importers: registration, correlation and brain extraction on scanner data."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings

from GBMResponseTraining.datasets.hospital.folder import read_folder
from GBMResponseTraining.store import skull_strip
from GBMResponseTraining.store.importer import import_pairs
from GBMResponseTraining.store.slice_store import open_store

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("GBMRESPONSE_SHARED", REPOSITORY.parent / "shared")) / "data"


@pytest.fixture(scope="module")
def source() -> Path:
    folder = DATA / "brain-tumor-progression"
    if not folder.is_dir():
        pytest.skip(f"brain-tumor-progression is not in the shared data folder {DATA}")
    return folder


def test_real_scans_are_registered(tmp_path, source):
    lines = ["patient,pre,post,gtv,post_gtv,survival_days"]
    for number in ("03", "05"):
        names = ("pre_t1gd", "post_t1gd", "pre_tumour", "post_tumour")
        lines.append(",".join([number, *[str(source / number / f"{name}.nii.gz") for name in names], "300"]))
    table = tmp_path / "cohort.csv"
    table.write_text("\n".join(lines))
    import_pairs(read_folder(table)[0], tmp_path / "store", InPlaneRule(), NormalizationSettings())
    store = open_store(tmp_path / "store")
    assert store.pre.shape == (13, 256, 256)
    for record in store.patients:
        assert record["registered"]
        assert record["correlation_before"] < 0.25 < 0.7 < record["correlation_after"]
    assert [record["post_gtv_volume_ml"] for record in store.patients] == pytest.approx([12.0, 35.5], abs=0.1)


def test_deepbet_finds_the_brain_of_a_real_head(source):
    pytest.importorskip("deepbet")
    image = sitk.ReadImage(str(source / "05" / "pre_t1gd.nii.gz"))
    brain = sitk.GetArrayFromImage(skull_strip.find_brain(image)) > 0
    volume_ml = brain.sum() * np.prod(image.GetSpacing()) / 1000
    assert 900 < volume_ml < 1900
    tumor = sitk.GetArrayFromImage(sitk.ReadImage(str(source / "05" / "pre_tumour.nii.gz"))) > 0
    assert brain[tumor].mean() > 0.95
