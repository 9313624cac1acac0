"""Reading from Kafka: callbacks of a rebalance run inside `getmany`, between two batches of the application.

aiokafka calls its listener from a task of its own. Here the listener only takes a note and waits; the application's
next `getmany` runs `on_revoked` and `on_assigned` itself. So nothing of a new assignment is delivered before
`on_assigned` has returned, no lock is needed, and loading state does not hold up heartbeats.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.roundrobin import (  # type: ignore[import-untyped]
    RoundRobinPartitionAssignor,
)
from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    IllegalStateError,
    KafkaError,
)

from m0common.errors import Unavailable
from m0common.stream.broker import OnAssigned, OnRevoked, TopicPartition
from m0common.stream.kafka_call import call, describe
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.records import Record
from m0common.telemetry.logs import logger

log = logger(__name__)

AT_END = -1
AT_BEGINNING = -2
NOTHING: frozenset[TopicPartition] = frozenset()
NEVER_MS = 86_400_000
_new = tuple.__new__


class Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes of what aiokafka's coordinator did, for the application's task to act on."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self.moving = True
        """No record may be delivered: partitions are being moved."""
        self.changed = asyncio.Event()
        self.held = NOTHING
        """What the application holds."""
        self.offered: frozenset[TopicPartition] | None = None
        self.revoked: asyncio.Future[None] | None = None

    async def on_partitions_revoked(self, revoked: set[KafkaPartition]) -> None:
        """Wait, within limits, until the application has given back what it holds."""
        del revoked  # every rebalance takes everything
        self.moving = True
        self.offered = None
        if self.held and self.revoked is None:
            self.revoked = asyncio.get_running_loop().create_future()
        self.changed.set()
        if self.revoked is not None:
            await asyncio.wait([self.revoked], timeout=self._wait_s)

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        """Offer the partitions to the application's next poll."""
        self.offered = frozenset(TopicPartition(where.topic, where.partition) for where in assigned)
        self.changed.set()


