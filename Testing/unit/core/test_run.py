"""The one function behind command, cohort and worker: memory, warm models, progress, order of files."""

import itertools
import json
import traceback
from pathlib import Path

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli, prediction, run
from GBMResponseCore.errors import BundleIntegrityError, OutOfMemoryError, OutputFolderError
from GBMResponseCore.inputs import follow_up
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.model import networks
from GBMResponseCore.model.bundle import Bundle
from GBMResponseCore.model.networks import LatentAutoencoder
from GBMResponseCore.outputs import write
from GBMResponseCore.progress import Listener, TimeLeft
from GBMResponseCore.request import PredictionOptions, PredictionRequest
from GBMResponseCore.run import Runner
from tiny_bundle import write_tiny_bundle

OF_THE_EXPECTED, MASKS = ("expected", "predicted"), ("generated_mask", "blend_weight")
SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)


class Recorder(Listener):
    def __init__(self):
        self.warnings, self.fractions, self.etas, self.stages = [], [], [], []
        self.time_left = TimeLeft()

    def stage(self, name, survival_class):
        self.stages.append(name)

    def warning(self, code, sentence):
        self.warnings.append(code)

    def progress(self, progress):
        self.fractions.append(progress.fraction)
        self.etas.append(self.time_left.seconds(progress))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    sitk.WriteImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "pre.nrrd"))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "gtv.nrrd"))
    return {"image": folder / "pre.nrrd", "gtv": folder / "gtv.nrrd"}


@pytest.fixture
def request_of(files, tiny_bundle, tmp_path):
    def build(**changes):
        basis = {**files, "out": tmp_path / "out", "bundle": tiny_bundle, "montage": False, "report": False}
        options = PredictionOptions(**{"device": "cpu", "precision": "float32", **changes.pop("options", {})})
        return PredictionRequest(**{**basis, **changes}, options=options)

    return build


@pytest.fixture
def little_memory(monkeypatch):
    """More than two slices at once are too many."""
    generate = prediction.generate_slices

    def generate_few(model, conditions, *arguments, **options):
        if len(conditions) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return generate(model, conditions, *arguments, **options)

    monkeypatch.setattr(prediction, "generate_slices", generate_few)


def test_little_memory_means_fewer_slices_at_once_and_a_warning(request_of, little_memory):
    recorder = Recorder()
    result = Runner().run(request_of(), recorder)
    assert recorder.warnings == ["small-memory"]
    assert result.files["provenance"].is_file()


def test_a_batch_size_that_was_asked_for_is_kept(request_of, little_memory):
    with pytest.raises(OutOfMemoryError):
        Runner().run(request_of(options={"batch_size": 4}))


def test_too_little_memory_for_one_slice_is_an_error(request_of, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(prediction, "generate_slices", fail)
    with pytest.raises(OutOfMemoryError):
        Runner().run(request_of())


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("encode", "DefaultCPUAllocator: can't allocate memory"),
        ("classify", "could not create a primitive"),
        ("decode", "CUDA out of memory"),
    ],
)
def test_little_memory_in_any_stage_means_fewer_slices_at_once(request_of, tiny_bundle, monkeypatch, stage, words):
    warm = Runner()
    model = warm.predictor(tiny_bundle, "cpu", "float32").model
    monkeypatch.setattr(model, "_autoencoder_slices", 40)
    owner = model.networks.classifier if stage == "classify" else model.networks.image_autoencoder
    name = "forward" if stage == "classify" else stage
    original = getattr(owner, name)

    def few(batch):
        if len(batch) > 2:
            raise RuntimeError(words)
        return original(batch)

    monkeypatch.setattr(owner, name, few)
    recorder = Recorder()
    result = warm.run(request_of(), recorder)
    assert set(recorder.warnings) == {"small-memory"}
    assert result.predictions["auto"].options.batch_size <= 2


