"""Claims that wait for what is computed here: several of an epoch beside each other, since anybody may write them."""

from collections import defaultdict
from dataclasses import dataclass

from m0common.canonical import BundleHeader
from m0common.messages import HeaderMessage
from m0common.stream.broker import TopicPartition

HEADERS_PER_EPOCH = 32
"""Distinct headers of one epoch that wait; any further one is read again once the epoch is computed here."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message of `m0.headers` that is consistent in itself, its canonical header, and where in the log it lies."""

    said: HeaderMessage
    header: BundleHeader
    where: TopicPartition
    offset: int


class Standing:
    """Claims by catalog and epoch, each epoch's in the order of the log."""

    def __init__(self) -> None:
        self._claims: defaultdict[str, dict[int, dict[bytes, Claim]]] = defaultdict(dict)
        self._dropped: dict[tuple[str, int], Claim] = {}
        """By catalog and epoch, the first claim for which there was no room."""

    def add(self, claim: Claim) -> bool:
        """Let a claim wait, the first of its bytes; False when too many of its epoch do."""
        epoch = self._claims[claim.said.catalog].setdefault(claim.said.epoch_id, {})
        if claim.said.header not in epoch and len(epoch) >= HEADERS_PER_EPOCH:
            self._dropped.setdefault((claim.said.catalog, claim.said.epoch_id), claim)
            return False
        epoch.setdefault(claim.said.header, claim)
        return True

    def remove(self, claim: Claim) -> None:
        """The claim waits no more, if it did."""
        epochs = self._claims[claim.said.catalog]
        epoch = epochs.get(claim.said.epoch_id, {})
        if epoch.get(claim.said.header) is claim:
            del epoch[claim.said.header]
        if not epoch:
            epochs.pop(claim.said.epoch_id, None)

    def has_dropped(self, catalog: str, epoch_id: int) -> bool:
        """Whether there was no room for a claim of an epoch."""
        return (catalog, epoch_id) in self._dropped

    def forget_dropped(self, catalog: str, epoch_id: int) -> None:
        """An epoch is over."""
        self._dropped.pop((catalog, epoch_id), None)

    def forget_read_again(self) -> None:
        """What was dropped of epochs of which nothing waits any more is read again now."""
        for catalog, epoch_id in list(self._dropped):
            if epoch_id not in self._claims[catalog]:
                del self._dropped[catalog, epoch_id]

    def of(self, catalog: str, epoch_id: int) -> list[Claim]:
        """Those of an epoch, in the order of the log."""
        return list(self._claims[catalog].get(epoch_id, {}).values())

    def epochs(self, catalog: str) -> list[int]:
        """Epochs that have claims, ascending."""
        return sorted(self._claims[catalog])

    def first_offset(self, where: TopicPartition) -> int | None:
        """The lowest offset of a partition at which a claim waits, or was dropped that will be read again."""
        waiting = (claim for epochs in self._claims.values() for epoch in epochs.values() for claim in epoch.values())
        return min((c.offset for c in (*waiting, *self._dropped.values()) if c.where == where), default=None)
