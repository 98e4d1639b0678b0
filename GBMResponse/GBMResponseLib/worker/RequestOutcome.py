"""How a request to the worker ended."""

from dataclasses import dataclass, field
from typing import Any

from ..common.Failure import Failure

RESULT, FAILED, CANCELLED = "result", "failed", "cancelled"


@dataclass(frozen=True)
class RequestOutcome:
    """Exactly one outcome is reported per request.

    :param kind: `result`, `failed` or `cancelled`.
    :param message: the worker's last message about the request; empty if there was none.
    :param failure: what went wrong; None unless `failed`.
    """

    kind: str
    message: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
