"""Consumer groups of the in-memory broker: joining, leaving, rebalancing and committing by Kafka's classic protocol.

Every rebalance takes all partitions from all members (`on_revoked`), waits for them, and hands them out again.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from m0common.stream.broker import OnAssigned, OnRevoked, TopicPartition

NOTHING: frozenset[TopicPartition] = frozenset()


@dataclass(eq=False)
class Member:
    """One consumer in a group."""

    name: str
    static: bool
    topics: Mapping[str, int]
    on_assigned: OnAssigned
    on_revoked: OnRevoked
    assigned: frozenset[TopicPartition] = NOTHING
    """What its application holds."""
    offered: frozenset[TopicPartition] | None = None
    """What it will be given at its next poll."""
    ready: bool = False
    """It has given everything back and waits for the new assignment."""
    joined: bool = False
    gone: bool = False
    """Not a member any more: its session ran out, or another one took its static name."""
    displaced: bool = False
    gone_since: float | None = None


class Group:
    """Members and committed offsets of one group."""

    def __init__(self, name: str, session_timeout_s: float, changed: Callable[[], None]) -> None:
        self.name = name
        self.committed: dict[TopicPartition, int] = {}
        self.rebalancing = False
        self._session_timeout_s = session_timeout_s
        self._changed = changed
        self._members: dict[str, Member] = {}
        self._numbers = itertools.count(1)
        self._rebalance_deadline = 0.0

    def join(
        self, name: str | None, topics: Mapping[str, int], on_assigned: OnAssigned, on_revoked: OnRevoked
    ) -> Member:
        """Add a member. A static one that comes back in time gets its old partitions without a rebalance."""
        member = Member(name or f"member-{next(self._numbers)}", name is not None, topics, on_assigned, on_revoked)
        self._expire()
        old = self._members.get(member.name)
        self._members[member.name] = member
        if old is not None:
            old.gone = old.displaced = True
        if old is not None and not self.rebalancing and dict(old.topics) == dict(topics):
            member.offered = old.offered if old.offered is not None else old.assigned
        else:
            self._rebalance()
        self._changed()
        return member

    def leave(self, member: Member) -> None:
        """A stopped member: a static one keeps its place until the session time-out."""
        if self._members.get(member.name) is not member:
            return
        if member.static:
            member.gone_since = time.monotonic()
            # wakes whoever waits when the session has run out
            asyncio.get_running_loop().call_later(self._session_timeout_s + 0.01, self._changed)
        else:
            self._remove(member)
        self._changed()

    def commit(self, member: Member, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Keep the offsets of partitions the member holds; drop the others, as they belong to somebody else now."""
        if member.gone or self._members.get(member.name) is not member:
            return
        for where, offset in next_offsets.items():
            if where in member.assigned:
                self.committed[where] = offset

    async def sync(self, member: Member) -> Mapping[TopicPartition, int] | None:
        """One poll's share of a rebalance. Returns where to start when partitions were assigned just now."""
        if member.gone:
            if member.assigned:
                revoked, member.assigned = member.assigned, NOTHING
                await member.on_revoked(revoked)
            member.joined = False
            if member.displaced:
                return None
            member.gone = False
            self._members[member.name] = member
            self._rebalance()
        self._expire()
        if self.rebalancing and not member.ready:
            member.joined = False
            if member.assigned:
                await member.on_revoked(member.assigned)
                member.assigned = NOTHING
            member.ready = True
            self._hand_out_if_all_ready()
        if self.rebalancing or member.offered is None:
            return None
        partitions = member.offered
        starts = await member.on_assigned(partitions)
        member.assigned = partitions
        member.offered = None
        member.joined = not self.rebalancing and not member.gone
        return starts if member.joined else None

    def _rebalance(self) -> None:
        self.rebalancing = True
        self._rebalance_deadline = time.monotonic() + self._session_timeout_s
        for member in self._members.values():
            member.ready = False
            member.joined = False
            member.offered = None
        self._changed()

    def _remove(self, member: Member) -> None:
        del self._members[member.name]
        member.gone = True
        self._rebalance()
        if self._members:
            self._hand_out_if_all_ready()
        else:
            self.rebalancing = False

    def _expire(self) -> None:
        now = time.monotonic()
        for member in list(self._members.values()):
            if member.gone_since is not None and now - member.gone_since > self._session_timeout_s:
                self._remove(member)
        if self.rebalancing and now > self._rebalance_deadline:
            # who has not polled by now is taken for dead, and joins again when it is not
            for member in [member for member in self._members.values() if not member.ready]:
                self._remove(member)

    def _hand_out_if_all_ready(self) -> None:
        waiting = [member for member in self._members.values() if member.gone_since is None]
        if not waiting or not all(member.ready for member in waiting):
            return
        members = sorted(self._members.values(), key=lambda member: member.name)
        wanted = sorted({TopicPartition(t, p) for m in members for t, count in m.topics.items() for p in range(count)})
        shares: dict[str, set[TopicPartition]] = {member.name: set() for member in members}
        for where in wanted:
            takers = [member for member in members if where.topic in member.topics]
            least = min(takers, key=lambda member: len(shares[member.name]))
            shares[least.name].add(where)
        for member in members:
            member.offered = frozenset(shares[member.name])
        self.rebalancing = False
        self._changed()
