"""docs/troubleshooting.md says of every error of the code its exit code, name, cause and remedy, and alone does so."""

import re
from pathlib import Path

from tools.make_troubleshooting import PAGE, cause, page, typed_errors

ROOT = Path(__file__).resolve().parents[2]
ERRORS = typed_errors("GBMResponseCore") + typed_errors("GBMResponseTraining")


def test_the_page_is_that_of_the_code():
    assert PAGE.read_text("utf-8") == page(), "run: python Testing/tools/make_troubleshooting.py"


def test_every_error_has_its_line_with_a_cause_and_a_remedy():
    lines = PAGE.read_text("utf-8").splitlines()
    for error in ERRORS:
        assert cause(error).endswith("."), error
        (line,) = (line for line in lines if f"| `{error.code}` |" in line)
        assert line == f"| {error.exit_code} | `{error.code}` | {cause(error)} | {error.remedy} |"


def lines_of_codes(path):
    """Lines of a page that list an exit code."""
    codes = {str(error.exit_code) for error in ERRORS if error.exit_code >= 10}
    for line in path.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:]]
        # The first cell is a code and the others are words: a figure of a measurement stands beside others.
        if cells and cells[0] in codes and not re.search(r"\d", "".join(cells[1:])):
            yield line


def test_no_other_page_lists_exit_codes():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert [path for path in pages if list(lines_of_codes(path))] == [PAGE]
