"""Every command of README and pages exists, and is run here, by another test, or not, with a reason."""

import re
import shlex
from pathlib import Path

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from GBMResponseCore.model.library import BUNDLE_VARIABLE
from tools import make_dicom_export

from GBMResponseTraining import cli as training

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted((ROOT / "docs").glob("*.md"))
PROGRAMS = (
    "gbmresponse|gbmresponse-train|make|pip|python|PythonSlicer|Slicer|git|cd|srun|torchrun|zip|sha256sum|"
    "Testing/tools/synthetic_experiment.sh"
)
_COMMAND = re.compile(rf"(?:\.venv/bin/)?((?:{PROGRAMS})(?: .*)?)")
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)

# Programs of this repository that another test runs, by what they begin with.
ELSEWHERE = {
    "gbmresponse dicom fetch": "integration/test_dicom_round_trip.py",
    "gbmresponse dicom send": "integration/test_dicom_round_trip.py",
    "gbmresponse predict --bundle": "integration/test_command.py",
    "gbmresponse predict --dicom": "integration/test_dicom_round_trip.py",
    "gbmresponse-train calibrate": "unit/training/bundles/test_card_command.py",
    "gbmresponse-train segmenter": "unit/training/bundles/test_card_command.py",
    "gbmresponse-train card": "unit/training/bundles/test_card_command.py",
    "gbmresponse-train check-leakage": "unit/training/store/test_leakage.py",
    "gbmresponse-train evaluate": "unit/training/evaluation/test_evaluate_command.py",
    "gbmresponse-train experiment": "unit/training/stages/test_training_run.py",
    "gbmresponse-train export": "integration/test_training_chain.py",
    "gbmresponse-train finetune": "unit/training/bundles/test_fine_tuning.py",
    "gbmresponse-train import cfb-gbm": "integration/test_training_chain.py",
    "gbmresponse-train import cheng": "unit/training/datasets/test_cheng.py",
    "gbmresponse-train import dicom": "integration/test_import_cohorts.py",
    "gbmresponse-train import folder": "integration/test_import_pairs.py",
    "gbmresponse-train doctor": "integration/test_doctor.py",
    "gbmresponse-train import heads": "unit/training/datasets/test_heads.py",
    "gbmresponse-train import lumiere": "integration/test_import_cohorts.py",
    "gbmresponse-train import mu-glioma-post": "unit/training/store/test_leakage.py",
    "gbmresponse-train import sailor": "integration/test_import_cohorts.py",
    "gbmresponse-train import ucsf-alptdg": "integration/test_import_cohorts.py",
    "gbmresponse-train import-checkpoint": "unit/training/bundles/test_checkpoint_import.py",
    "gbmresponse-train prepare-anatomies": "unit/training/synthetic/test_anatomy_preparation.py",
    "gbmresponse-train realism": "unit/training/synthetic/test_realism.py",
    "gbmresponse-train reconstruction": "unit/training/evaluation/test_reconstruction.py",
    "gbmresponse-train selftest": "unit/training/evaluation/test_self_test.py",
    "gbmresponse-train simulate": "integration/test_training_chain.py",
    "gbmresponse-train split": "integration/test_training_chain.py",
    "gbmresponse-train train": "integration/test_training_chain.py",
    "python Testing/benchmarks/bench_ceiling.py": "integration/test_measure_benchmarks.py",
    "python Testing/benchmarks/bench_direct.py": "integration/test_measure_benchmarks.py",
    "python Testing/benchmarks/bench_segmenter.py": "integration/test_measure_benchmarks.py",
    "python Testing/tools/make_exact_masks.py": "integration/test_measure_benchmarks.py",
    "torchrun": "integration/test_distributed_training.py",
    "Slicer --no-splash": "integration/test_cohort.py",
}

# What no test runs.
NOT_RUN = {
    "make": "sets up the environment that the tests run in; .ci/run and the workflows call it",
    "pip": "installs packages from the internet",
    "git": "fetches or publishes this repository",
    "cd": "changes the folder",
    "srun": "needs a cluster",
    "PythonSlicer": "needs 3D Slicer",
    "python -c": "reads a checkpoint of other people's code",
}

# Run below, in this order, in one folder that has what the pages assume.
HERE = (
    "gbmresponse models list",
    "python Testing/tools/make_dicom_export.py",
    "gbmresponse dicom list",
    "gbmresponse predict --image",
    "gbmresponse cohort",
    "gbmresponse measure",
    "gbmresponse report",
    "gbmresponse score",
)
# A model that the reader has made is here the tiny one.
_NAMES = {"PRE": "pre_t1gd.nii.gz", "GTV": "gtv.nii.gz", "POST": "post.nii.gz", "RUN": "results"}
_NAMES |= {"export/": "demo-export", "ID": "A", "DATE": "2026-03-31"}


def plain(line: str) -> str:
    """A command without comment, brackets and dots of what may be added."""
    line = re.sub(r"<[^>]*>", "X", re.sub(r"\s+(#|\.\.\.).*", "", line.strip()))
    return " ".join(re.sub(r"\[(--[^\]]*)\]", r"\1", line).split())


def commands(page: Path) -> list[str]:
    """The commands of a page's blocks, each in one line."""
    blocks = _BLOCK.findall(page.read_text("utf-8").replace("\\\n", " "))
    lines = [_COMMAND.fullmatch(line.strip()) for block in blocks for line in block.splitlines()]
    return [plain(line[1]) for line in lines if line and not line[1].startswith("gbmresponse:")]


