"""Rows of exhaustive tests: a fixed share in `make test`, all in `make coverage`, which runs every night."""

import os
from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")
ALL = "GBMRESPONSE_ALL_ROWS"
"""The environment variable that asks for all."""


def share(rows: Sequence[Row], count: int) -> list[Row]:
    """So many of the rows, evenly spread from the first to the last."""
    if os.environ.get(ALL) or count >= len(rows):
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / max(count - 1, 1))] for k in range(count)]
