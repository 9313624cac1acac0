"""Claims that wait until the chain answers: at the door, and, once they are what was computed here, to be signed.

Nothing else waits for them, and they hold nothing up: there is room for so many, and what finds none at the door is
read again.
"""

import asyncio
from collections import defaultdict, deque

from m0common.stream.broker import TopicPartition

from m0_signer.depth import KEPT_PER_CATALOG
from m0_signer.standing import Claim

AT_THE_DOOR = 1024
"""So many claims of a catalog wait at the door; anybody may write them."""


class Waiting:
    """By catalog, what the chain is to be asked about."""

    def __init__(self) -> None:
        self._coming: defaultdict[str, deque[Claim]] = defaultdict(deque)
        self._asked: defaultdict[str, deque[Claim]] = defaultdict(deque)
        """Came before the chain was asked last: its answer is about them."""
        self._turned_away: defaultdict[str, dict[TopicPartition, int]] = defaultdict(dict)
        """The first offset of each partition at which there was no room."""
        self._matched: defaultdict[str, dict[int, Claim]] = defaultdict(dict)
        self._something: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def __len__(self) -> int:
        rooms = (*self._coming.values(), *self._asked.values(), *self._matched.values())
        return sum(len(room) for room in rooms)

    # --- the door ----------------------------------------------------------------------------------------------------

    def come(self, claim: Claim) -> None:
        """Wait at the door, in the order of the log."""
        catalog = claim.said.catalog
        if len(self._coming[catalog]) + len(self._asked[catalog]) >= AT_THE_DOOR:
            self._turned_away[catalog].setdefault(claim.where, claim.offset)
            return
        self._coming[catalog].append(claim)
        self._something[catalog].set()

    def is_crowded(self, catalog: str) -> bool:
        """Whether claims of a catalog wait at the door: no other one passes them by."""
        return bool(self._coming[catalog] or self._asked[catalog])

    def has_turned_away(self, catalog: str) -> bool:
        """Whether there was no room for a claim."""
        return bool(self._turned_away[catalog])

    def forget_coming(self) -> None:
        """Everything is read again."""
        self._coming.clear()
        self._turned_away.clear()

    # --- what matches ------------------------------------------------------------------------------------------------

    def match(self, claim: Claim) -> Claim | None:
        """A claim is what was computed here. There is room for so many epochs: the oldest one has to go, if any."""
        matched = self._matched[claim.said.catalog]
        matched[claim.said.epoch_id] = claim
        self._something[claim.said.catalog].set()
        return matched.pop(min(matched)) if len(matched) > KEPT_PER_CATALOG else None

    def matched(self, catalog: str, epoch_id: int) -> Claim | None:
        """The claim of an epoch that waits to be signed."""
        return self._matched[catalog].get(epoch_id)

    # --- the chain ---------------------------------------------------------------------------------------------------

    async def ask(self, catalog: str) -> None:
        """Once something of a catalog waits. What does then is what the next answer is about."""
        something = self._something[catalog]
        while not (self.is_crowded(catalog) or self._matched[catalog]):
            something.clear()
            await something.wait()
        self._asked[catalog] += self._coming.pop(catalog, ())

    def next_asked(self, catalog: str) -> Claim | None:
        """The next claim at the door that the answer is about; it waits no more."""
        asked = self._asked[catalog]
        return asked.popleft() if asked else None

    def next_matched(self, catalog: str) -> Claim | None:
        """The oldest epoch that waits to be signed; it waits no more."""
        matched = self._matched[catalog]
        return matched.pop(min(matched)) if matched else None

    # --- the log -----------------------------------------------------------------------------------------------------

    def first_offset(self, where: TopicPartition) -> int | None:
        """The lowest offset of a partition at which a claim waits, or was turned away."""
        rooms = (*self._coming.values(), *self._asked.values(), *(each.values() for each in self._matched.values()))
        offsets = [claim.offset for room in rooms for claim in room if claim.where == where]
        offsets += [offset for away in self._turned_away.values() for at, offset in away.items() if at == where]
        return min(offsets, default=None)

    def first_matched(self, catalog: str) -> int | None:
        """The oldest epoch of a catalog that waits to be signed; at the door anybody may name any."""
        return min(self._matched[catalog], default=None)
