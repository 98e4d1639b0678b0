"""Write docs/troubleshooting.md from the typed errors of the code: the only list of exit codes.

    python Testing/tools/make_troubleshooting.py

Run it after an error was added or worded anew; a test compares the page with the code. The cause is the first paragraph
of an error's docstring, the remedy its own.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "GBMResponse"), str(ROOT)]

import GBMResponseCore  # noqa: E402
from GBMResponseCore.errors import GBMResponseError  # noqa: E402
from GBMResponseLib.common.Failure import OWN_CODES  # noqa: E402

import GBMResponseTraining  # noqa: E402

PAGE = ROOT / "docs" / "troubleshooting.md"
Kind = type[GBMResponseError]

_TOP = """# Troubleshooting

Made from the errors of the code by `Testing/tools/make_troubleshooting.py`; do not edit.

Every failure that has a known cause ends with one sentence about what is wrong and one about what to do, and with a
code: its number is the exit code of `gbmresponse` and `gbmresponse-train`, its name stands in the worker's `error`
events, in the `summary.csv` of a cohort and in the `skipped.csv` of an import. The sentences you see name files and
values; those here are the general ones. Exit code 0 means done, 2 wrong usage: the command then says how it is used.
"""
_SECTIONS = (
    ("Predicting: `gbmresponse`, the worker and the panel", "GBMResponseCore"),
    ("Training and importing: `gbmresponse-train`, besides those above", "GBMResponseTraining"),
)


def typed_errors(package: str) -> list[Kind]:
    """All errors that modules of a package declare, by exit code."""
    return sorted((kind for kind in _all_errors() if kind.__module__.partition(".")[0] == package), key=_order)


def page() -> str:
    """The text of the page."""
    parts = [_TOP]
    for title, package in _SECTIONS:
        rows = [
            f"| {kind.exit_code} | `{kind.code}` | {_cell(cause(kind))} | {_cell(kind.remedy)} |"
            for kind in typed_errors(package)
        ]
        head = [f"## {title}\n", "| exit code | name | cause | what to do |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *rows, ""]))
    rows = [f"| `{code}` | {_cell(why)} | {_cell(remedy)} |" for code, (why, remedy) in sorted(OWN_CODES.items())]
    head = ["## The Slicer panel, besides the engine's\n", "| name | cause | what to do |", "|---|---|---|"]
    return "\n".join([*parts, "\n".join([*head, *rows, ""])])


def cause(kind: Kind) -> str:
    """The first paragraph of an error's own docstring; empty if it has none."""
    return " ".join((vars(kind).get("__doc__") or "").partition("\n\n")[0].split())


def _all_errors() -> set[Kind]:
    for package in (GBMResponseCore, GBMResponseTraining):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, waiting = {GBMResponseError}, [GBMResponseError]
    while waiting:
        kinds = waiting.pop().__subclasses__()
        waiting += kinds
        found.update(kinds)
    return found


def _order(kind: Kind) -> tuple[int, str]:
    return kind.exit_code, kind.code


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(f"{PAGE.relative_to(ROOT)} written.")
