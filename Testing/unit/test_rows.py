"""Exhaustive tests take a share of their rows, spread over all; `make coverage`, which runs every night, takes all."""

import re
from pathlib import Path

from rows import ALL, share

ROOT = Path(__file__).resolve().parents[2]


def test_a_share_is_spread_from_the_first_row_to_the_last(monkeypatch):
    monkeypatch.delenv(ALL, raising=False)
    assert share(range(10), 3) == [0, 4, 9]
    assert share("ab", 5) == ["a", "b"]
    assert share(range(10), 1) == [0]


def test_all_rows_come_where_they_are_asked_for_as_every_night(monkeypatch):
    monkeypatch.setenv(ALL, "1")
    assert share(range(10), 3) == list(range(10))
    assert f"\ncoverage: export {ALL} := 1\n" in (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"run: make coverage\b", (ROOT / ".github" / "workflows" / "nightly.yml").read_text("utf-8"))
