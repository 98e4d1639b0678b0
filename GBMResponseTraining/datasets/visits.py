"""Patients with many visits -> the one pair of visits that a data set's rule asks for."""

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
    :param mask: file of its tumour mask; None: there is none.
    """

    name: str
    day: float
    image: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Window:
    """Weeks from the pre-treatment visit in which the follow-up has to be, limits included."""

    first_week: float = 12
    last_week: float = 24

    def follow_up(self, visits: Sequence[Visit], pre: Visit, not_before: float | None = None) -> Visit | None:
        """Return the first visit in the window after `pre`, None if there is none.

        :param not_before: day that it must not be before, such as the end of radiotherapy.
        """
        chosen = [
            visit
            for visit in visits
            if self.first_week * DAYS_PER_WEEK <= visit.day - pre.day <= self.last_week * DAYS_PER_WEEK
            and (not_before is None or visit.day >= not_before)
        ]
        return min(chosen, key=lambda visit: visit.day, default=None)

    def skipped(self, patient: str, pre: Visit, visits: Sequence[Visit]) -> Skipped:
        """Return why a patient without such a visit is left out."""
        weeks = ", ".join(f"{(visit.day - pre.day) / DAYS_PER_WEEK:.0f}" for visit in visits if visit.day > pre.day)
        return Skipped(
            patient,
            "no-follow-up",
            f"There is no T1-Gd {self.first_week:g} to {self.last_week:g} weeks after {pre.name} and after the start "
            f"of treatment; later ones are after {weeks or 'none'}" + (" weeks." if weeks else "."),
            "Change --post-weeks.",
        )
