"""A log in memory, a clock that moves when told, real signatures, a small dataset and a small domain."""

from typing import Annotated

import control_world
import msgspec
from m0_ingest.history_player import HISTORY, HistoryPlayer
from m0_ingest.schedule import HistoryState, Schedule
from m0_ingest.writer import ConnectorWriter
from m0common.clock import ManualClock
from m0common.cursors import SEASON, Cursors, SeasonRequest
from m0common.messages import MarketOutcome, RawEvent
from m0common.stream.memory import MemoryBroker
from m0common.topics import CURSORS, OUTCOMES, RAW, TOPICS
from m0domains.history import Dataset, Listing, Observation, Resolution
from m0domains.timeline import DAY_MS
from m0lanes.generations import lanes_of
from m0lanes.port import Refused
from m0replay.control_log import ControlLog

SECOND = 1000
PARTITIONS = control_world.PARTITIONS


class Result(msgspec.Struct, frozen=True):
    home: str
    away: str
    home_goals: Annotated[int, msgspec.Meta(ge=0, le=99)]


class Book(msgspec.Struct, frozen=True):
    price: int


class ToyDomain:
    """Knows results, which the home side wins when it scores, and books, which decide nothing."""

    name = "toy"

    def __init__(self):
        self.payloads = {"result": Result, "book": Book}

    def check(self, kind, payload):
        if kind == "result" and payload.home == payload.away:
            raise Refused(f"home and away are both {payload.home!r}")

    def outcome(self, kind, payload, outcomes):
        if kind != "result":
            return None
        return outcomes.index("HOME" if payload.home_goals else "AWAY")


def result(at_ms, market, home_goals=1, away="B"):
    return Observation(at_ms, "eng.1", market, "result", Result("A", away, home_goals), b"A,B,1,0")


def book(at_ms, market, price=5):
    return Observation(at_ms, "btc", market, "book", Book(price))


def small_dataset(extra=()):
    """Two results of warm-up, then books and a resolution, and a match; ten seconds a season."""
    live = [
        book(1 * SECOND, "BTC_1"),
        book(2 * SECOND, "BTC_1"),
        Resolution(3 * SECOND, "btc", "BTC_1", "DOWN", b"btc,DOWN"),
        result(5 * SECOND, "FB_1"),
        *extra,
    ]
    return Dataset(
        warmup=[result(-9 * SECOND, None, 2), result(-8 * SECOND, None, 3)],
        live=sorted(live, key=lambda item: item.at_ms),
        listings=[
            Listing(0, 4 * SECOND, "FB_1", "eng.1", "A v B", ("AWAY", "DRAW", "HOME"), {"home": "A"}),
            Listing(1 * SECOND, 3 * SECOND, "BTC_1", "btc", "Up or down", ("UP", "DOWN")),
        ],
        start_ms=0,
        span_ms=10 * SECOND,
    )


class World:
    """A broker, what has been read of its control records, and the catalogs that somebody set in it."""

    def __init__(self):
        self.clock = ManualClock()
        self.broker = MemoryBroker(self.clock)
        self.control = ControlLog(control_world.DEPLOYMENT)
        self.writer = ConnectorWriter(self.broker, "world", PARTITIONS)
        self._read = [0] * PARTITIONS

    async def start(self):
        await self.broker.create_topics(TOPICS, PARTITIONS)
        await self.writer.start()
        return self

    def follow(self):
        """Read what has been written since, as the follower does."""
        for partition in range(PARTITIONS):
            for record in self.broker.log(RAW.name, partition):
                if record.offset >= self._read[partition]:
                    self.control.take(record)
                    self._read[partition] = record.offset + 1
        for record in self.broker.log(CURSORS.name, 0):
            self.control.take(record)

    def cursors(self):
        """What is in the topic of cursors now."""
        found = Cursors()
        for record in self.broker.log(CURSORS.name, 0):
            found.take(record)
        return found

    async def put(self, payload, *lanes):
        """The control key's holder sets a catalog."""
        old = self.control.in_force(payload.catalog)
        where = lanes or sorted({*lanes_of(payload), *(() if old is None else old.lanes)})
        await self.writer.say(where, control_world.set_value(payload))
        self.follow()

    async def name(self, *groups, generation=1, epoch=7, catalog="test", **changes):
        """A generation with these groups takes force at a marker."""
        old = self.control.in_force(catalog)
        payload = control_world.a_set(generation, catalog=catalog, groups=tuple(sorted(groups)), **changes)
        await self.put(payload)
        lanes = () if old is None else old.lanes
        marker = control_world.a_marker(epoch, generation - 1, lanes, payload, catalog)
        targets = sorted({*lanes, *lanes_of(payload)})
        await self.writer.say(targets, control_world.marker_value(marker))
        self.follow()
        return payload

    def events(self, kind=None):
        """Every raw event in the log but those that set catalogs, by partition and offset."""
        decoded = [
            msgspec.json.decode(record.value, type=RawEvent)
            for partition in range(PARTITIONS)
            for record in self.broker.log(RAW.name, partition)
        ]
        return [event for event in decoded if event.kind == kind or (kind is None and event.group)]

    def outcomes(self):
        return [
            msgspec.msgpack.decode(record.value, type=MarketOutcome)
            for partition in range(PARTITIONS)
            for record in self.broker.log(OUTCOMES.name, partition)
        ]


class Rig:
    """One run of a history's player; `reborn` is the next one on the same log and clock."""

    def __init__(self, world, dataset=None, hold_ms=60_000, gap_ms=60_000):
        self.world, self.clock, self.hold_ms, self.gap_ms = world, world.clock, hold_ms, gap_ms
        self.dataset = dataset or small_dataset()
        cursors = world.cursors()
        state = cursors.get(HISTORY + "test", HistoryState) or HistoryState()
        self.schedule = Schedule(self.dataset, state, self.clock, DAY_MS, 0, gap_ms)
        self.writer = ConnectorWriter(world.broker, "history-test", PARTITIONS)
        self.opened = set()
        self.player = HistoryPlayer(
            "test",
            "toy",
            ToyDomain(),
            self.schedule,
            self.writer,
            world.control,
            self.opened.__contains__,
            self.clock,
            hold_ms,
            cursors,
        )

    async def start(self):
        await self.writer.start()
        return self

    async def play(self, ms):
        """Let `ms` pass, one turn every 100 ms."""
        for _ in range(0, ms, 100):
            self.clock.advance(100)
            await self.player.turn()

    async def reborn(self):
        return await Rig(self.world, self.dataset, self.hold_ms, self.gap_ms).start()

    def open(self, *ids):
        self.opened |= set(ids)

    def asked(self):
        """The season that is asked for."""
        return self.world.cursors().get(SEASON + "test", SeasonRequest)
