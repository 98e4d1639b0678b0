"""Scores per source, as the paper reports them."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from .ReaderStudyItem import REAL
from .ReaderStudySession import ReaderStudySession


@dataclass(frozen=True)
class SourceSummary:
    """Scores of one source.

    :param deviation: standard deviation with n - 1; None for one score.
    """

    source: str
    count: int
    mean: float
    deviation: float | None
    lowest: int
    highest: int


def summarize(sessions: Iterable[ReaderStudySession]) -> list[SourceSummary]:
    """Return one row per source, the real images first, over all sessions."""
    scores: dict[str, list[int]] = {}
    for session in sessions:
        for item in session.plan.items:
            if item.number in session.answers:
                scores.setdefault(item.source, []).append(session.answers[item.number].score)
    return [
        SourceSummary(
            source=source,
            count=len(values),
            mean=statistics.fmean(values),
            deviation=statistics.stdev(values) if len(values) > 1 else None,
            lowest=min(values),
            highest=max(values),
        )
        for source, values in sorted(scores.items(), key=lambda entry: (entry[0] != REAL, entry[0]))
    ]
