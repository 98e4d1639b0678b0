"""Each defect that a review found has tests, and docs/reliability.md names them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = [f"F{number}" for number in range(1, 19)]
ROWS += [f"E{number}" for number in range(1, 21)]
ROWS += [f"B{number}" for number in range(1, 12)]


def table() -> dict[str, list[str]]:
    """Names of the tests of each row."""
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8").partition("stays a test\n")[2]
    lines = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    return {row.strip(): re.findall(r"`(test_\w+)`", tests) for row, _what, tests in lines[1:]}


def test_every_defect_of_the_reviews_has_a_test():
    assert list(table()) == ROWS
    assert all(table().values())


def test_every_test_that_the_page_names_is_there():
    there = {name for path in ROOT.glob("Testing/**/test_*.py")
             for name in re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)}  # fmt: skip
    named = {name for names in table().values() for name in names}
    assert not named - there
    assert len(named) > 60
