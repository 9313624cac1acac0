"""Registry records become control events, once each, through restarts."""

import asyncio

import msgspec
import pytest
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.registry import RegistryConnector, RegistryState
from m0_ingest.state import StateFile
from m0_ingest.writer import RawWriter
from m0common.messages import MarketClosePayload, MarketOpenPayload, RegistryMarket, encode
from m0common.stream.records import Produce
from m0common.topics import REGISTRY


def market(market_id="FB_1", state="ACTIVE", slot=7, catalog="sports", opens_ms=1_600_000_000_000):
    outcomes = ("HOME", "DRAW", "AWAY")
    return RegistryMarket(
        market_id, catalog, "eng.1", "A v B", outcomes, state, 1, opens_ms, opens_ms + 5000, None, slot
    )


@pytest.fixture
async def make_connector(broker, clock, tmp_path):
    async def make():
        writer = RawWriter(broker, clock)
        await writer.start()
        markets = OpenMarkets()
        connector = RegistryConnector(
            broker,
            writer,
            clock,
            markets,
            frozenset({"sports"}),
            lambda catalog, market_id: {"home": f"{catalog}/{market_id}"},
            StateFile(tmp_path / "registry.json", RegistryState),
        )
        connector.start()
        return connector, markets

    return make


async def publish(broker, *records):
    await broker.producer().send([Produce(REGISTRY.name, 0, b"key", encode(r) if r else b"") for r in records])


async def until(condition):

    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within two seconds")


async def test_an_active_market_is_opened_with_what_the_connector_knows_of_it(make_connector, events_of):
    connector, markets = await make_connector()
    await connector.take([encode(market())])
    (event,) = events_of()
    payload = msgspec.json.decode(event.payload, type=MarketOpenPayload)
    assert (event.kind, event.market_id, event.group, event.source) == ("market_open", "FB_1", "eng.1", "registry")
    assert payload.outcomes == ("HOME", "DRAW", "AWAY")
    assert payload.attributes == {"home": "sports/FB_1", "resolves_after_ms": "1600000005000"}
    assert markets.is_open("FB_1")


@pytest.mark.parametrize("state", ["PAUSED", "DEPRECATED", "ARCHIVED", "deprecated"])
async def test_a_market_that_is_no_longer_active_is_closed_once(make_connector, events_of, state):
    connector, markets = await make_connector()
    await connector.take([encode(market()), encode(market(state=state, slot=9)), encode(market(state=state, slot=10))])
    events = events_of()
    assert [e.kind for e in events] == ["market_open", "market_close"]
    assert msgspec.json.decode(events[1].payload, type=MarketClosePayload).reason == state.lower()
    assert not markets.is_open("FB_1")


async def test_a_paused_market_can_open_again(make_connector, events_of):
    connector, _ = await make_connector()
    await connector.take([encode(market(slot=1)), encode(market(state="PAUSED", slot=2)), encode(market(slot=3))])
    events = events_of()
    assert [e.kind for e in events] == ["market_open", "market_close", "market_open"]
    assert len({e.source_event_id for e in events}) == 3


async def test_what_is_not_ours_or_cannot_be_read_is_passed_over(make_connector, events_of):
    connector, _ = await make_connector()
    await connector.take([b"", b"\xff\xff", encode(market(catalog="crypto")), encode(market(state="DRAFT"))])
    assert events_of() == []


async def test_a_market_of_the_far_future_is_dated_now(make_connector, events_of, clock):
    connector, _ = await make_connector()
    await connector.take([encode(market(opens_ms=clock.now_ms() + 10**9))])
    assert events_of()[0].event_ms == clock.now_ms()


async def test_a_restart_goes_on_where_it_was(make_connector, broker, events_of, clock):

    connector, markets = await make_connector()
    task = asyncio.create_task(connector.run())
    await publish(broker, market(), market("FB_2"), None)
    await until(lambda: markets.is_open("FB_2") and connector.problem is None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    connector, markets = await make_connector()
    assert markets.is_open("FB_1")
    assert connector.problem is not None
    task = asyncio.create_task(connector.run())
    await publish(broker, market("FB_1", "DEPRECATED", 9), market("FB_3"))
    await until(lambda: markets.is_open("FB_3"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [(e.kind, e.market_id) for e in events_of()] == [
        ("market_open", "FB_1"),
        ("market_open", "FB_2"),
        ("market_close", "FB_1"),
        ("market_open", "FB_3"),
    ]


async def test_a_broker_that_goes_away_is_waited_for(make_connector, broker, monkeypatch):

    monkeypatch.setattr("m0_ingest.registry.RETRY_S", 0.01)
    connector, markets = await make_connector()
    broker.faults.down = True
    task = asyncio.create_task(connector.run())
    await until(lambda: "does not answer" in (connector.problem or ""))
    broker.faults.down = False
    await publish(broker, market())
    await until(lambda: markets.is_open("FB_1") and connector.problem is None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_replaced_topic_is_read_from_its_beginning(make_connector, broker, tmp_path):

    await StateFile(tmp_path / "registry.json", RegistryState).save(RegistryState(10_000, {}))
    connector, markets = await make_connector()
    await publish(broker, market())
    task = asyncio.create_task(connector.run())
    await until(lambda: markets.is_open("FB_1"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
