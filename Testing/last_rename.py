"""Somebody removes a folder just after the last file of a command has got its name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def code_without_the_last_folder(monkeypatch: pytest.MonkeyPatch, command: Callable[[str], int]) -> int:
    """Exit code of a command whose folder goes away after its last file; without that it must end with 0.

    :param command: does the same twice; gets a word that its folders must hold, so that nothing of the first is there.
    """
    rename = os.replace
    done: list[Path] = []

    def replace(source: Path, target: Path) -> None:
        rename(source, target)
        done.append(Path(target))
        if len(done) == last:
            shutil.rmtree(done[-1].parent)

    monkeypatch.setattr(os, "replace", replace)
    last = 0
    assert command("first") == 0
    last = len(done)
    assert last
    done.clear()
    return command("second")