def test_other_errors_of_torch_are_not_taken_for_memory(request_of, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(prediction, "generate_slices", fail)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Runner().run(request_of())


def test_progress_grows_over_samples_and_classes_to_its_end(request_of):
    recorder = Recorder()
    Runner().run(request_of(options={"classes": ("short", "long"), "sample_count": 2, "batch_size": 3}), recorder)
    assert np.diff(recorder.fractions).min() >= -1e-9
    assert recorder.fractions[0] == pytest.approx(0.05)
    assert recorder.fractions[-1] == pytest.approx(0.95)
    assert recorder.etas[0] is None
    assert recorder.etas[-1] == 0
    assert recorder.stages[0] == "load"
    assert recorder.stages[-2:] == ["measure", "write"]


def test_a_model_is_loaded_once_until_it_changes(tmp_path, request_of):
    folder = write_tiny_bundle(tmp_path / "own")
    warm = Runner()
    first = warm.predictor(folder, "cpu", "float32")
    assert warm.predictor(folder, "cpu", "float32") is first
    assert warm.predictor(folder, "cpu", "auto") is not first
    write_tiny_bundle(folder, label_dropout=0.3)
    assert warm.predictor(folder, "cpu", "float32") is not first


def test_a_damaged_model_is_never_kept(tmp_path):
    folder = write_tiny_bundle(tmp_path / "own")
    weights = next((folder / "denoiser").glob("*.safetensors"))
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 255]))
    warm = Runner()
    with pytest.raises(BundleIntegrityError):
        warm.predictor(folder, "cpu")
    weights.write_bytes(good)
    assert warm.predictor(folder, "cpu").bundle.name == "tiny"


def test_a_warm_runner_never_gives_a_patient_the_follow_up_of_another(request_of, tmp_path):
    """Their detached headers are equal, only the voxels beside them differ."""
    warm, means = Runner(), []
    for name, brighter in (("first", 0.0), ("second", 400.0)):
        head = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
        folder = tmp_path / name
        folder.mkdir()
        for file, image in {"pre": head, "post": sitk.ShiftScale(head, brighter, 1.0)}.items():
            sitk.WriteImage(image, str(folder / f"{file}.mhd"))
        paths = {"image": folder / "pre.mhd", "follow_up": folder / "post.mhd", "out": tmp_path / f"{name} out"}
        result = warm.run(request_of(**paths, report=False, measure=True))
        shown = sitk.GetArrayFromImage(sitk.ReadImage(str(result.files["registered_follow_up"])))
        means.append(float(shown.max()))
    assert (tmp_path / "first/post.mhd").read_bytes() == (tmp_path / "second/post.mhd").read_bytes()
    assert means[1] - means[0] == pytest.approx(400.0, abs=1.0)


def test_a_follow_up_is_registered_once(request_of, files, monkeypatch):
    counted = []
    original = follow_up.register_rigidly
    monkeypatch.setattr(follow_up, "register_rigidly", lambda *a: counted.append(1) or original(*a))
    warm = Runner()
    for seed in (1, 2):
        warm.run(request_of(options={"seed": seed}, follow_up=files["image"]))
    assert counted == [1]


def test_the_provenance_is_written_last(request_of):
    result = Runner().run(request_of(options={"classes": ("short", "long")}))
    others = [path for path in result.request.out.rglob("*") if path.is_file() and path.name != "provenance.json"]
    newest = max(path.stat().st_mtime_ns for path in others)
    for folder in (result.request.out, result.request.out / "short", result.request.out / "long"):
        assert (folder / "provenance.json").stat().st_mtime_ns >= newest


def test_a_warm_run_samples_at_once(request_of, monkeypatch):
    warm = Runner()
    warm.run(request_of())
    for owner, name in ((Bundle, "load_networks"), (LatentAutoencoder, "encode")):
        monkeypatch.setattr(owner, name, lambda *_, **__: pytest.fail("loaded or encoded again"))
    recorder = Recorder()
    warm.run(request_of(options={"seed": 5}), recorder)
    assert "sample" in recorder.stages


def test_every_stack_is_read_once(request_of, files, monkeypatch):
    read = []
    original = StackGrid.to_stack
    monkeypatch.setattr(StackGrid, "to_stack", lambda *a, **k: read.append(1) or original(*a, **k))
    options = {"classes": ("short", "long"), "sample_count": 3}
    Runner().run(request_of(options=options, follow_up=files["image"], montage=True))
    image = gtv = follow_up = unchanged = 1
    expected, samples = 1, 3
    assert len(read) == image + gtv + follow_up + unchanged + 2 * (expected + samples)


def test_no_sample_is_read_back_if_nobody_looks_at_it(request_of, monkeypatch):
    read = []
    original = StackGrid.to_stack
    monkeypatch.setattr(StackGrid, "to_stack", lambda *a, **k: read.append(1) or original(*a, **k))
    Runner().run(request_of(measure=False, report=False))
    assert len(read) == 2


def files_on_the_way():
    """Files of the engine in the call stack, from the caller inwards, each as often as the way comes into it."""
    frames = [Path(frame.filename) for frame in traceback.extract_stack()]
    engine = [path.name for path in frames if path.is_relative_to(Path(run.__file__).parent)]
    return [name for name, _ in itertools.groupby(engine)]


