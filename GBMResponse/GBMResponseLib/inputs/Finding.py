"""Something about the inputs that the user should know."""

import enum
from dataclasses import dataclass


class Severity(enum.IntEnum):
    """How much a finding matters; `blocks` forbids to predict."""

    informs = 0
    warns = 1
    blocks = 2


@dataclass(frozen=True)
class Finding:
    """One line of the findings list.

    :param code: short constant for programs.
    :param sentence: what was found and, where it helps, what to do.
    :param fix: what the one-click fix does (a name that the panel knows); empty without one.
    :param fixLabel: text of the fix button.
    """

    code: str
    severity: Severity
    sentence: str
    fix: str = ""
    fixLabel: str = ""
