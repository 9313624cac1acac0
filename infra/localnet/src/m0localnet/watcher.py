"""Those who want to know about the chain as it grows, and how the chain is kept from their faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from m0localnet.commitment import Commitment
from m0localnet.slot import Landed, Slot

_log: Final = structlog.get_logger(__name__)


class Watcher(Protocol):
    """What wants to know about the chain as it grows (the subscriptions)."""

    def received(self, signature: bytes) -> None:
        """A transaction reached the node."""

    def landed(self, landed: Landed) -> None:
        """A transaction was executed in the running slot."""

    def reached(self, level: Commitment, slot: Slot) -> None:
        """A slot reached a level of commitment."""

    def slot_started(self, slot: int, parent: int, root: int) -> None:
        """A new slot is being worked on."""


class Guarded:
    """A watcher whose exceptions are logged: what cannot be told to somebody changes nothing on the chain."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def received(self, signature: bytes) -> None:
        """Pass it on."""
        _tell("a transaction's arrival", lambda: self._watcher.received(signature))

    def landed(self, landed: Landed) -> None:
        """Pass it on."""
        _tell("a transaction", lambda: self._watcher.landed(landed))

    def reached(self, level: Commitment, slot: Slot) -> None:
        """Pass it on."""
        _tell(f"a slot that is {level.label}", lambda: self._watcher.reached(level, slot))

    def slot_started(self, slot: int, parent: int, root: int) -> None:
        """Pass it on."""
        _tell("a slot's start", lambda: self._watcher.slot_started(slot, parent, root))


def _tell(what: str, call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - see Guarded
        _log.exception("subscribers not told", of=what)
