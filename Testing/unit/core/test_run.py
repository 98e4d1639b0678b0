"""The one function behind command, cohort and worker: memory, warm models, progress, order of files."""

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import prediction
from GBMResponseCore.errors import BundleIntegrityError, OutOfMemoryError
from GBMResponseCore.inputs import follow_up
from GBMResponseCore.model.bundle import Bundle
from GBMResponseCore.model.networks import LatentCodec
from GBMResponseCore.outputs import write
from GBMResponseCore.progress import Listener, TimeLeft
from GBMResponseCore.request import PredictionOptions, PredictionRequest
from GBMResponseCore.run import Runner
from tiny_bundle import write_tiny_bundle

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
        basis = {**files, "out": tmp_path / "out", "bundle": tiny_bundle, "montage": False}
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


def test_other_errors_of_torch_are_not_taken_for_memory(request_of, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(prediction, "generate_slices", fail)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Runner().run(request_of())


def test_progress_grows_over_samples_and_classes_to_its_end(request_of):
    recorder = Recorder()
    Runner().run(request_of(options={"classes": ("short", "long"), "sample_count": 2, "batch_size": 3}), recorder)
    assert recorder.fractions == sorted(recorder.fractions)
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


def test_a_failed_run_takes_the_mark_of_completeness_away(request_of, monkeypatch):
    warm = Runner()
    warm.run(request_of())
    monkeypatch.setattr(write, "write_measurements", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        warm.run(request_of(options={"seed": 2}))
    assert not (request_of().out / "provenance.json").exists()


def test_a_warm_run_samples_at_once(request_of, monkeypatch):
    warm = Runner()
    warm.run(request_of())
    for owner, name in ((Bundle, "load_networks"), (LatentCodec, "encode")):
        monkeypatch.setattr(owner, name, lambda *_, **__: pytest.fail("loaded or encoded again"))
    recorder = Recorder()
    warm.run(request_of(options={"seed": 5}), recorder)
    assert "sample" in recorder.stages
