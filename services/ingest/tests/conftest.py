"""A small dataset, a broker in memory and a clock that moves when told."""

import msgspec
import pytest
from m0_ingest.dataset import Dataset, Item, Listing
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.replay import Replayer
from m0_ingest.schedule import ReplayState, Schedule
from m0_ingest.state import StateFile
from m0_ingest.timeline import DAY_MS
from m0_ingest.writer import RawWriter
from m0common.clock import ManualClock
from m0common.messages import BookPayload, MarketClosePayload, MatchResultPayload, RawEvent
from m0common.stream.memory import MemoryBroker
from m0common.topics import RAW, TOPICS

SECOND = 1000


def result(at_ms, market, home_goals=1):
    payload = MatchResultPayload("A", "B", home_goals, 0, "2015-16", 1_440_000_000_000 + at_ms)
    outcome = None if market is None else 0
    return Item(at_ms, "eng.1", market, "match_result", payload, outcome, b"A,B,1,0")


def book(at_ms, market):
    return Item(at_ms, "btc", market, "book", BookPayload(((500_000_000, 10),), (), 1_790_000_000_000 + at_ms))


def close(at_ms, market):
    return Item(at_ms, "btc", market, "market_close", MarketClosePayload("test", "settled"), 1, b"btc,DOWN")


def small_dataset():
    """Two results of warm-up, then books and a close, and a match; ten seconds a cycle."""
    return Dataset(
        warmup=[result(-9 * SECOND, None, 2), result(-8 * SECOND, None, 3)],
        live=[
            book(1 * SECOND, "BTC_1"),
            book(2 * SECOND, "BTC_1"),
            close(3 * SECOND, "BTC_1"),
            result(5 * SECOND, "FB_1"),
        ],
        listings=[
            Listing(0, 4 * SECOND, "FB_1", "eng.1", "A v B", ("HOME", "DRAW", "AWAY"), {"home": "A"}),
            Listing(1 * SECOND, 3 * SECOND, "BTC_1", "btc", "Up or down", ("UP", "DOWN")),
        ],
        start_ms=0,
        span_ms=10 * SECOND,
    )


class Rig:
    """One life of a replay; `reborn` is the next one on the same broker, state and clock."""

    def __init__(self, broker, clock, folder, dataset=None, hold_ms=60_000, gap_ms=60_000):
        self.broker, self.clock, self.folder, self.hold_ms, self.gap_ms = broker, clock, folder, hold_ms, gap_ms
        self.file = StateFile(folder / "replay.json", ReplayState)
        self.dataset = dataset or small_dataset()
        self.schedule = Schedule(self.dataset, self.file, clock, DAY_MS, 0, gap_ms)
        self.writer = RawWriter(broker, clock)
        self.markets = OpenMarkets()
        self.replayer = Replayer("test", self.schedule, self.writer, self.markets, clock, hold_ms)

    async def start(self):
        await self.writer.start()
        return await self.schedule.start()

    async def play(self, ms):
        """Let `ms` pass, one turn every 100 ms."""
        for _ in range(0, ms, 100):
            self.clock.advance(100)
            await self.replayer.turn()

    def reborn(self):
        return Rig(self.broker, self.clock, self.folder, self.dataset, self.hold_ms, self.gap_ms)

    def open(self, *ids):
        for market_id in ids:
            self.markets.opened(market_id, "test")


@pytest.fixture
async def broker():
    made = MemoryBroker()
    await made.create_topics(TOPICS, 2, 2)
    return made


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def make_rig(broker, clock, tmp_path):
    return lambda **options: Rig(broker, clock, tmp_path, **options)


@pytest.fixture
def rig(make_rig):
    return make_rig()


@pytest.fixture
def events_of(broker):
    """Every raw event in the log, by partition and offset."""

    def read():
        return [
            msgspec.json.decode(record.value, type=RawEvent)
            for partition in range(len(broker.topic(RAW.name).logs))
            for record in broker.log(RAW.name, partition)
        ]

    return read
