"""A department's log of scores: one SQLite file, from which it learns how far to trust which model.

A row is one class of one prediction, scored against one true follow-up; scored again, it replaces what was there. The
log holds hashes and pseudonyms, no names, unless a case was given one.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ScoreLogError
from ..files import write_csv
from .scoring import COVERAGES

_APPLICATION, _VERSION = 0x47424D52, 1
"""What marks an SQLite file as such a log, and the form of its table."""
_TABLE = """CREATE TABLE IF NOT EXISTS scores (
    key TEXT PRIMARY KEY, scored_utc TEXT NOT NULL, case_label TEXT NOT NULL, model TEXT NOT NULL,
    bundle_sha256 TEXT NOT NULL, class TEXT NOT NULL, withheld TEXT, record TEXT NOT NULL)"""
_BINS = (0.0, 0.25, 0.5, 0.75, 1.0)
_SKILLS = {"samples": ("mse_local", "enhancement_dice", "volume_error_ml"), "expected_image": ("mse_local",)}
_Z = 1.96


@dataclass(frozen=True)
class LoggedScore:
    """One row.

    :param record: of the class, see :func:`.scoring.score`, with what holds for the whole case.
    """

    scored_utc: str
    case_label: str
    model: str
    survival_class: str
    withheld: str | None
    record: dict[str, Any]


class ScoreLog:
    """The log in a file, which is made when the first score comes.

    :raises ScoreLogError: the file is no log of scores, or cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as connection:
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def add(self, score: Mapping[str, Any], case_label: str, provenance: Mapping[str, Mapping[str, Any]]) -> None:
        """Add a case.

        :param score: of :func:`.scoring.score`.
        :param provenance: of each of its classes, with the hash of the follow-up among the inputs.
        """
        shared = {name: value for name, value in score.items() if name != "classes"}
        rows = []
        for name, entry in score["classes"].items():
            bundle, inputs = provenance[name]["bundle"], provenance[name]["inputs_sha256"]
            facts = [inputs, bundle["bundle_json_sha256"], entry["class"], entry["seed"], entry["samples"]]
            key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
            model, digest = f"{bundle['name']} {bundle['version']}", bundle["bundle_json_sha256"]
            record = json.dumps({**shared, **entry}, sort_keys=True)
            row = (key, score["scored_utc"], case_label, model, digest, entry["class"], score["withheld"], record)
            rows.append(row)
        with self._open() as connection:
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def rows(self) -> list[LoggedScore]:
        """All rows, the oldest first."""
        columns = "scored_utc, case_label, model, class, withheld, record"
        with self._open() as connection:
            found = connection.execute(f"SELECT {columns} FROM scores ORDER BY scored_utc, key").fetchall()
        rows = ([*values, json.loads(record)] for *values, record in found)
        return list(starmap(LoggedScore, rows))

    def export(self, path: Path) -> Path:
        """Write all rows as a table, a column for each number.

        :raises OutputFolderError: it cannot be written.
        """
        rows = [
            {
                "scored_utc": row.scored_utc, "case": row.case_label, "model": row.model, "class": row.survival_class,
                **dict(_flat(row.record)),
            }
            for row in self.rows()
        ]  # fmt: skip
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return write_csv(columns, [{name: row.get(name, "") for name in columns} for row in rows], path)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are all kept or none.

        :raises ScoreLogError: the file is no log of scores, or cannot be used.
        """
        try:
            with closing(sqlite3.connect(self.path, timeout=30.0)) as connection:
                known = connection.execute("PRAGMA application_id").fetchone()[0]
                tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                if tables and known != _APPLICATION:
                    raise ScoreLogError(f"The file {self.path.name} is another database.")
                if connection.execute("PRAGMA user_version").fetchone()[0] > _VERSION:
                    raise ScoreLogError(f"The log {self.path.name} was made by a later version.")
                with connection:
                    yield connection
        except sqlite3.Error as error:
            raise ScoreLogError(f"The log {self.path.name} cannot be used ({error}).") from error


def summaries(rows: Sequence[LoggedScore]) -> list[dict[str, Any]]:
    """What the rows say of each model and class: how often intervals hold, probabilities, skill, margins.

    Coverages count all rows, and again those whose volumes may be shown. Every share has Wilson's 95 % interval.
    """
    groups: dict[tuple[str, str], list[LoggedScore]] = {}
    for row in rows:
        groups.setdefault((row.model, row.survival_class), []).append(row)
    return [
        {
            "model": model,
            "class": survival_class,
            "cases": len(group),
            "withheld": sum(row.withheld is not None for row in group),
            "coverage": _coverage(group),
            "coverage_shown": _coverage([row for row in group if row.withheld is None]),
            "reliability": _reliability(group),
            "skill": _skill(group),
            "margins": _margins(group),
        }
        for (model, survival_class), group in groups.items()
    ]


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (doi 10.1080/01621459.1927.10502953)."""
    if not count:
        return 0.0, 1.0
    share, z2 = hits / count, _Z**2
    middle, width = share + z2 / (2 * count), _Z * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return float((middle - width) / (1 + z2 / count)), float((middle + width) / (1 + z2 / count))


def _share(nominal: float, held: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(held), len(held))
    observed = sum(held) / len(held) if held else None
    return {"nominal": nominal, "observed": observed, "low": low, "high": high, "cases": len(held)}


def _coverage(rows: Sequence[LoggedScore]) -> list[dict[str, Any]]:
    return [
        _share(part, [inside[name] for row in rows if name in (inside := row.record["volume"]["inside"])])
        for part in COVERAGES
        for name in (f"{part:.0%}",)
    ]


def _reliability(rows: Sequence[LoggedScore]) -> list[dict[str, Any]]:
    """Of all probabilities of categories in a bin: their mean, and how often it was that category."""
    pairs = [
        (chance, name == row.record["category"]["true"])
        for row in rows
        for name, chance in row.record["category"]["probabilities"].items()
    ]
    found = []
    for low, high in pairwise(_BINS):
        inside = [pair for pair in pairs if low <= pair[0] < high or (high == 1.0 and pair[0] == 1.0)]
        if inside:
            found.append(_share(float(np.mean([chance for chance, _ in inside])), [true for _, true in inside]))
    return found


def _skill(rows: Sequence[LoggedScore]) -> list[dict[str, Any]]:
    found = []
    for who, names in _SKILLS.items():
        for name in names:
            entries = [row.record["skill"].get(who, {}).get(name, {}).get("value") for row in rows]
            values = [value for value in entries if value is not None]
            if values:
                better = _share(0.5, [value > 0 for value in values])
                found.append({"of": who, "measure": name, "median": float(np.median(values)), **better, "all": values})
    return found


def _margins(rows: Sequence[LoggedScore]) -> list[dict[str, Any]]:
    """How often the margin that covers a part of what was predicted covers that part of the true enhancement."""
    found = []
    for part in ("50%", "80%", "95%"):
        held = []
        for row in rows:
            plans = row.record.get("planning"), row.record.get("true_planning")
            margins = [plan["margin_that_covers_mm"][part] for plan in plans if plan and plan["volume_ml"]]
            if len(margins) == len(plans) and None not in margins:
                held.append(margins[0] >= margins[1])
        if held:
            found.append({"part": part, **_share(0.5, held)})
    return found


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield prefix + name, " ".join(str(entry) for entry in value)
        else:
            yield prefix + name, "" if value is None else value
