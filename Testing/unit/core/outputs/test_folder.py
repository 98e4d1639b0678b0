"""Output folders: one run at a time, nothing of killed ones, and no input replaced."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.outputs import folder as module
from GBMResponseCore.outputs.folder import folder_in_use, preview_folder, refuse_to_replace, result_files

HOLDER = """
import sys, time
from pathlib import Path
from GBMResponseCore.outputs.folder import folder_in_use
with folder_in_use(Path(sys.argv[1])):
    print("in use", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that uses the folder `out`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"in use"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_and_told_who_is_there(holder, tmp_path):
    with pytest.raises(OutputFolderError, match=f"folder out .process {holder.pid} on .*since 2"):
        folder_in_use(tmp_path / "out").__enter__()
    holder.communicate()
    with folder_in_use(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").is_file()
    assert not os.listdir(tmp_path / "out")


def test_a_refused_run_leaves_the_first_one_alone(holder, tmp_path):
    pictures = preview_folder(tmp_path / "out")
    pictures.mkdir()
    with pytest.raises(OutputFolderError), folder_in_use(tmp_path / "out"):
        pass
    assert pictures.is_dir()
    assert (tmp_path / "out" / ".lock").is_file()


def test_the_lock_of_a_killed_run_is_free(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert (tmp_path / "out" / ".lock").is_file()
    with folder_in_use(tmp_path / "out"):
        pass
    assert not os.listdir(tmp_path / "out")


def test_two_runs_in_one_process_are_two_runs(tmp_path):
    with folder_in_use(tmp_path), pytest.raises(OutputFolderError), folder_in_use(tmp_path):
        pass
    assert not os.listdir(tmp_path)


def test_only_one_of_many_that_start_at_once_gets_the_folder(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) for _ in range(4)
    ]  # fmt: skip
    end = time.monotonic() + 600
    while sum(process.poll() is None for process in processes) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    (winner,) = (process for process in processes if process.poll() is None)
    assert winner.stdout.readline().strip() == b"in use"
    for process in processes:
        process.communicate()


@pytest.fixture
def without_locks(monkeypatch):
    """A drive that has no locks."""

    def refuse(_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(module, "_claim_from_system", refuse)


def test_without_locks_of_the_system_a_living_process_counts(holder, without_locks, tmp_path):
    with pytest.raises(OutputFolderError, match=r"remove the file \.lock"):
        folder_in_use(tmp_path / "out").__enter__()
    holder.kill()
    holder.wait()
    with folder_in_use(tmp_path / "out"):
        pass


@pytest.mark.parametrize(
    ("holder_says", "refused"),
    [
        ('{"pid": PID, "host": "HOST", "boot": "another boot", "start": "1"}', False),
        ('{"pid": 99999999999999999999999, "host": "HOST"}', False),
        ('{"pid": 1, "host": "another host"}', True),
        ("no json", False),
        ("", False),
    ],
)
def test_without_locks_of_the_system_a_number_given_anew_does_not_count(without_locks, tmp_path, holder_says, refused):
    text = holder_says.replace("PID", str(os.getpid())).replace("HOST", module.platform.node())
    (tmp_path / ".lock").write_text(text)
    if refused:
        with pytest.raises(OutputFolderError, match="on another host"):
            folder_in_use(tmp_path).__enter__()
    else:
        with folder_in_use(tmp_path):
            pass


def test_what_killed_runs_have_left_is_swept(tmp_path):
    partial = tmp_path / f".{'ab' * 16}.partial.nii.gz"
    partial.touch()
    pictures = preview_folder(tmp_path)
    pictures.mkdir()
    (pictures / "a.png").touch()
    (tmp_path / "notes.txt").touch()
    with folder_in_use(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [".lock", "notes.txt"]


def test_what_killed_runs_have_left_in_folders_of_classes_is_swept_unless_they_are_in_use(tmp_path):
    for name in ("short", "used"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f".{'cd' * 16}.partial.nrrd").touch()
    with folder_in_use(tmp_path / "used"):
        (tmp_path / "used" / f".{'ef' * 16}.partial.nrrd").touch()
        with folder_in_use(tmp_path):
            assert os.listdir(tmp_path / "short") == []
            assert f".{'ef' * 16}.partial.nrrd" in os.listdir(tmp_path / "used")


def test_an_interrupt_while_a_file_is_taken_away_leaves_no_part_of_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_in_use(tmp_path):
        (tmp_path / f".{'ab' * 16}.partial.nii").touch()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_folder_that_goes_in_the_midst_of_a_run_is_named_wherever_that_shows(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OutputFolderError, match="any more"), folder_in_use(out):
        module.shutil.rmtree(out)
        os.scandir(out / ".unfinished")
    with pytest.raises(FileNotFoundError), folder_in_use(out):
        os.scandir(tmp_path / "elsewhere")


def test_two_runs_never_share_their_previews(tmp_path):
    assert preview_folder(tmp_path) != preview_folder(tmp_path)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "predicted.nii.gz").write_text("x")
    (folder / "notes.txt").write_text("x")
    return folder


def link(kind, out, tmp_path):
    path = tmp_path / "input.nii.gz"
    {"symbolic": Path.symlink_to, "hard": Path.hardlink_to}[kind](path, out / "predicted.nii.gz")
    return path


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_an_input_that_is_a_result_by_a_link_is_refused(out, tmp_path, kind):
    inputs = {"image": link(kind, out, tmp_path), "GTV": tmp_path / "nowhere.nii.gz", "follow-up": None}
    with pytest.raises(OutputFolderError, match="The image is the file predicted"):
        refuse_to_replace(inputs, result_files([out]))


def test_an_input_that_is_a_result_by_its_name_is_refused(out):
    path = out / ".." / "out" / "predicted.nii.gz"
    with pytest.raises(OutputFolderError, match="Choose another output folder"):
        refuse_to_replace({"GTV": path}, result_files([out]))


def test_other_files_of_the_output_folder_are_no_results(out, tmp_path):
    refuse_to_replace({"image": out / "notes.txt"}, result_files([out, tmp_path / "nowhere"]))
