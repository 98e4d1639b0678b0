"""A command that fails leaves nothing that was not there before: on a full disk, and with inputs that are wrong."""

import json

import fake_dicom
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from small_file_limit import small_file_limit
from small_store import write_small_store

from GBMResponseTraining import cli as training

GRID = ((60, 66, 12), (3.5, 3.5, 5.0))
CASE = "--image {in}/pre.nii.gz --gtv {in}/gtv.nrrd"
MODEL = "--bundle {bundle} --precision float32 --samples 1"
RUN = "--run {out} --store {in}/store --preset smoke --accelerator cpu"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Sound inputs of all commands, and some that are wrong."""
    folder = tmp_path_factory.mktemp("given")
    image, gtv = folder / "pre.nii.gz", folder / "gtv.nrrd"
    head = phantoms.head(*GRID)
    sitk.WriteImage(head, str(image))
    sitk.WriteImage(phantoms.gtv(*GRID), str(gtv))
    for name, rows in {"cases": ["a"], "twice": ["a", "a"]}.items():
        lines = ["id,image,gtv", *(f"{row},{image},{gtv}" for row in rows)]
        (folder / f"{name}.csv").write_text("\n".join(lines), "utf-8")
    (folder / "heads.csv").write_text(f"patient,image\na,{image}\n", "utf-8")
    (folder / "gone.csv").write_text("id,image,gtv\na,gone.nii.gz,gone.nii.gz\n", "utf-8")
    (folder / "headless.csv").write_text("patient,image\na,gone.nii.gz\n", "utf-8")
    fake_dicom.write_series(folder / "dicom", head)
    (folder / "not_a_bundle").mkdir()
    write_small_store(folder / "store")
    return folder


@pytest.fixture
def ended(given, tiny_bundle, tmp_path, monkeypatch):
    """Exit code of a command, and what is there then that was not there before."""
    monkeypatch.setenv("GBMRESPONSE_MODELS", str(tmp_path / "models"))
    series = {"image": str(given / "pre.nii.gz"), "modality": "MR", "what": "expected", "number": 9}
    content = {"out": str(tmp_path / "new" / "out"), "sources": [], "series": [series]}
    (tmp_path / "request.json").write_text(json.dumps(content), "utf-8")

    def end(words, limit=None):
        before = {*tmp_path.rglob("*"), *given.rglob("*")}
        fields = {"in": given, "bundle": tiny_bundle, "out": tmp_path / "new" / "out", "here": tmp_path}
        program, *arguments = [word.format(**fields) for word in words.split()]
        main = {"gbmresponse": cli.main, "gbmresponse-train": training.main}[program]
        if limit is None:
            code = main(arguments)
        else:
            with small_file_limit(limit):
                code = main(arguments)
        return code, sorted({*tmp_path.rglob("*"), *given.rglob("*")} - before)

    return end


WRITERS = [
    f"gbmresponse predict {CASE} {MODEL} --out {{out}}",
    f"gbmresponse cohort {{in}}/cases.csv {MODEL} --devices cpu --out {{out}}",
    "gbmresponse cohort --scan {in} {here}/new/cases.csv",
    "gbmresponse cohort inputs {in}/cases.csv --case a --to {out}",
    "gbmresponse dicom deidentify {in}/dicom --out {out}",
    "gbmresponse dicom write {here}/request.json",
    "gbmresponse models add {bundle}",
    "gbmresponse-train import heads {in}/heads.csv {out} --size 64",
    "gbmresponse-train simulate 1 {out} --anatomies phantom --slices 3 --size 64 --processes 1",
    "gbmresponse-train prepare-anatomies {in}/pre.nii.gz {out} --kind t1",
    "gbmresponse-train realism {in}/store {in}/store {out} --steps 2",
    "gbmresponse-train reconstruction {out} --model x={bundle} --store small={in}/store",
    "gbmresponse-train selftest {in}/cases.csv {out} --bundle {bundle} --device cpu",
    "gbmresponse-train evaluate {in}/store {out} --model x={bundle} --device cpu",
    f"gbmresponse-train train image-autoencoder {RUN}",
    f"gbmresponse-train experiment {RUN}",
    "gbmresponse-train finetune --run {out} --store {in}/store --bundle {bundle}",
    "gbmresponse-train doctor --folder {out}",
]


@pytest.mark.parametrize("words", WRITERS)
def test_on_a_full_disk_nothing_is_left(ended, words):
    code, left = ended(words, limit=0)
    assert code == 21
    assert left == []


MISTAKES = [
    f"gbmresponse predict {CASE} --bundle {{in}}/not_a_bundle --out {{out}}",
    f"gbmresponse predict {CASE} {MODEL} --class middling --out {{out}}",
    f"gbmresponse predict {CASE} {MODEL} --sampler unknown --out {{out}}",
    f"gbmresponse predict --image {{in}}/gtv.nrrd --gtv {{in}}/pre.nii.gz {MODEL} --out {{out}}",
    f"gbmresponse cohort {{in}}/twice.csv {MODEL} --devices cpu --out {{out}}",
    "gbmresponse cohort {in}/cases.csv --bundle {in}/not_a_bundle --devices cpu --out {out}",
    f"gbmresponse cohort {{in}}/cases.csv {MODEL} --devices cuda:7 --out {{out}}",
    f"gbmresponse cohort {{in}}/cases.csv {MODEL} --scheduler nonsense --out {{out}}",
    "gbmresponse cohort report {out}",
    "gbmresponse cohort inputs {in}/gone.csv --case a --to {out}",
    "gbmresponse dicom deidentify {in}/store --out {out}",
    "gbmresponse dicom fetch --study 1.2 --url http://127.0.0.1:9/x --tries 1 --out {out}",
    "gbmresponse models add {in}/not_a_bundle",
    "gbmresponse-train import heads {in}/headless.csv {out} --size 64",
    "gbmresponse-train import folder {in}/gone.csv {out} --size 64",
    "gbmresponse-train import cfb-gbm {in}/store {out}",
    "gbmresponse-train import dicom {in}/store {out} --table {in}/gone.csv",
    "gbmresponse-train simulate 1 {out} --anatomies {in}/store --processes 1",
    "gbmresponse-train simulate 1 {out} --anatomies phantom --size 65 --processes 1",
    "gbmresponse-train prepare-anatomies {in}/gtv.nrrd {out} --kind labels",
    "gbmresponse-train realism {in}/store {in}/gone {out} --steps 2",
    "gbmresponse-train reconstruction {out} --model x={in}/not_a_bundle --store small={in}/store",
    "gbmresponse-train selftest {in}/cases.csv {out} --bundle {in}/not_a_bundle --device cpu",
    "gbmresponse-train evaluate {in}/store {out} --model x={in}/not_a_bundle --device cpu",
    "gbmresponse-train evaluate {in}/store {out} --model x={bundle} --split nowhere --device cpu",
    "gbmresponse-train evaluate {in}/store {out} --model x={bundle}:unknown --device cpu",
    f"gbmresponse-train train image-autoencoder {RUN} --set nonsense=1",
    f"gbmresponse-train train image-autoencoder {RUN} --set image_autoencoder.crop=128",
    f"gbmresponse-train train diffusion unknown {RUN}",
    f"gbmresponse-train experiment {RUN} --evaluation-split tset",
    "gbmresponse-train export no-class --run {out}",
    "gbmresponse-train card no-class --run {out} --report tests={in}/store",
    "gbmresponse-train calibrate no-class --run {out}",
    "gbmresponse-train finetune --run {out} --store {in}/store --bundle {in}/not_a_bundle",
    "gbmresponse-train finetune --run {out} --store {in}/gone --bundle {bundle}",
    "gbmresponse-train finetune --run {out} --store {in}/store --bundle {bundle} --set nonsense=1",
    "gbmresponse-train import-checkpoint --ldm {in}/cases.csv --config {in}/cases.csv --out {out}",
    "gbmresponse-train doctor --folder {out} --preset unknown",
    "gbmresponse-train split {in}/not_a_bundle",
]


@pytest.mark.parametrize("words", MISTAKES)
def test_after_a_mistake_nothing_is_left(ended, words):
    code, left = ended(words)
    assert code != 0
    assert left == []
