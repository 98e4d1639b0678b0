"""What a command has written is looked for at its end, under its name by then; its empty folders go if it fails."""

import pytest
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import discard, ensure_output_folder, files_kept, move, remove_folder, write_text


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def test_a_file_that_somebody_removed_is_missed(folder):
    with pytest.raises(OutputFolderError, match=r"b\.txt was written and is not there"), files_kept():
        for name in "abc":
            write_text("text", folder / f"{name}.txt")
        (folder / "b.txt").unlink()


@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("gone", [False, True], ids=["kept", "gone"])
def test_what_was_moved_is_looked_for_where_it_is_now(folder, whole, gone):
    def work():
        with files_kept():
            path = write_text("text", folder / "a.txt")
            target = folder.parent / "moved"
            move(*(folder, target) if whole else (path, target))
            if gone:
                (target / "a.txt" if whole else target).unlink()

    if gone:
        with pytest.raises(OutputFolderError, match="moved"):
            work()
    else:
        work()


def test_what_was_removed_by_intent_is_not_missed(folder):
    with files_kept():
        write_text("text", folder / "a.txt")
        discard(write_text("text", folder.parent / "b.txt"))
        remove_folder(folder)
    assert not folder.exists() and not (folder.parent / "b.txt").exists()


def test_a_folder_is_not_taken_for_another_whose_name_begins_alike(folder):
    beside = folder.with_name("new files")
    beside.mkdir()
    with pytest.raises(OutputFolderError, match="new files"), files_kept():
        write_text("text", folder / "a.txt")
        write_text("text", beside / "b.txt").unlink()
        remove_folder(folder)


def test_a_relative_name_is_that_of_the_folder_it_was_written_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with files_kept():
        write_text("text", "a.txt")
        monkeypatch.chdir(folder.parent)


def test_what_a_case_has_written_is_its_own_concern(folder):
    with files_kept():
        with files_kept():
            path = write_text("text", folder / "a.txt")
        path.unlink()


def test_an_error_is_not_hidden_by_what_is_missing(folder):
    with pytest.raises(KeyboardInterrupt), files_kept():
        write_text("text", folder / "a.txt").unlink()
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [OutputFolderError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_no_empty_folder_of_its_own(folder, error):
    (folder / "there").mkdir()
    with pytest.raises(error), files_kept():
        for name in ("there", "there/new/deep", "other/deep"):
            ensure_output_folder(folder / name)
        write_text("text", folder / "other" / "a.txt")
        raise error("stopped")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "other",
        "other/a.txt",
        "there",
    ]


def test_a_relative_folder_is_removed_where_it_was_made(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(OutputFolderError), files_kept():
        ensure_output_folder("new")
        monkeypatch.chdir(folder.parent)
        raise OutputFolderError("stopped")
    assert not list(folder.iterdir())


def test_a_block_that_ends_well_keeps_an_empty_folder(folder):
    with files_kept():
        ensure_output_folder(folder / "new")
    assert (folder / "new").is_dir()


def test_a_folder_on_a_disk_that_is_not_there_is_an_error_of_the_folder(folder):
    (folder / "file").write_text("x", "ascii")
    with pytest.raises(OutputFolderError):
        ensure_output_folder(folder / "file" / "below")
