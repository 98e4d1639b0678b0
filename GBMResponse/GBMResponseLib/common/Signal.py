"""A signal that needs no Qt, so that logic can be tested without it."""

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls its slots in the order of their connection."""

    def __init__(self) -> None:
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call the slot from now on at every emit."""
        self._slots.append(slot)

    def disconnect(self, slot: Callable[..., Any]) -> None:
        """Forget the slot; no error if it was not connected."""
        self._slots = [connected for connected in self._slots if connected != slot]

    def disconnectAll(self) -> None:
        """Forget all slots."""
        self._slots.clear()

    def emit(self, *arguments: Any) -> None:
        """Call all slots; slots connected meanwhile are called from the next time on."""
        for slot in tuple(self._slots):
            slot(*arguments)
