"""Reading from Kafka: callbacks of a rebalance run inside `getmany`, between two batches of the application.

aiokafka calls its listener from a task of its own. Here the listener only takes a note and waits; the application's
next `getmany` runs `on_revoked` and `on_assigned` itself. So nothing of a new assignment is delivered before
`on_assigned` has returned, no lock is needed, and loading state does not hold up heartbeats.

Every partition is positioned by an offset of ours before it is read; aiokafka never chooses one
(`auto_offset_reset="none"`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.roundrobin import (  # type: ignore[import-untyped]
    RoundRobinPartitionAssignor,
)
from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from m0common.errors import OffsetsGone, SettingsError, Unavailable
from m0common.stream.broker import AT_BEGINNING, AT_END, Heard, OnAssigned, OnRevoked, TopicPartition
from m0common.stream.joins import Joins
from m0common.stream.kafka_batches import read_whatever_is_stored
from m0common.stream.kafka_call import AWAY, call, describe
from m0common.stream.kafka_connect import connect
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_rebalance import NOTHING, Rebalance
from m0common.stream.kafka_records import Reading, unpack_as_ours
from m0common.stream.kafka_stop import abandon_consumer
from m0common.stream.records import Record
from m0common.telemetry.logs import logger

log = logger(__name__)

NEVER_MS = 86_400_000


class KafkaConsumer:
    """See m0common.stream.broker.Consumer."""

    def __init__(
        self,
        options: KafkaOptions,
        partitions: Callable[[str], Awaitable[int]],
        group: str | None,
        member: str | None,
        append_time: Collection[str],
    ) -> None:
        self._options = options
        self._partitions = partitions
        self._group = group
        self._member = member
        self._append_time = append_time
        self._inner: Any = None  # AIOKafkaConsumer is untyped
        self._subscribed: tuple[list[str], OnAssigned, OnRevoked] | None = None
        self._rebalance: Rebalance | None = None
        self._next_offsets: dict[TopicPartition, int] = {}
        """After the last record delivered of each partition."""
        self._untouched: set[TopicPartition] = set()
        """Read from the beginning, wherever that is when the first record comes."""
        self._paused: frozenset[TopicPartition] = NOTHING
        self._refused: SettingsError | None = None
        self._joins = Joins(member, options.session_timeout_ms / 1000)

    async def start(self) -> None:
        """See Consumer. Raises Unavailable when no broker answers."""
        if self._inner is not None:
            return
        read_whatever_is_stored()
        unpack_as_ours()
        inner = AIOKafkaConsumer(
            **self._options.connection(),
            group_id=self._group,
            group_instance_id=self._member,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=self._options.session_timeout_ms,
            heartbeat_interval_ms=max(300, self._options.session_timeout_ms // 5),
            rebalance_timeout_ms=self._options.rebalance_timeout_ms,
            # the watchdog sees a loop that is stuck; aiokafka would leave the group while a broker outage lasts
            max_poll_interval_ms=NEVER_MS,
            fetch_max_wait_ms=self._options.fetch_wait_ms,
            key_deserializer=Reading(self._append_time, self._options.restored_ends),
            # by member id, which begins with a static member's name; the sticky one keeps its state per process
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        try:
            await connect(self._options, inner.start())
        except BaseException:
            await self._abandon(inner)
            raise
        self._inner = inner
        self._joins.begin()

    async def stop(self) -> None:
        """See Consumer. Commits nothing; a static member keeps its place until the session time-out."""
        await self._close()
        self._next_offsets = {}

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

    async def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        await self.start()  # a connection that was given up is opened anew
        self._next_offsets = await self._resolve(offsets)
        self._paused = NOTHING
        self._refused = None
        self._assign_manually()

    async def _resolve(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """`offsets` with offsets in the place of AT_END and AT_BEGINNING."""
        begins = await self.begin_offsets([where for where, offset in offsets.items() if offset == AT_BEGINNING])
        ends = await self.end_offsets([where for where, offset in offsets.items() if offset == AT_END])
        self._untouched = set(begins)
        return {**offsets, **begins, **ends}

    def _assign_manually(self) -> None:
        self._inner.assign([KafkaPartition(*where) for where in self._next_offsets])
        self._seek(self._next_offsets)

    def _seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        for where, offset in offsets.items():
            self._inner.seek(KafkaPartition(*where), offset)

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """See Consumer. Raises Unavailable when the connection had to be given up; the next call opens it anew and
        goes on where this one was.
        """
        if self._refused is not None:
            raise self._refused
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        if self._inner is None:
            await self._reopen()
        while True:
            if await self._rebalanced():
                records = await self._poll(max_records, max(0.0, deadline - loop.time()))
                if records:
                    return records
            elif self._rebalance is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await self._rebalance.changed.wait()
                await self._check_group()
            if loop.time() >= deadline:
                return []

    async def _check_group(self) -> None:
        """Raise Unavailable when the group does not take this member; aiokafka says it when records are asked for."""
        try:
            self._inner._coordinator.check_errors()  # noqa: SLF001 - no public way while nothing is assigned
        except AWAY as error:
            await self._close()
            raise Unavailable(f"join group {self._group}: {describe(error)}") from error

    async def _rebalanced(self) -> bool:
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
                wanted = await on_assigned(offered)
                rebalance.held = offered
                starts = await self._starts(offered, wanted)
                if rebalance.offered is not offered:
                    # another rebalance began meanwhile: give back at once what was just taken
                    rebalance.revoked = rebalance.revoked or asyncio.get_running_loop().create_future()
                    continue
                with contextlib.suppress(IllegalStateError):
                    self._seek(starts)
                    self._next_offsets = starts
                    self._paused = NOTHING
                    rebalance.offered = None
                    rebalance.moving = False
                    self._joins.joined(self._inner._coordinator.member_id)  # noqa: SLF001 - there is no public way
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
            starts[where] = AT_BEGINNING if committed is None else committed
        return await self._resolve(starts)

    async def _poll(self, max_records: int, timeout_s: float) -> list[Record]:
        try:
            found = await self._inner.getmany(timeout_ms=0, max_records=max_records)
            if not found and timeout_s > 0:
                found = await self._wait_for_records(max_records, timeout_s)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            if not self._moving and isinstance(error, OffsetOutOfRangeError):
                await self._out_of_range({TopicPartition(*where): offset for where, offset in error.args[0].items()})
            return []
        except SettingsError as error:
            self._refused = error
            raise
        except AWAY as error:
            await self._close()
            raise Unavailable(f"read: {describe(error)}") from error
        if not found or self._moving:
            # records fetched while partitions move are read again from where they are assigned next
            return []
        records: list[Record] = []
        for (topic, partition), fetched in found.items():
            records += fetched
            where = TopicPartition(topic, partition)
            self._next_offsets[where] = fetched[-1].offset + 1
            self._untouched.discard(where)
        return records

    @property
    def _moving(self) -> bool:
        return self._rebalance is not None and self._rebalance.moving

    async def _out_of_range(self, wanted: Mapping[TopicPartition, int]) -> None:
        """Raise OffsetsGone, but for who reads from the beginning: that may move before the first record comes."""
        read = [where for where in wanted if where in self._next_offsets and where not in self._paused]
        begins = await self.begin_offsets(read)
        ends = await self.end_offsets(read)
        for where in read:
            if where in self._untouched:
                self._next_offsets[where] = begins[where]
                self._seek({where: begins[where]})
            elif not begins[where] <= wanted[where] <= ends[where]:
                raise OffsetsGone(*where, wanted[where], begins[where], ends[where])

    async def _wait_for_records(self, max_records: int, timeout_s: float) -> dict[KafkaPartition, list[Any]]:
        """Wait for records, but not when a rebalance begins."""
        timeout_ms = max(1, round(timeout_s * 1000))
        fetch = asyncio.ensure_future(self._inner.getmany(timeout_ms=timeout_ms, max_records=max_records))
        waits = {fetch}
        if self._rebalance is not None:
            waits.add(asyncio.ensure_future(self._rebalance.changed.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return fetch.result() if fetch.done() else {}
        except asyncio.CancelledError:
            if fetch.done() and not fetch.cancelled() and fetch.exception() is None:
                # nobody gets these records: aiokafka must not take them for delivered
                self._seek(
                    {TopicPartition(*where): self._next_offsets[TopicPartition(*where)] for where in fetch.result()}
                )
            raise
        finally:
            for wait in waits:
                wait.cancel()

    def position(self, partition: TopicPartition) -> int:
        """See Consumer."""
        return max(self._next_offsets[partition], self._passed(partition))

    def _passed(self, partition: TopicPartition) -> int:
        """Up to where aiokafka has looked, whether or not a record was there."""
        state = None if self._moving else self._state(partition)
        return state.position if state is not None and state.has_valid_position else 0

    def _state(self, partition: TopicPartition) -> Any:
        """What aiokafka knows of a partition, None when it is not reading it."""
        if self._inner is None:
            return None
        subscription = self._inner._subscription.subscription  # noqa: SLF001 - the public ways are coroutines that wait
        assignment = subscription.assignment if subscription is not None else None
        return assignment.state_value(KafkaPartition(*partition)) if assignment is not None else None

    def reading(self) -> frozenset[TopicPartition]:
        """See Consumer."""
        return NOTHING if self._moving else frozenset(self._next_offsets.keys() - self._paused)

    def heard(self, partition: TopicPartition) -> Heard | None:
        """See Consumer."""
        state = self._state(partition)
        return None if state is None or state.timestamp is None else Heard(state.timestamp, state.lso)

    def contested(self) -> str | None:
        """See Consumer."""
        return self._joins.problem()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See Consumer."""
        if partition not in self._next_offsets:
            raise KeyError(partition)
        self._next_offsets[partition] = offset
        self._untouched.discard(partition)
        if self._inner is not None:
            with contextlib.suppress(IllegalStateError):
                self._seek({partition: offset})

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        self._paused |= partitions
        if self._inner is not None:
            with contextlib.suppress(IllegalStateError):
                self._inner.pause(*(KafkaPartition(*where) for where in partitions))

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        self._paused -= partitions
        if self._inner is not None:
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
        elif self._next_offsets:
            self._assign_manually()
            self.pause(self._paused)

    async def _close(self) -> None:
        self._next_offsets = {where: self.position(where) for where in self._next_offsets}
        inner, self._inner = self._inner, None
        if inner is not None:
            await self._abandon(inner)

    async def _abandon(self, inner: Any) -> None:
        if self._rebalance is not None and self._rebalance.revoked is not None and not self._rebalance.revoked.done():
            self._rebalance.revoked.set_result(None)
        await abandon_consumer(inner)
