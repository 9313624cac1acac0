"""The queue of recent blockhashes: which ones a transaction may still name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_AGE_SLOTS: Final = 150
_KEPT: Final = 2 * MAX_AGE_SLOTS


class BlockhashQueue:
    """Blockhashes by the slot they end. A hash may be used until :data:`MAX_AGE_SLOTS` further slots have ended."""

    def __init__(self) -> None:
        self._slots: OrderedDict[bytes, int] = OrderedDict()

    def add(self, blockhash: bytes, slot: int) -> None:
        """Append the hash that ended ``slot``."""
        self._slots[blockhash] = slot
        while len(self._slots) > _KEPT:
            self._slots.popitem(last=False)

    def valid(self, blockhash: bytes, slot: int) -> bool:
        """Tell whether the hash is known and young enough when ``slot`` is the newest frozen slot looked at."""
        born = self._slots.get(blockhash)
        return born is not None and 0 <= slot - born <= MAX_AGE_SLOTS

    def at(self, slot: int) -> bytes:
        """Return the newest hash that ended ``slot`` or a slot before it."""
        for blockhash, born in reversed(self._slots.items()):
            if born <= slot:
                return blockhash
        return next(iter(self._slots))

    def slot_of(self, blockhash: bytes) -> int:
        """Return the slot that a known hash ended."""
        return self._slots[blockhash]
