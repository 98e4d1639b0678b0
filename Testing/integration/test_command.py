"""The command `gbmresponse predict`: files it writes, exit codes, and that failures leave nothing behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli, prediction
from GBMResponseCore.errors import CancelledError
from PIL import Image

SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)
CORE_PARENT = Path(cli.__file__).resolve().parents[1]


@pytest.fixture
def case(tmp_path):
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    gtv = phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER)
    paths = tmp_path / "Jörg Müller pre.nii.gz", tmp_path / "gtv.nrrd"
    sitk.WriteImage(image, str(paths[0]))
    sitk.WriteImage(gtv, str(paths[1]))
    return paths


@pytest.fixture
def run(case, tiny_bundle, tmp_path):
    def call(*extra, image=case[0], gtv=case[1], out=tmp_path / "out", bundle=tiny_bundle):
        arguments = ["predict", "--image", image, "--gtv", gtv, "--out", out, "--bundle", bundle, *extra]
        return cli.main([str(argument) for argument in arguments])

    return call


def write(array_or_image, path):
    image = array_or_image if isinstance(array_or_image, sitk.Image) else sitk.GetImageFromArray(array_or_image)
    sitk.WriteImage(image, str(path))
    return path


def head_voxels():
    return sitk.GetArrayFromImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER))


def test_a_prediction_writes_its_files_and_nothing_else(run, tmp_path):
    assert run() == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    volumes = ("expected", "predicted", "generated_mask", "blend_weight", "spread", "enhancement_probability")
    samples = [f"sample_{number:02d}" for number in range(1, 5)]
    assert names == {f"{name}.nii.gz" for name in (*volumes, *samples)} | {
        "measurements.csv", "measurements.json", "montage.png", "provenance.json", "report.html",
        "report.json",
    }  # fmt: skip


def test_the_whole_slice_and_the_first_sample_alone_may_be_asked_for(run, tmp_path):
    assert run("--samples", 1, "--no-compose", "--no-montage", "--no-report") == 0
    volumes = {path.name for path in (tmp_path / "out").glob("*.nii.gz")}
    assert volumes == {"expected.nii.gz", "predicted.nii.gz", "generated_mask.nii.gz"}
    record = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    assert (record["compose"], record["composition_pixels"]) == (False, None)


def test_the_written_volume_has_the_inputs_grid_and_says_synthetic(run, case, tmp_path):
    assert run() == 0
    image, volume = sitk.ReadImage(str(case[0])), sitk.ReadImage(str(tmp_path / "out" / "predicted.nii.gz"))
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetPixelID"):
        assert getattr(volume, name)() == getattr(image, name)()
    assert volume.GetMetaData("ITK_FileNotes").startswith("SYNTHETIC")


def test_several_samples_add_spread_and_each_sample(run, tmp_path):
    assert run("--samples", 2, "--format", ".nrrd", "--no-montage", "--no-report") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"expected.nrrd", "spread.nrrd", "sample_01.nrrd", "sample_02.nrrd", "predicted.nrrd"} <= names
    assert "enhancement_probability.nrrd" in names


def test_provenance_holds_what_was_done_and_no_names(run, tmp_path):
    assert run("--seed", 9, "--class", "short", "--steps", 3, "--temperature", 0.5) == 0
    text = (tmp_path / "out" / "provenance.json").read_text("utf-8")
    record = json.loads(text)
    assert (record["seed"], record["steps"], record["class"]["name"]) == (9, 3, "short")
    assert record["temperature"] == 0.5
    assert record["bundle"]["name"] == "tiny"
    assert record["synthetic"] is True
    assert len(record["inputs_sha256"]["image"]) == 64
    assert "Müller" not in text
    assert str(tmp_path) not in text


def test_a_follow_up_is_shown_and_does_not_change_the_prediction(run, case, tmp_path):
    assert run("--precision", "float32", out=tmp_path / "without") == 0
    assert run("--precision", "float32", "--follow-up", case[0], out=tmp_path / "with") == 0
    first, second = (sitk.ReadImage(str(tmp_path / name / "predicted.nii.gz")) for name in ("without", "with"))
    assert np.array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))


def test_the_montage_is_a_picture_with_a_row_per_slice(run, tmp_path):
    assert run() == 0
    picture = np.asarray(Image.open(tmp_path / "out" / "montage.png")) / 255
    slices = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))["slices"]["count"]
    assert picture.shape[0] >= 150 * slices
    assert picture[..., :3].std() > 0.05


def test_the_command_runs_as_a_module_from_the_extension_folder(case, tiny_bundle, tmp_path):
    command = [sys.executable, "-m", "GBMResponseCore", "predict", "--image", case[0], "--gtv", case[1]]
    command += ["--out", tmp_path / "out", "--bundle", tiny_bundle, "--no-montage", "--no-report"]
    done = subprocess.run([str(part) for part in command], cwd=CORE_PARENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "not for clinical decisions" in done.stdout


def bad_inputs(case, folder):
    """Name -> (changed arguments, exit code)."""
    voxels = head_voxels()
    nan = voxels.astype(np.float32)
    nan[4, 30, 30] = np.nan  # written as NRRD: ITK's NIfTI reader turns NaN into 0 before anyone can see it
    far = phantoms.gtv(SIZE, SPACING, center=(900, 0, 0), at=(900, 0, 0))
    empty = folder / "empty.nii.gz"
    empty.write_bytes(b"")
    corrupt = folder / "corrupt.nii.gz"
    corrupt.write_bytes(case[0].read_bytes()[:2000])
    file_as_folder = folder / "file"
    file_as_folder.write_text("occupied")
    four_dimensional = sitk.JoinSeries([sitk.ReadImage(str(case[0]))] * 2)
    color = sitk.Compose([sitk.GetImageFromArray(voxels.astype(np.uint8))] * 3)
    return {
        "missing": ({"image": folder / "nowhere.nii.gz"}, 10),
        "empty file": ({"image": empty}, 11),
        "corrupt": ({"image": corrupt}, 12),
        "text file": ({"gtv": file_as_folder}, 12),
        "4-D": ({"image": write(four_dimensional, folder / "4d.nii.gz")}, 13),
        "color": ({"image": write(color, folder / "color.nii.gz")}, 14),
        "NaN": ({"image": write(nan, folder / "nan.nrrd")}, 15),
        "constant": ({"image": write(np.full_like(voxels, 7), folder / "constant.nii.gz")}, 16),
        "CT": ({"image": write((voxels - 1000).astype(np.int16), folder / "ct.nii.gz")}, 17),
        "small": ({"image": write(voxels[:, :20, :20], folder / "small.nii.gz")}, 18),
        "empty GTV": ({"gtv": write(np.zeros_like(voxels, np.uint8), folder / "none.nii.gz")}, 19),
        "no overlap": ({"gtv": write(far, folder / "far.nii.gz")}, 20),
        "output is a file": ({"out": file_as_folder}, 21),
        "output below a file": ({"out": file_as_folder / "out"}, 21),
        "no bundle": ({"bundle": folder}, 30),
    }


BAD_INPUTS = (
    "missing", "empty file", "corrupt", "text file", "4-D", "color", "NaN", "constant", "CT", "small", "empty GTV",
    "no overlap", "output is a file", "output below a file", "no bundle",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_ends_in_its_own_exit_code_and_a_remedy_before_any_network_is_built(
    name, run, case, tmp_path, monkeypatch, capsys
):
    (tmp_path / "bad").mkdir()
    changed, code = bad_inputs(case, tmp_path / "bad")[name]
    monkeypatch.setattr(prediction.Predictor, "__init__", lambda *_: pytest.fail("heavy work began"))
    assert run(**changed) == code
    error = capsys.readouterr().err
    assert error.startswith("Error (")
    assert len(error.strip().splitlines()) == 2
    out = changed.get("out", tmp_path / "out")
    assert not out.is_dir() or not list(out.iterdir())


def test_a_gtv_with_several_labels_is_binarised_with_a_note(run, tmp_path, capsys):
    labels = sitk.GetArrayFromImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER))
    reference = phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER)
    labels[:, 32:] *= 4
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(reference)
    assert run(gtv=write(image, tmp_path / "labels.nii.gz")) == 0
    assert "labels" in capsys.readouterr().out
    warnings = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))["warnings"]
    assert [warning["code"] for warning in warnings] == ["gtv-labels"]


@pytest.mark.parametrize(
    ("extra", "code"),
    [(["--scheme", "5-class"], 34), (["--class", "medium"], 34), (["--steps", 0], 34), (["--sampler", "euler"], 34),
     (["--samples", -1], 34), (["--device", "cuda:42"], 35), (["--precision", "float8"], 34)],
)  # fmt: skip
def test_impossible_options_end_in_their_exit_code(run, extra, code, tmp_path):
    assert run(*extra) == code
    assert not list((tmp_path / "out").glob("*"))


def test_a_broken_weight_file_ends_in_its_exit_code(run, tiny_bundle, tmp_path, capsys):
    broken = shutil.copytree(tiny_bundle, tmp_path / "broken")
    weights = next((broken / "denoiser").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 255
    weights.write_bytes(content)
    assert run(bundle=broken) == 32
    assert "SHA-256" in capsys.readouterr().err


def test_an_interrupted_run_leaves_no_result_and_continues(run, tmp_path, monkeypatch):
    generate = prediction.generate_slices
    calls = []

    def interrupt_second(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return generate(*arguments, **options)

    monkeypatch.setattr(prediction, "generate_slices", interrupt_second)
    assert run("--batch-size", 1) == CancelledError.exit_code
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".unfinished"]
    assert run("--batch-size", 1) == 0
    assert not (tmp_path / "out" / ".unfinished").exists()


def test_a_full_disk_leaves_the_previous_result(run, tmp_path, monkeypatch, capsys):
    assert run("--no-montage") == 0
    before = (tmp_path / "out" / "predicted.nii.gz").read_bytes()

    def full(*_, **__):
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(sitk, "WriteImage", full)
    assert run("--no-montage", "--seed", 2) == 21
    assert (tmp_path / "out" / "predicted.nii.gz").read_bytes() == before
    assert not list((tmp_path / "out").glob(".*partial*"))
    assert list((tmp_path / "out" / ".unfinished").rglob("*.npy")), "the computed slices are lost"


@pytest.mark.parametrize("words", [[], ["predict"], ["predict", "--image", "a"], ["measure"], ["cohort"]])
def test_what_is_missing_is_said_below_a_few_words_of_usage(words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "required: " in said and len(said.splitlines()) <= 4


def test_the_help_lists_commands_as_they_are_typed(capsys):
    for words in (["--help"], ["cohort", "--help"], ["cohort", "report", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(words)
    said = capsys.readouterr().out
    assert "gbmresponse cohort report DIR" in said and "cohort-" not in said
