"""The whole of ingest on a broker in memory: what it writes passes the first stage without one dead letter."""

import asyncio
import pathlib
from collections import Counter

import msgspec
import pytest
from m0_ingest.service import Ingest
from m0_ingest.state import StateError
from m0common.clock import SystemClock
from m0common.errors import SettingsError
from m0common.http import Status
from m0common.messages import (
    BookUpdate,
    CatalogSet,
    LaneMessage,
    Marker,
    MarketClosed,
    MarketOpened,
    MarketOutcome,
    MatchResult,
    RegistryMarket,
    encode,
)
from m0common.settings import Catalog, Settings
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import OUTCOMES, RAW, REGISTRY, TOPICS
from m0lanes.normalize import NormalizeCore

CONFIG = pathlib.Path(__file__).parents[3] / "config"


class Chain:
    """Stands for chain and indexer: what is created appears in the registry topic a moment later."""

    def __init__(self, broker):
        self._producer = broker.producer()
        self.created = []

    async def create(self, market):
        if market.market_id in self.created:
            return False
        self.created.append(market.market_id)
        await asyncio.sleep(0.01)
        record = RegistryMarket(
            market.market_id,
            market.catalog,
            market.group,
            market.title,
            market.outcomes,
            "ACTIVE",
            1,
            market.opens_ms,
            market.resolves_after_ms,
            None,
            len(self.created),
        )
        await self._producer.send([Produce(REGISTRY.name, 0, market.market_id.encode(), encode(record))])
        return True


def settings_in(home):
    """A week of football lasts 0.7 s, a quarter of an hour of books as long."""
    fast = {"hold_ms": 5000, "lead_ms": 500}
    return Settings(
        home=str(home),
        catalogs={
            "sports": Catalog(epoch_ms=1000, lateness_ms=100, model="football", replay={**fast, "day_lasts_ms": 100}),
            "crypto": Catalog(epoch_ms=1000, lateness_ms=100, model="book", replay={**fast, "day_lasts_ms": 40_000}),
        },
    )


async def live(broker, chain, home, seconds):
    status = Status("ingest")
    ingest = Ingest(settings_in(home), CONFIG, broker, chain, SystemClock(), status)
    task = asyncio.create_task(ingest.run())
    await asyncio.sleep(seconds)
    problems = [problem for check in status.ready.values() if (problem := check()) is not None]
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    return problems


def normalized(broker):
    """Bodies of every lane after the first stage; DeadLetterError if ingest wrote anything that stage refuses."""
    core = NormalizeCore(bytes(32))
    decoder = msgspec.msgpack.Decoder(LaneMessage)
    bodies = []
    for partition in range(2):
        for record in broker.log(RAW.name, partition):
            for output in core.feed(record):
                if isinstance(output, Produce):
                    message = decoder.decode(output.value)
                    bodies.append((message.catalog, message.body))
    return bodies


async def test_two_lives_of_ingest_feed_the_lanes_without_a_dead_letter(broker, tmp_path):
    chain = Chain(broker)
    for _ in range(2):
        assert await live(broker, chain, tmp_path, 3.0) == []
    bodies = normalized(broker)
    kinds = Counter((catalog, type(body)) for catalog, body in bodies)
    assert kinds["sports", MatchResult] > 3308 + 20
    assert kinds["crypto", BookUpdate] > 300
    assert kinds["sports", CatalogSet] == kinds["crypto", CatalogSet] == 2
    assert kinds["sports", Marker] >= 2 * 4
    assert kinds["crypto", Marker] >= 2 * 4
    assert kinds["crypto", MarketClosed] >= 1
    opened = {body.market_id for _, body in bodies if isinstance(body, MarketOpened)}
    assert set(chain.created[:-60]) <= opened <= set(chain.created)  # the last ones may not have come round yet
    results = [body for _, body in bodies if isinstance(body, MatchResult)]
    with_market = {body.market_id for body in results} - {None}
    assert with_market <= opened
    outcomes = {
        msgspec.msgpack.decode(record.value, type=MarketOutcome).market_id
        for partition in range(2)
        for record in broker.log(OUTCOMES.name, partition)
    }
    closed = {body.market_id for _, body in bodies if isinstance(body, MarketClosed)}
    assert with_market | closed == outcomes


async def test_the_warm_up_of_a_group_comes_in_order_before_its_first_market_is_settled(broker, tmp_path):
    await live(broker, Chain(broker), tmp_path, 2.0)
    days = {}
    for _, body in normalized(broker):
        if isinstance(body, MatchResult):
            assert body.played_day >= days.get(body.group, 0)
            days[body.group] = body.played_day
    assert len(days) == 5


async def test_a_state_that_belongs_to_another_log_is_refused_with_the_remedy(broker, tmp_path):
    await live(broker, Chain(broker), tmp_path, 1.0)
    other = MemoryBroker()
    await other.create_topics(TOPICS, 2, 2)
    ingest = Ingest(settings_in(tmp_path), CONFIG, other, Chain(other), SystemClock(), Status("ingest"))
    with pytest.raises(StateError, match="delete that folder"):
        await ingest.run()


async def test_ingest_without_a_catalog_does_not_start(broker, tmp_path):
    with pytest.raises(SettingsError, match="catalogs"):
        Ingest(Settings(home=str(tmp_path)), CONFIG, broker, Chain(broker), SystemClock(), Status("ingest"))