def mentioned(page: Path) -> list[str]:
    """Commands in the text of a page, often in part."""
    text = _BLOCK.sub("", page.read_text("utf-8"))
    found = [_COMMAND.fullmatch(" ".join(code.split())) for code in re.findall(r"`([^`]+)`", text)]
    return [plain(part) for line in found if line for part in line[1].split("&&")]


ALL = sorted({command for page in PAGES for command in commands(page)})
IN_TEXT = sorted({command for page in PAGES for command in mentioned(page)} - set(ALL))


def kind(command: str) -> str:
    """The entry of the tables above that a command belongs to."""
    entries = [entry for entry in (*HERE, *ELSEWHERE, *NOT_RUN) if (command + " ").startswith(entry + " ")]
    assert entries, f"{command!r} stands in no table: run it in a test, or say why not"
    return max(entries, key=len)


def kind_or_none(command: str) -> str | None:
    try:
        return kind(command)
    except AssertionError:
        return None


def test_the_pages_have_commands():
    assert len(ALL) > 50
    assert "gbmresponse predict --image pre_t1gd.nii.gz --gtv gtv.nii.gz --out results" in ALL


def parse(command: str) -> None:
    program, *words = shlex.split(command)
    try:
        (cli if program == "gbmresponse" else training)._parser().parse_args(words)
    except SystemExit as error:
        raise AssertionError(f"wrong usage: {command}") from error


@pytest.mark.parametrize("command", ALL)
def test_a_command_exists_and_is_run_or_has_a_reason(command):
    assert kind(command)
    for program in ("gbmresponse", "gbmresponse-train"):
        if program in shlex.split(command):
            parse(command[command.index(program + " ") :])
    exists(command)


@pytest.mark.parametrize("command", IN_TEXT)
def test_what_the_text_mentions_exists(command):
    exists(command)
    program, *words = command.split()
    if program.startswith("gbmresponse"):
        parser = (cli if program == "gbmresponse" else training)._parser()
        named = [word for word in words if word.islower() and word.isalpha() and not word.startswith("-")][:1]
        subcommands = next(action.choices for action in parser._actions if action.choices)
        assert not named or named[0] in subcommands
        options = subcommands[named[0]].format_help() if named else "--help"
        if named and named[0] not in ("dicom", "import", "models"):
            assert not [word for word in words if word.startswith("--") and word not in options]


HELP = next(entry.choices for entry in cli._parser()._actions if entry.choices)["predict"].format_help()


def exists(command: str) -> None:
    """Targets of make and files of python are there, and files take the options."""
    words = command.split()
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert not [word for word in words[1:] if "=" not in word and word not in targets]
    if words[0] == "python" and words[1:] and words[1].endswith(".py"):
        source = (ROOT / words[1]).read_text("utf-8") + HELP  # benchmarks hand over what they do not know
        assert not [word for word in words if word.startswith("--") and word.split("=")[0] not in source]


@pytest.mark.parametrize(("command", "file"), ELSEWHERE.items())
def test_the_other_test_runs_it(command, file):
    source = (ROOT / "Testing" / file).read_text("utf-8")
    word = {"Slicer --no-splash": "GBMResponseBatch"}.get(command, Path(command.split()[-1]).stem)
    assert word in source


def test_the_tables_hold_nothing_else():
    used = {kind_or_none(command) for command in ALL + IN_TEXT}
    assert {*HERE, *ELSEWHERE} - used == set()
    assert set(NOT_RUN) - used == set()


def test_the_user_guide_names_every_option_of_a_prediction():
    guide = (ROOT / "docs" / "user-guide.md").read_text("utf-8")
    options = set(re.findall(r"--[a-z][a-z-]+", HELP)) - {"--help", "--verbose", "--gtv-roi", "--rtstruct", "--dicom"}
    assert len(options) > 30
    assert not {option for option in options if option not in guide}


@pytest.fixture
def folder(tmp_path, tiny_bundle, monkeypatch):
    """A folder with the files that the pages name, and a small model in the place of the one that ships."""
    size, spacing = (60, 64, 8), (0.95, 0.95, 6.0)
    head = phantoms.head(size, spacing, center=phantoms.GTV_CENTER)
    gtv = phantoms.gtv(size, spacing, center=phantoms.GTV_CENTER)
    dose = sitk.Cast(gtv, sitk.sitkFloat32) * 60
    images = {"pre_t1gd": head, "gtv": gtv, "post": head * 2, "ctv": gtv, "ptv": gtv, "dose": dose}
    for name, image in images.items():
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    (tmp_path / "cases.csv").write_text("id,image,gtv\nA,pre_t1gd.nii.gz,gtv.nii.gz\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(BUNDLE_VARIABLE, str(tiny_bundle))
    monkeypatch.setenv("GBMRESPONSE_MODELS", str(tmp_path / "models"))
    return tmp_path


def test_commands_of_the_pages_run(folder, capsys):
    """Of those that are alike but for names, the first. Later ones take the results of earlier ones."""
    for entry in HERE:
        command = next((item for item in ALL + IN_TEXT if kind_or_none(item) == entry), None)
        assert command, f"no page says {entry!r}"
        program, *words = [_NAMES.get(word, word) for word in shlex.split(command)]
        if program == "python":
            make_dicom_export.main(Path(words[1]))
        else:
            code = cli.main(words)
            assert code == 0, (command, capsys.readouterr().err)
    assert (folder / "results" / "report.html").is_file()
    assert (folder / "DIR" / "summary.csv").is_file()
    assert (folder / "LOG.sqlite").is_file()
