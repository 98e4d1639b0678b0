"""What a run makes of its inputs' headers, labels and follow-up, from files to files."""

import gzip
import json

import hard_cases
import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from GBMResponseCore.progress import Listener
from GBMResponseCore.request import PredictionOptions, PredictionRequest
from GBMResponseCore.run import Runner
from hard_cases import affine, write_nifti

OPTIONS = PredictionOptions(device="cpu", precision="float32", sample_count=2, steps=2)


class Warnings(Listener):
    def __init__(self):
        self.codes = []

    def warning(self, code, sentence):
        self.codes.append(code)


@pytest.fixture
def run(tiny_bundle, tmp_path):
    """Predict the head with the drawn GTV; headers as given."""

    def predict(gtv=None, follow_up=None, gtv_labels=(), suffix=".nii.gz", **header):
        image = write_nifti(tmp_path / "image.nii.gz", hard_cases.head(), **header)
        mask = hard_cases.gtv() if gtv is None else gtv
        request = PredictionRequest(
            image=image,
            gtv=write_nifti(tmp_path / "gtv.nii.gz", mask, "uint8", **header),
            out=tmp_path / "out",
            follow_up=None if follow_up is None else write_nifti(tmp_path / "later.nii.gz", follow_up),
            gtv_labels=gtv_labels,
            bundle=tiny_bundle,
            options=OPTIONS,
            format=suffix,
            montage=False,
            report=False,
        )
        listener = Warnings()
        return Runner().run(request, listener), listener.codes

    return predict


def orientation(path) -> bytes:
    """Codes, qform and sform, and pixdim, of a zipped NIfTI-1 file."""
    header = gzip.decompress(path.read_bytes())[:348]
    return header[252:328] + header[76:92]


@pytest.mark.parametrize(
    "header",
    [{"sform": affine((12, 0, 10)), "codes": (1, 2)}, {"codes": (0, 0)}, {"codes": (1, 0)}],
    ids=["disagreeing", "unknown", "qform"],
)
def test_every_volume_has_the_orientation_of_the_input_byte_for_byte(run, tmp_path, header):
    result, _ = run(follow_up=hard_cases.head(5), **header)
    written = [path for path in result.class_files["auto"].values() if path.name.endswith(".nii.gz")]
    written.append(result.files["registered_follow_up"])
    assert len(written) >= 6
    for path in written:
        assert orientation(path) == orientation(tmp_path / "image.nii.gz")


def test_an_unknown_orientation_is_warned_of_and_in_the_provenance(run):
    result, codes = run(codes=(0, 0))
    assert codes.count("orientation-unknown") == 2
    record = json.loads(result.files["provenance"].read_text("utf-8"))
    assert "orientation-unknown" in [warning["code"] for warning in record["warnings"]]


def test_noise_as_follow_up_is_warned_of_and_not_scored(run):
    noise = np.random.default_rng(0).integers(0, 900, hard_cases.SHAPE)
    result, codes = run(follow_up=noise)
    assert codes == ["bad-registration", "follow-up-unused"]
    assert "registered_follow_up" not in result.files
    assert "score" not in result.measurements_of("auto")
    record = json.loads(result.files["provenance"].read_text("utf-8"))
    assert [warning["code"] for warning in record["warnings"]] == codes


def test_a_real_follow_up_is_scored(run):
    result, codes = run(follow_up=hard_cases.head(5))
    assert codes == []
    assert "score" in result.measurements_of("auto")


def test_labels_choose_the_gtv(run):
    labels = hard_cases.gtv() + 4 * hard_cases.gtv((5, 6))
    chosen, codes = run(gtv=labels, gtv_labels=("1",))
    assert codes == []
    assert chosen.slices.case.gtv_volume_ml == pytest.approx(hard_cases.GTV_ML)
    everything, codes = run(gtv=labels)
    assert codes == ["gtv-labels"]
    assert everything.slices.case.gtv_volume_ml == pytest.approx(2 * hard_cases.GTV_ML)


def test_the_command_takes_labels():
    words = ["predict", "--image", "a", "--gtv", "b", "--out", "c", "--gtv-label", "1", "GTV core"]
    assert cli.request_of(cli._parser().parse_args(words)).gtv_labels == ("1", "GTV core")
    assert cli.request_of(cli._parser().parse_args(words[:7])).gtv_labels == ()


def test_predicted_voxels_are_not_below_the_darkest_or_above_the_brightest_possible(run):
    result, _ = run()
    scale = result.slices.scale
    highest = scale.restore(np.array([scale.clip_high]))[0]
    for path in (result.class_files["auto"]["sample_01"], result.class_files["auto"]["sample_02"]):
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(path))
        inside = sitk.GetArrayFromImage(result.predictions["auto"].generated) > 0
        assert inside.any()
        assert scale.low <= voxels[inside].min() and voxels[inside].max() <= np.ceil(highest)
