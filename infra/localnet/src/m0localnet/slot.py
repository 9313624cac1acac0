"""A slot on its way from being worked on to being final, with what is needed to look at the state before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from solders.account import Account
from solders.pubkey import Pubkey

from m0localnet.records import BlockRecord, TxRecord


@dataclass(slots=True)
class Landed:
    """A transaction of a slot: its record, also in its stored form, and every account key it names."""

    record: TxRecord
    stored: bytes
    keys: frozenset[Pubkey]
    writable: frozenset[Pubkey]


@dataclass(slots=True)
class Slot:
    """
    One slot.

    ``before`` keeps each changed account as it was when the slot began (None: it did not exist), ``after`` as it was
    when the slot ended (filled on freezing), ``code`` the programs whose code changed in this slot; ``edited`` tells
    that an account was set from outside.
    """

    number: int
    time: int
    parent: int
    parent_hash: bytes
    landed: list[Landed] = field(default_factory=list)
    before: dict[Pubkey, Account | None] = field(default_factory=dict)
    after: dict[Pubkey, Account | None] = field(default_factory=dict)
    code: set[Pubkey] = field(default_factory=set)
    edited: bool = False
    block: BlockRecord | None = None

    @property
    def eventful(self) -> bool:
        """Whether losing this slot would lose more than time."""
        return bool(self.landed) or self.edited
