"""A machine that only trains has a slice store and no volumes, and need not have SimpleITK."""

import os
import subprocess
import sys
from pathlib import Path

from rows import nightly
from small_store import write_small_store

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import sys; sys.modules['SimpleITK'] = None; from GBMResponseTraining import cli; sys.exit(cli.main(sys.argv[1:]))"
)


@nightly
def test_training_and_evaluation_need_no_simpleitk(tmp_path):
    store = write_small_store(tmp_path / "store")
    words = ["experiment", "--run", tmp_path / "run", "--store", store, "--preset", "smoke"]
    words += ["--configurations", "2-class"]
    paths = os.pathsep.join([str(ROOT / "GBMResponse"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "evaluation" / "table1.md").is_file()
