"""The three levels at which a client can look at the chain."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final


class Commitment(IntEnum):
    """How sure a slot must be; higher is surer."""

    PROCESSED = 0
    CONFIRMED = 1
    FINALIZED = 2

    @property
    def label(self) -> str:
        """Return the name used in JSON."""
        return self.name.lower()


_NAMES: Final = {
    "processed": Commitment.PROCESSED,
    "recent": Commitment.PROCESSED,
    "confirmed": Commitment.CONFIRMED,
    "single": Commitment.CONFIRMED,
    "singleGossip": Commitment.CONFIRMED,
}


def parse_commitment(value: Any) -> Commitment:
    """Read a commitment as Agave does: absent or unknown means finalized."""
    return _NAMES.get(value, Commitment.FINALIZED) if isinstance(value, str) else Commitment.FINALIZED
