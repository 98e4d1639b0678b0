"""Runs a shell script of Testing/tools whose `gbmresponse-train` asks this process, which has loaded everything."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from GBMResponseTraining import cli

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "Testing" / "tools"

_ASKING = """#!/bin/sh
printf '%s\\n' "$@" > "{folder}/asked"
read -r code < "{folder}/answered"
exit "$code"
"""


def run_recipe(script: str, arguments: list, folder: Path, **environment: str) -> int:
    """Run a script and return its exit code.

    :param folder: new, for the commands that it finds.
    :param environment: of the script, beside that of this process.
    """
    folder.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for name, text in (("gbmresponse-train", _ASKING.format(folder=folder)), ("python", python)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'GBMResponse'}:{ROOT}",
        **environment,
    }
    asked, answered = folder / "asked", folder / "answered"
    for path in (asked, answered):
        os.mkfifo(path)
    ended = []

    def run():
        try:
            ended.append(subprocess.run(["bash", TOOLS / script, *arguments], env=environment, check=False).returncode)
        finally:
            asked.write_text("")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while command := asked.read_text("utf-8").splitlines():
        code = 1
        if command[0] == "simulate":
            command += ["--processes", "1"]  # others would load everything again
        try:
            code = cli.main(command)
        finally:
            answered.write_text(f"{code}\n")
    thread.join()
    return ended[0]