class KafkaConsumer:
    """See m0common.stream.broker.Consumer."""

    def __init__(
        self,
        options: KafkaOptions,
        partitions: Callable[[str], Awaitable[int]],
        group: str | None,
        member: str | None,
    ) -> None:
        self._options = options
        self._partitions = partitions
        self._group = group
        self._member = member
        self._inner: Any = None  # AIOKafkaConsumer is untyped
        self._subscribed: tuple[list[str], OnAssigned, OnRevoked] | None = None
        self._manual: dict[TopicPartition, int] | None = None
        self._rebalance: Rebalance | None = None

    async def start(self) -> None:
        """See Consumer. Raises Unavailable when no broker answers."""
        if self._inner is not None:
            return
        inner = AIOKafkaConsumer(
            **self._options.connection(),
            group_id=self._group,
            group_instance_id=self._member,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self._options.session_timeout_ms,
            heartbeat_interval_ms=max(300, self._options.session_timeout_ms // 5),
            rebalance_timeout_ms=self._options.rebalance_timeout_ms,
            # the watchdog sees a loop that is stuck; aiokafka would leave the group while a broker outage lasts
            max_poll_interval_ms=NEVER_MS,
            fetch_max_wait_ms=self._options.fetch_wait_ms,
            # by member id, which begins with a static member's name; the sticky one keeps its state per process
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        try:
            await call(f"connect to {self._options.bootstrap}", self._options.request_timeout_ms, inner.start())
        except BaseException:
            await self._abandon(inner)
            raise
        self._inner = inner

    async def stop(self) -> None:
        """See Consumer. Commits nothing; a static member keeps its place until the session time-out."""
        await self._close()

    async def subscribe(self, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """See Consumer. Raises Unavailable when a topic does not exist."""
        for topic in topics:
            await self._partitions(topic)
        self._subscribed = (list(topics), on_assigned, on_revoked)
        self._join()

    def _join(self) -> None:
        assert self._subscribed is not None
        held = self._rebalance.held if self._rebalance is not None else NOTHING
        self._rebalance = Rebalance(self._options.rebalance_timeout_ms * 0.8 / 1000)
        if held:
            # the connection was opened anew: what was held is given back before anything is assigned
            self._rebalance.held = held
            self._rebalance.revoked = asyncio.get_running_loop().create_future()
        self._inner.subscribe(self._subscribed[0], listener=self._rebalance)

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        begins = await self.begin_offsets([where for where, offset in positions.items() if offset == AT_BEGINNING])
        ends = await self.end_offsets([where for where, offset in positions.items() if offset == AT_END])
        self._manual = {**positions, **begins, **ends}
        self._assign_manually()

    def _assign_manually(self) -> None:
        assert self._manual is not None
        self._inner.assign([KafkaPartition(*where) for where in self._manual])
        for where, offset in self._manual.items():
            self._inner.seek(KafkaPartition(*where), offset)

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """See Consumer. Raises Unavailable when the connection had to be given up; the next call opens it anew."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        if self._inner is None:
            await self._reopen()
        while True:
            if await self._settled():
                records = await self._poll(max_records, max(0.0, deadline - loop.time()))
                if records:
                    return records
            elif self._rebalance is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await self._rebalance.changed.wait()
            if loop.time() >= deadline:
                return []

    async def _settled(self) -> bool:
        """Give back and take over what a rebalance asks for; whether records may be delivered."""
        rebalance = self._rebalance
        if rebalance is None or self._subscribed is None:
            return True
        _, on_assigned, on_revoked = self._subscribed
        while True:
            rebalance.changed.clear()
            if rebalance.revoked is not None:
                held, rebalance.held = rebalance.held, NOTHING
                given_back, rebalance.revoked = rebalance.revoked, None
                try:
                    await on_revoked(held)
                finally:
                    if not given_back.done():
                        given_back.set_result(None)
            elif rebalance.offered is not None:
                offered = rebalance.offered
                starts = await self._starts(offered, await on_assigned(offered))
                rebalance.held = offered
                if rebalance.offered is not offered:
                    # another rebalance began meanwhile: give back at once what was just taken
                    rebalance.revoked = rebalance.revoked or asyncio.get_running_loop().create_future()
                    continue
                with contextlib.suppress(IllegalStateError):
                    for where, offset in starts.items():
                        self._inner.seek(KafkaPartition(*where), offset)
                    rebalance.offered = None
                    rebalance.moving = False
                    return True
            else:
                return not rebalance.moving

    async def _starts(
        self, partitions: frozenset[TopicPartition], wanted: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Where to read each partition from: as wanted, else as committed, else the beginning."""
        starts = {where: offset for where, offset in wanted.items() if where in partitions}
        for where in sorted(partitions - starts.keys()):
            committed = await call(
                "committed offset", self._options.request_timeout_ms, self._inner.committed(KafkaPartition(*where))
            )
            if committed is not None:
                starts[where] = committed
        starts.update(await self.begin_offsets(sorted(partitions - starts.keys())))
        return starts

    async def _poll(self, max_records: int, timeout_s: float) -> list[Record]:
        try:
            found = await self._inner.getmany(timeout_ms=0, max_records=max_records)
            if not found and timeout_s > 0:
                found = await self._wait_for_records(max_records, timeout_s)
        except (KafkaError, OSError) as error:
            await self._close()
            raise Unavailable(f"read: {describe(error)}") from error
        if not found or (self._rebalance is not None and self._rebalance.moving):
            # records fetched while partitions move are read again from where they are assigned next
            return []
        records: list[Record] = []
        for (topic, partition), fetched in found.items():
            # half the cost of Record(...), and this is done for every message
            records += [
                _new(
                    Record,
                    (
                        topic,
                        partition,
                        r.offset,
                        r.key,
                        r.value or b"",
                        _headers(r.headers) if r.headers else (),
                        r.timestamp,
                    ),
                )
                for r in fetched
            ]
        return records

    async def _wait_for_records(self, max_records: int, timeout_s: float) -> dict[KafkaPartition, list[Any]]:
        """Wait for records, but not when a rebalance begins."""
        timeout_ms = max(1, round(timeout_s * 1000))
        fetch = asyncio.ensure_future(self._inner.getmany(timeout_ms=timeout_ms, max_records=max_records))
        if self._rebalance is None:
            found: dict[KafkaPartition, list[Any]] = await fetch
            return found
        changed = asyncio.ensure_future(self._rebalance.changed.wait())
        try:
            await asyncio.wait([fetch, changed], return_when=asyncio.FIRST_COMPLETED)
            return fetch.result() if fetch.done() else {}
        finally:
            changed.cancel()
            fetch.cancel()

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        with contextlib.suppress(IllegalStateError):
            self._inner.pause(*(KafkaPartition(*where) for where in partitions))

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        with contextlib.suppress(IllegalStateError):
            self._inner.resume(*(KafkaPartition(*where) for where in partitions))

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        if not next_offsets:
            return
        if self._inner is None:
            raise Unavailable("commit offsets: the connection was lost")
        offsets = {KafkaPartition(*where): offset for where, offset in next_offsets.items()}
        await call("commit offsets", self._options.request_timeout_ms, self._commit(offsets))

    async def _commit(self, offsets: Mapping[KafkaPartition, int]) -> None:
        try:
            await self._inner.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit_dropped", partitions=sorted(offsets), reason=describe(error))

    async def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        return await self._offsets("beginning_offsets", partitions)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        return await self._offsets("end_offsets", partitions)

    async def _offsets(self, which: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        if self._inner is None:
            raise Unavailable(f"{which}: the connection was lost")
        wanted = [KafkaPartition(*where) for where in partitions]
        found = await call(which, self._options.request_timeout_ms, getattr(self._inner, which)(wanted))
        return {TopicPartition(where.topic, where.partition): offset for where, offset in found.items()}

    async def _reopen(self) -> None:
        await self.start()
        if self._subscribed is not None:
            self._join()
        elif self._manual is not None:
            self._assign_manually()

    async def _close(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            await self._abandon(inner)

    async def _abandon(self, inner: Any) -> None:
        if self._rebalance is not None and self._rebalance.revoked is not None and not self._rebalance.revoked.done():
            self._rebalance.revoked.set_result(None)
        with contextlib.suppress(Unavailable):
            await call("stop the consumer", 3000, inner.stop())


def _headers(headers: tuple[tuple[str, bytes | None], ...]) -> tuple[tuple[str, bytes], ...]:
    """Headers as the port has them: Kafka also knows one without a value."""
    return tuple((name, value or b"") for name, value in headers)
