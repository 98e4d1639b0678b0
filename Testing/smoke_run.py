"""`gbmresponse-train` with the preset `smoke`, in this process."""

from collections.abc import Iterable
from pathlib import Path

from GBMResponseTraining import cli


def smoke_run(store: Path, run: Path, *words: str, settings: Iterable[str] = (), accelerator: str = "cpu") -> int:
    """Start the command `words` on a store and a run folder; return its exit code.

    :param settings: of `--set`.
    """
    overrides = [word for setting in settings for word in ("--set", setting)]
    options = ["--run", run, "--store", store, "--preset", "smoke", "--accelerator", accelerator, *overrides]
    return cli.main([str(word) for word in (*words, *options)])
