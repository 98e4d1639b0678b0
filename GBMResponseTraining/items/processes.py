"""What several processes of one training do once: the first one makes it, the others wait."""

import os
import time
from collections.abc import Callable

from GBMResponseCore.errors import GBMResponseError
from lightning.fabric.utilities.rank_zero import rank_zero_only

_SECONDS_BETWEEN_LOOKS = 0.2


class LostProcessError(GBMResponseError):
    """The process that this one waits for has ended."""

    code = "lost-process"
    exit_code = 51
    remedy = "See the messages of the first process; start the same command again to continue."


def is_first() -> bool:
    """True in the only process, and in the first of several that torchrun, SLURM or Lightning started."""
    return rank_zero_only.rank in (None, 0)


def wait_for(made: Callable[[], bool]) -> None:
    """Return when `made()` is true.

    :raises LostProcessError: the process that started this one has ended.
    """
    parent = os.getppid()
    while not made():
        if os.getppid() != parent:
            raise LostProcessError("The first process of this training ended before it had made what others need.")
        time.sleep(_SECONDS_BETWEEN_LOOKS)
