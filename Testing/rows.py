"""What `make test` leaves to `make coverage`, which runs every night: rows of exhaustive tests, and a few tests."""

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

Row = TypeVar("Row")
ALL = "GBMRESPONSE_ALL_ROWS"
"""The environment variable that asks for all."""

nightly = pytest.mark.skipif(not os.environ.get(ALL), reason="long, and run every night by `make coverage`")
"""Marks what takes many seconds and repeats, in processes of its own, what quick tests look at one by one."""


def share(rows: Sequence[Row], count: int) -> list[Row]:
    """So many of the rows, evenly spread from the first to the last."""
    if os.environ.get(ALL) or count >= len(rows):
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / max(count - 1, 1))] for k in range(count)]
