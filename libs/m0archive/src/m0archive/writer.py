"""Writing an archive: pieces first, then the entry that names them. One writer at a time."""

import asyncio
from collections.abc import Mapping, Sequence

from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.leases.port import Lease
from m0common.stream.broker import TopicPartition

from m0archive import pieces
from m0archive.chain import Found, behind
from m0archive.entries import UNKNOWN, Entry, Gap, Offsets, Place, claim_identity, log_chain, lost_in, offset_of
from m0archive.pieces import Sealed
from m0archive.store import Store

AT_ONCE = 8
"""So many pieces are written side by side."""


class Writer:
    """The writer of an archive, from `open` on: whoever wrote before is refused from then on, and raises Fenced.

    What a crash leaves are pieces that no entry names: they cost room, and nothing else.
    """

    def __init__(self, store: Store, lease: Lease, clock: Clock) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._chain = log_chain(store)
        self._newest: Found[Entry] | None = None

    @property
    def entry(self) -> Entry:
        """The newest entry."""
        assert self._newest is not None, "open the archive first"
        return self._newest.link

    async def open(self, deployment: Deployment, cluster: str, partitions: Mapping[str, int]) -> None:
        """Become the writer, for the log of this cluster with so many partitions of each topic to archive. Who is the
        writer already and opens it again says nothing new.

        Raises NoArchive for an archive of another deployment, Fenced when another opens it at once, Damaged,
        Unavailable.
        """
        root = await claim_identity(self._store, deployment)
        newest = await self._chain.newest()
        number, previous = behind(newest, root)
        same = newest is not None and newest.link.cluster == cluster
        before = newest.link if newest is not None and same else None
        begins, ends = ({}, {}) if before is None else (before.begins, before.ends)
        begins, ends = _with_room(begins, partitions), _with_room(ends, partitions)
        mine = before is not None and (before.writer, before.fence) == (self._lease.holder, self._lease.fence)
        if before is not None and mine and (before.begins, before.ends) == (begins, ends):
            self._newest = newest
            return
        entry = Entry(
            number=number,
            previous=previous,
            fence=self._lease.fence,
            writer=self._lease.holder,
            written_ms=self._clock.now_ms(),
            cluster=cluster,
            since=number if before is None else before.since,
            begins=begins,
            ends=ends,
            lacks=0 if before is None else before.lacks,
        )
        self._newest = await self._chain.append(entry)

    def end(self, where: TopicPartition) -> int:
        """Up to where a partition is archived, UNKNOWN when nothing of it is."""
        return offset_of(self.entry.ends, where)

    async def commit(self, sealed: Sequence[Sealed], epochs: Mapping[str, tuple[int, int]]) -> None:
        """Keep these pieces, for each partition in order; those that begin behind its end leave a gap there.

        Raises Fenced when another is the writer now, Unavailable: whether it was written is then seen at the next
        `open`.
        """
        for start in range(0, len(sealed), AT_ONCE):
            batch = sealed[start : start + AT_ONCE]
            await asyncio.gather(*(pieces.write(self._store, each.sha256, each.value) for each in batch))
        before = self.entry
        begins, ends = _copied(before.begins), _copied(before.ends)
        gaps: list[Gap] = []
        for piece in sealed:
            topic, partition = piece.where
            end = ends[topic][partition]
            if end == UNKNOWN:
                begins[topic][partition] = piece.first
            elif piece.first > end:
                gaps.append(Gap(topic, partition, end, piece.first))
            ends[topic][partition] = piece.end
        assert self._newest is not None
        entry = Entry(
            number=before.number + 1,
            previous=self._newest.sha256,
            fence=self._lease.fence,
            writer=self._lease.holder,
            written_ms=self._clock.now_ms(),
            cluster=before.cluster,
            since=before.since,
            begins=begins,
            ends=ends,
            lacks=before.lacks + lost_in(gaps),
            gaps=gaps,
            places=[Place(*p.where, p.first, p.end, p.records, p.newest_ms, len(p.value), p.sha256) for p in sealed],
            epochs=dict(sorted(epochs.items())),
        )
        self._newest = await self._chain.append(entry)


def _copied(offsets: Offsets) -> Offsets:
    return {topic: list(known) for topic, known in offsets.items()}


def _with_room(offsets: Offsets, partitions: Mapping[str, int]) -> Offsets:
    made = _copied(offsets)
    for topic, count in partitions.items():
        known = made.setdefault(topic, [])
        known += [UNKNOWN] * (count - len(known))
    return dict(sorted(made.items()))
