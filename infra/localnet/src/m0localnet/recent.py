"""What is remembered of recent slots: the statuses of their transactions and the prices paid in them."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

from solders.pubkey import Pubkey

from m0localnet.slot import Landed

STATUS_SLOTS: Final = 300
FEE_SLOTS: Final = 150


@dataclass(frozen=True, slots=True)
class Status:
    """The slot of a transaction and the JSON form of its error."""

    slot: int
    err: Any


class RecentStatuses:
    """Statuses by signature, for :data:`STATUS_SLOTS` slots: twice as long as a blockhash can be used."""

    def __init__(self) -> None:
        self._statuses: OrderedDict[bytes, Status] = OrderedDict()

    def __contains__(self, signature: bytes) -> bool:
        return signature in self._statuses

    def get(self, signature: bytes) -> Status | None:
        """Return the status of a signature."""
        return self._statuses.get(signature)

    def add(self, signature: bytes, status: Status) -> None:
        """Remember a status; slots come in ascending order."""
        self._statuses[signature] = status

    def forget(self, newest_slot: int) -> None:
        """Drop what is older than :data:`STATUS_SLOTS` before ``newest_slot``."""
        while self._statuses:
            signature, status = next(iter(self._statuses.items()))
            if status.slot >= newest_slot - STATUS_SLOTS:
                return
            del self._statuses[signature]


@dataclass(frozen=True, slots=True)
class SlotFees:
    """The lowest unit price (micro-lamports) of a slot, over all and per writable account."""

    slot: int
    lowest: int
    per_key: dict[Pubkey, int]

    def price(self, keys: list[Pubkey]) -> int:
        """Return the price that a transaction writing ``keys`` had to pay."""
        return max([self.lowest, *(self.per_key.get(key, 0) for key in keys)])


class RecentFees:
    """The prices of the last :data:`FEE_SLOTS` slots that had transactions."""

    def __init__(self) -> None:
        self.slots: deque[SlotFees] = deque(maxlen=FEE_SLOTS)

    def add(self, slot: int, landed: list[Landed]) -> None:
        """Remember the prices of an ended slot."""
        if not landed:
            return
        per_key: dict[Pubkey, int] = {}
        for one in landed:
            for key in one.writable:
                per_key[key] = min(per_key.get(key, one.record.price), one.record.price)
        self.slots.append(SlotFees(slot, min(one.record.price for one in landed), per_key))
