"""Patients with many visits -> the one pair of visits that a data set's rule asks for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .pair import DAYS_PER_WEEK, Skipped

DAYS_PER_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Visit:
    """One examination of a patient.

    :param name: as the data set calls it.
    :param day: when it was, on a time line of the patient.
    :param image: file of its T1-Gd.
    :param mask: file of its tumor mask; None: there is none.
    """

    name: str
    day: float
    image: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Window:
    """Weeks, counted from a day that the data set's rule names, in which the follow-up has to be; limits included."""

    first_week: float = 12
    last_week: float = 24

    def follow_up(self, visits: Sequence[Visit], start: float, not_before: float = -math.inf) -> Visit | None:
        """Return the first visit in the window, None if there is none.

        :param start: day that weeks are counted from.
        :param not_before: day that it must not be before, such as the end of radiotherapy.
        """
        first, last = (start + week * DAYS_PER_WEEK for week in (self.first_week, self.last_week))
        chosen = [visit for visit in visits if first <= visit.day <= last and visit.day >= not_before]
        return min(chosen, key=lambda visit: visit.day, default=None)

    def skipped(self, patient: str, visits: Sequence[Visit], start: float) -> Skipped:
        """Return why a patient without a follow-up is left out."""
        weeks = ", ".join(f"{(visit.day - start) / DAYS_PER_WEEK:.0f}" for visit in visits if visit.day >= start)
        reason = f"There is no T1-Gd in the weeks {self.first_week:g} to {self.last_week:g} after treatment began"
        return Skipped(patient, "no-follow-up", f"{reason}; there are those of week {weeks}.", "Change --post-weeks.")
