"""The scores of a reader, and of a study: kept in a CSV file after every answer, so that a study can be continued."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from GBMResponseCore.files import plain_cell, read_table, write_csv

from ..common.Failure import Failure, engineErrors
from ..common.Translation import tr as _
from .ReaderStudyPlan import REAL, ReaderStudyItem, ReaderStudyPlan

LOWEST, HIGHEST = 0, 10
COLUMNS = ("plan", "reader", "number", "patient", "source", "slice", "score", "comment", "scored_utc")


@dataclass(frozen=True)
class Answer:
    """What the reader said about an item.

    :param score: realism from 0 (certainly artificial) to 10 (certainly real).
    """

    score: int
    comment: str
    scoredUtc: str


class ReaderStudySession:
    """Goes through a plan; every answer is on disk before the next item is shown.

    :param path: CSV file; answers in it to the same plan are taken over.
    :raises Failure: the file belongs to another study, is damaged, or cannot be read.
    """

    def __init__(
        self,
        plan: ReaderStudyPlan,
        path: Path,
        reader: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.plan = plan
        self.path = Path(path)
        self.reader = reader
        self._now = now
        self.answers: dict[int, Answer] = self._read() if self._hasContent() else {}
        self._position = 0
        self.goToFirstOpen()

    @property
    def current(self) -> ReaderStudyItem:
        """The item that is shown."""
        return self.plan.items[self._position]

    @property
    def currentAnswer(self) -> Answer | None:
        """The answer to the current item, if it has one."""
        return self.answers.get(self.current.number)

    @property
    def isComplete(self) -> bool:
        """Whether every item has an answer."""
        return len(self.answers) == len(self.plan.items)

    def goToFirstOpen(self) -> None:
        """Show the first item without an answer; the last item if all have one."""
        numbers = [item.number for item in self.plan.items]
        still = [index for index, number in enumerate(numbers) if number not in self.answers]
        self._position = still[0] if still else len(numbers) - 1

    def goBack(self) -> None:
        """Show the item before, if there is one."""
        self._position = max(0, self._position - 1)

    def goForward(self) -> None:
        """Show the next item, if there is one."""
        self._position = min(len(self.plan.items) - 1, self._position + 1)

    def answer(self, score: int, comment: str = "") -> None:
        """Record the score of the current item, save, and go on.

        :raises Failure: the file cannot be written; the answer is not recorded then.
        :raises ValueError: the score is not from 0 to 10.
        """
        if not LOWEST <= score <= HIGHEST:
            raise ValueError(f"score {score}")
        stamp = self._now().isoformat(timespec="seconds")
        answers = {**self.answers, self.current.number: Answer(score, " ".join(comment.split()), stamp)}
        self._write(answers)
        self.answers = answers
        self.goForward()

    def _write(self, answers: dict[int, Answer]) -> None:
        rows = []
        for item in self.plan.items:
            if item.number in answers:
                given = answers[item.number]
                place = (self.plan.signature, self.reader, item.number, item.patient, item.source, item.slice)
                rows.append([*place, given.score, given.comment, given.scoredUtc])
        with engineErrors():
            write_csv(COLUMNS, rows, self.path)

    def _hasContent(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size > 0

    def _read(self) -> dict[int, Answer]:
        numbers = {item.number for item in self.plan.items}
        try:
            with engineErrors():
                columns, cells = read_table(self.path, "scores")
            rows = [dict(zip(columns, map(plain_cell, row), strict=False)) for _line, row in cells]
            if any(row["plan"] != self.plan.signature or int(row["number"]) not in numbers for row in rows):
                message = _("The file {name} holds scores of another study.").format(name=self.path.name)
                remedy = _("Choose another file, or the same cases, seed and mode as then.")
                raise Failure("other-study", message, remedy)
            return {int(row["number"]): Answer(int(row["score"]), row["comment"], row["scored_utc"]) for row in rows}
        except (KeyError, ValueError) as error:
            message = _("The file {name} cannot be read as scores.").format(name=self.path.name)
            raise Failure("scores", message, _("Choose another file."), str(error)) from error


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