def test_a_sampling_step_changes_file_five_times_from_the_command_to_the_network_and_back(
    files, tiny_bundle, tmp_path, monkeypatch
):
    to_network, to_listener = set(), set()
    forward, progress = networks.Denoiser.forward, cli._Terminal.progress
    monkeypatch.setattr(
        networks.Denoiser,
        "forward",
        lambda self, *a: to_network.add((*files_on_the_way(), "networks.py")) or forward(self, *a),
    )
    monkeypatch.setattr(
        cli._Terminal,
        "progress",
        lambda self, event: to_listener.add((event.step > 0, *files_on_the_way(), "cli.py")) or progress(self, event),
    )
    words = ["predict", "--image", files["image"], "--gtv", files["gtv"], "--bundle", tiny_bundle, "--no-montage"]
    assert cli.main([str(word) for word in [*words, "--out", tmp_path / "out", "--precision", "float32"]]) == 0
    way = ("cli.py", "run.py", "prediction.py", "sampling.py")
    steps = {found for found in to_network if "bundle_check.py" not in found}  # which tries the networks as they load
    assert {tuple(name for name, _ in itertools.groupby(found)) for found in steps} == {(*way, "networks.py")}
    assert {found[1:] for found in to_listener if found[0]} == {(*way, "cli.py")}


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def listed_in(folder):
    record = json.loads((folder / "provenance.json").read_text("utf-8"))
    found = {*record["files"], "provenance.json"}
    for name, entry in record.get("classes", {}).items():
        found |= {f"{name}/{file}" for file in [*entry["files"], "provenance.json"]}
    return found


@pytest.mark.parametrize("first", [{"sample_count": 3}, {"classes": ("short", "long")}, {"classes": ("long",)}])
def test_a_folder_holds_one_run_and_its_provenance_lists_all_of_it(request_of, files, first):
    warm = Runner()
    out = request_of().out
    warm.run(request_of(options=first, follow_up=files["image"], montage=True))
    assert names_in(out) == listed_in(out)
    (out / "notes.txt").write_text("the user's")
    result = warm.run(request_of(measure=False, report=False, options={"sample_count": 1}))
    volumes = {f"{name}.nii.gz" for name in (*OF_THE_EXPECTED, *MASKS)}
    assert names_in(out) == volumes | {"provenance.json", "notes.txt"}
    assert names_in(out) == listed_in(out) | {"notes.txt"}
    assert not [path for path in out.iterdir() if path.is_dir()]
    assert set(result.files) == {"provenance"}


def test_files_of_another_format_or_more_classes_do_not_stay(request_of):
    warm = Runner()
    out = request_of().out
    warm.run(request_of(format=".nrrd"))
    warm.run(request_of(options={"classes": ("short", "long")}))
    assert names_in(out) == listed_in(out)
    assert not [name for name in names_in(out) if name.endswith(".nrrd")]


def test_a_result_that_fails_while_it_is_written_leaves_that_of_an_earlier_run_alone(request_of, monkeypatch):
    warm = Runner()
    out = request_of().out
    warm.run(request_of(options={"sample_count": 1}))
    before = {name: (out / name).read_bytes() for name in names_in(out)}
    with monkeypatch.context() as patch:
        patch.setattr(write, "write_measurements", lambda *_: (_ for _ in ()).throw(OSError("power")))
        with pytest.raises(OSError, match="power"):
            warm.run(request_of(options={"sample_count": 2}))
    assert {name: (out / name).read_bytes() for name in before} == before
    assert all(name.startswith(".unfinished/") and name.endswith(".npy") for name in names_in(out) - set(before))
    warm.run(request_of(options={"sample_count": 2}))
    assert names_in(out) == listed_in(out)
    assert "spread.nii.gz" in names_in(out)


def test_the_mean_that_earlier_versions_wrote_does_not_stay(request_of):
    warm = Runner()
    out = request_of().out
    warm.run(request_of())
    record = json.loads((out / "provenance.json").read_text("utf-8"))
    (out / "mean.nii.gz").write_bytes(b"x")
    (out / "provenance.json").write_text(json.dumps(record | {"files": [*record["files"], "mean.nii.gz"]}), "utf-8")
    warm.run(request_of())
    assert "mean.nii.gz" not in names_in(out)


def test_without_samples_the_prediction_is_the_expected_image_and_nothing_is_measured(request_of, files):
    recorder = Recorder()
    result = Runner().run(request_of(options={"sample_count": 0}, follow_up=files["image"], report=True), recorder)
    assert "sample" not in recorder.stages
    volumes = {path.name for path in result.class_files["auto"].values()}
    assert volumes == {f"{name}.nii.gz" for name in (*OF_THE_EXPECTED, *MASKS)} | {"provenance.json"}
    expected, predicted = (sitk.ReadImage(str(result.request.out / f"{name}.nii.gz")) for name in OF_THE_EXPECTED)
    assert np.array_equal(sitk.GetArrayFromImage(expected), sitk.GetArrayFromImage(predicted))
    assert "average" in predicted.GetMetaData("ITK_FileNotes")
    measured = result.measurements_of("auto")
    assert measured["samples"] == 0
    assert "average" in measured["withheld"]["volume"]
    assert {measured.get(name) for name in ("volume_after_ml", "by_volume", "by_area", "score")} == {None}
    assert result.measurements.enhancement_probability == {}
    record = json.loads(result.files["provenance"].read_text("utf-8"))
    assert (record["predicted_is"], record["samples"]) == ("expected image", 0)
    assert "There are no samples" in result.files["report"].read_text("utf-8")


def test_files_and_record_say_that_the_prediction_is_the_first_sample(request_of):
    result = Runner().run(request_of(options={"sample_count": 2}))
    record = json.loads(result.files["provenance"].read_text("utf-8"))
    assert (record["predicted_is"], record["expected_image"]) == ("sample 1", "one network evaluation")
    notes = {
        name: sitk.ReadImage(str(path)).GetMetaData("ITK_FileNotes")
        for name, path in result.class_files["auto"].items()
        if path.name.endswith(".nii.gz")
    }
    assert all(note.startswith("SYNTHETIC") for note in notes.values())
    assert "average, one network evaluation" in notes["expected"]
    assert notes["predicted"].endswith("sample 1") and notes["sample_02"].endswith("sample 2")
    pictures = (sitk.ReadImage(str(result.class_files["auto"][name])) for name in ("predicted", "sample_01"))
    assert np.array_equal(*map(sitk.GetArrayFromImage, pictures))


def test_a_result_that_somebody_removes_at_the_last_moment_is_not_called_done(request_of, monkeypatch):
    out = request_of().out

    class Gone(Listener):
        def written(self):
            (out / "measurements.csv").unlink()

    with pytest.raises(OutputFolderError, match=r"measurements\.csv was written .* not there any more"):
        Runner().run(request_of(), Gone())


def test_measurements_of_versions_that_did_not_list_them_do_not_stay(request_of):
    warm = Runner()
    out = request_of().out
    warm.run(request_of(options={"sample_count": 1}))
    record = json.loads((out / "provenance.json").read_text("utf-8"))
    record["files"] = [name for name in record["files"] if not name.startswith("measurements")]
    (out / "provenance.json").write_text(json.dumps(record), "utf-8")
    warm.run(request_of(measure=False, options={"sample_count": 1}))
    assert names_in(out) == listed_in(out)


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[1]",
        '{"files": 7}',
        '{"files": ["../../outside.txt", "/etc/passwd", "sub/../../outside.txt", "a\\\\b", ""]}',
        '{"classes": {"..": {"files": ["outside.txt"]}}}',
        '{"classes": {"short": 1}}',
    ],
)
def test_a_provenance_that_is_not_ours_removes_nothing(request_of, content):
    out = request_of().out
    out.mkdir()
    (out.parent / "outside.txt").write_text("x")
    (out / "mine.txt").write_text("x")
    (out / "provenance.json").write_text(content, "utf-8")
    Runner().run(request_of())
    assert (out.parent / "outside.txt").is_file()
    assert names_in(out) == listed_in(out) | {"mine.txt"}


def test_a_follow_up_is_scaled_as_the_model_scales_its_input(request_of, files, tiny_bundle, tmp_path):
    warm = Runner()
    other = write_tiny_bundle(tmp_path / "max", preprocessing=with_maximum(tiny_bundle))
    for bundle in (tiny_bundle, other):
        result = warm.run(request_of(bundle=bundle, follow_up=files["image"]))
        score = result.measurements_of("auto")["score"]["copy_of_the_input"]
        assert score["mean_absolute_difference_gtv"] < 0.01
        slices = result.slices
        np.testing.assert_allclose(slices.truth, slices.pre, atol=0.05)
        assert slices.follow_up.scale == slices.scale


def with_maximum(bundle):
    description = json.loads((bundle / "bundle.json").read_text("utf-8"))
    return description["preprocessing"] | {"intensity": {"kind": "max", "percentile": 99.5, "clip_high": 1.5}}
