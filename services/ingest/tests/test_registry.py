"""Registry records become signed control events, once each, through restarts and generations."""

import asyncio
from collections import Counter

import msgspec
import pytest
from broken_bytes import BROKEN
from control_world import GENESIS, OTHER, PARTITIONS
from m0_ingest.registry import RegistryConnector
from m0_ingest.registry_cursors import is_open
from m0common.errors import Unavailable
from m0common.messages import RegistryMarket, encode
from m0common.stream.records import Produce, Record
from m0common.topics import CURSORS, REGISTRY
from m0lanes.authority import identity, is_signed_by
from m0lanes.control import MarketClosePayload, MarketOpenPayload


def market(market_id="FB_1", state="ACTIVE", slot=7, opens_ms=1_600_000_000_000, group="eng.1", **changes):
    record = RegistryMarket(
        market_id,
        "test",
        group,
        "A v B",
        ("HOME", "DRAW", "AWAY"),
        state,
        1,
        opens_ms,
        opens_ms + 5000,
        None,
        slot,
    )
    return msgspec.structs.replace(record, **changes)


class Markets:
    """The open markets that the log tells everybody of."""

    def __init__(self, world):
        self._world = world

    def is_open(self, market_id):
        return is_open(self._world.cursors(), market_id)


@pytest.fixture
async def make_connector(world):
    def make():
        connector = RegistryConnector(
            world.broker,
            world.writer,
            world.clock,
            world.control,
            OTHER,
            GENESIS,
            lambda catalog, market_id: {"home": f"{catalog}/{market_id}"},
            world.cursors(),
        )
        return connector, Markets(world)

    return make


@pytest.fixture
async def named(world):
    return await world.name("eng.1", "es.1")


def see(connector, *values):
    connector.see([Record(REGISTRY.name, 0, offset, b"key", value) for offset, value in enumerate(values)])


async def take(connector, *records):
    for record in records:
        see(connector, encode(record))
        await connector.turn()


async def publish(world, *records):
    await world.broker.producer().send([Produce(REGISTRY.name, 0, b"key", encode(r) if r else b"") for r in records])


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what others see is asked for, not told
            await asyncio.sleep(0.01)


async def stop(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def said(world):
    return [(event.kind, event.market_id) for event in world.events()]


async def test_an_active_market_is_opened_with_what_the_connector_knows_of_it(make_connector, world, named):
    connector, markets = make_connector()
    await take(connector, market())
    (event,) = world.events()
    payload = msgspec.json.decode(event.payload, type=MarketOpenPayload)
    assert (event.kind, event.market_id, event.group, event.source) == ("market_open", "FB_1", "eng.1", "registry")
    assert payload.outcomes == ("HOME", "DRAW", "AWAY")
    assert payload.attributes == {"home": "test/FB_1", "resolves_after_ms": "1600000005000"}
    assert is_signed_by(event, identity(event), GENESIS, bytes(OTHER.pubkey()))
    assert event.event_ms == 1_600_000_000_000
    assert markets.is_open("FB_1")


@pytest.mark.parametrize("state", ["PAUSED", "DEPRECATED", "ARCHIVED", "deprecated"])
async def test_a_market_that_is_no_longer_active_is_closed_once(make_connector, world, named, state):
    connector, markets = make_connector()
    await take(connector, market(), market(state=state, slot=9), market(state=state, slot=10))
    assert said(world) == [("market_open", "FB_1"), ("market_close", "FB_1")]
    closing = world.events()[1]
    assert msgspec.json.decode(closing.payload, type=MarketClosePayload).reason == state.lower()
    assert is_signed_by(closing, identity(closing), GENESIS, bytes(OTHER.pubkey()))
    assert not markets.is_open("FB_1")


async def test_a_paused_market_can_open_again(make_connector, world, named):
    connector, _ = make_connector()
    await take(connector, market(slot=1), market(state="PAUSED", slot=2), market(slot=3))
    assert [kind for kind, _ in said(world)] == ["market_open", "market_close", "market_open"]
    assert len({event.source_event_id for event in world.events()}) == 3


async def test_events_are_numbered_per_group_without_a_gap(make_connector, world, named):
    connector, _ = make_connector()
    await take(connector, market("FB_1"), market("FB_9", group="es.1"), market("FB_2"), market("FB_1", "PAUSED", 9))
    numbers = {group: [e.source_seq for e in world.events() if e.group == group] for group in ("eng.1", "es.1")}
    (first, *rest), (other,) = numbers["eng.1"], numbers["es.1"]
    assert rest == [first + 1, first + 2]
    assert 0 < other <= first


@pytest.mark.parametrize("fault", ["lose_acks", "refuse_sends", "die_in_transactions"])
async def test_wherever_a_life_ends_every_market_is_opened_once_and_no_number_is_used_twice(
    make_connector, world, named, fault
):
    connector, _ = make_connector()
    await take(connector, market("FB_1"))
    setattr(world.broker.faults, fault, 1)
    with pytest.raises(Unavailable):
        await take(connector, market("FB_2"))
    await world.writer.start()
    connector, _ = make_connector()
    await take(connector, market("FB_1"), market("FB_2"), market("FB_3"))
    assert said(world) == [("market_open", name) for name in ("FB_1", "FB_2", "FB_3")]
    first, *others = [event.source_seq for event in world.events()]
    assert others == [first + 1, first + 2]


async def test_a_registry_whose_cursors_are_gone_numbers_on_above_what_it_said(make_connector, world, named):
    connector, _ = make_connector()
    await take(connector, *(market(f"FB_{n}") for n in range(9)))
    del world.broker.logs.topics[CURSORS.name]
    await world.broker.create_topics([CURSORS], PARTITIONS)
    world.clock.advance(1_000)
    connector, _ = make_connector()
    await take(connector, market("FB_0"))
    *before, last = [event.source_seq for event in world.events()]
    assert last > max(before)


async def test_more_markets_than_fit_in_a_transaction_are_all_opened(make_connector, world, named):
    connector, markets = make_connector()
    see(connector, *(encode(market(f"FB_{n}")) for n in range(1_203)))
    await connector.turn()
    assert len(said(world)) == 1_203
    assert markets.is_open("FB_1202")


async def test_of_several_records_of_a_market_the_last_one_counts(make_connector, world, named):
    connector, _ = make_connector()
    see(connector, encode(market(slot=1)), encode(market(state="PAUSED", slot=2)))
    await connector.turn()
    assert said(world) == []


async def test_what_nobody_names_or_can_read_is_passed_over(make_connector, world, named):
    connector, _ = make_connector()
    see(connector, b"", b"\xff\xff", encode(market(catalog="crypto")), encode(market(state="DRAFT")))
    see(connector, encode(market(group="it.1")))
    await connector.turn()
    assert said(world) == []


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_record_on_which_a_decoder_gives_up_is_passed_over_and_the_next_market_opens(
    make_connector, world, named, broken
):
    connector, _ = make_connector()
    see(connector, broken(encode(market("FB_1")), "eng.1"), encode(market("FB_2")))
    await connector.turn()
    assert said(world) == [("market_open", "FB_2")]


async def test_a_market_that_the_door_would_refuse_is_not_said(make_connector, world, named):
    connector, markets = make_connector()
    await take(connector, market(outcomes=("ONLY",)), market("FB_2"))
    assert said(world) == [("market_open", "FB_2")]
    assert not markets.is_open("FB_1")


async def test_before_a_set_is_in_force_in_every_lane_nothing_is_opened(make_connector, world):
    connector, _ = make_connector()
    await take(connector, market())
    assert said(world) == []
    await world.name("eng.1")
    await connector.turn()
    assert said(world) == [("market_open", "FB_1")]


async def test_a_new_generation_opens_again_what_it_names_and_forgets_the_rest(make_connector, world, named):
    connector, markets = make_connector()
    await take(connector, market("FB_1"), market("FB_2", group="es.1"))
    await world.name("eng.1", generation=2, epoch=8)
    await connector.turn()
    assert Counter(said(world)) == {("market_open", "FB_1"): 2, ("market_open", "FB_2"): 1}
    assert not markets.is_open("FB_2")
    assert len({event.source_event_id for event in world.events()}) == 3
    await take(connector, market("FB_2", "DEPRECATED", 9, group="es.1"), market("FB_3", group="es.1"))
    before = Counter(said(world))
    assert before.total() == 3
    await world.name("eng.1", "es.1", generation=3, epoch=9)
    await connector.turn()
    assert set((Counter(said(world)) - before).elements()) == {("market_open", "FB_1"), ("market_open", "FB_3")}


async def test_a_retired_catalog_has_no_open_market_and_gets_them_back_with_its_next_generation(
    make_connector, world, named
):
    connector, markets = make_connector()
    await take(connector, market())
    await world.name("eng.1", "es.1", generation=2, epoch=8, retired=True)
    await connector.turn()
    assert not markets.is_open("FB_1")
    assert len(said(world)) == 1
    await world.name("eng.1", generation=3, epoch=9)
    await connector.turn()
    assert said(world) == [("market_open", "FB_1")] * 2


async def test_a_market_of_the_far_future_is_dated_now(make_connector, world, named):
    connector, _ = make_connector()
    await take(connector, market(opens_ms=world.clock.now_ms() + 10**9))
    assert world.events()[0].event_ms == world.clock.now_ms()


async def test_a_restart_says_nothing_twice_and_closes_what_ended_meanwhile(make_connector, world, named):
    connector, markets = make_connector()
    task = asyncio.create_task(connector.run())
    await publish(world, market(), market("FB_2"), None)
    await until(lambda: markets.is_open("FB_2") and connector.problem is None)
    await stop(task)
    await publish(world, market("FB_1", "DEPRECATED", 9), market("FB_3"))
    connector, markets = make_connector()
    assert markets.is_open("FB_1")
    assert connector.problem is not None
    task = asyncio.create_task(connector.run())
    await until(lambda: markets.is_open("FB_3"))
    await stop(task)
    assert sorted(said(world)) == [
        ("market_close", "FB_1"),
        ("market_open", "FB_1"),
        ("market_open", "FB_2"),
        ("market_open", "FB_3"),
    ]


async def test_a_generation_that_took_force_while_it_was_away_is_noticed(make_connector, world, named):
    connector, _ = make_connector()
    await take(connector, market())
    await world.name("eng.1", generation=2, epoch=8)
    connector, _ = make_connector()
    await take(connector, market())
    assert said(world) == [("market_open", "FB_1")] * 2


@pytest.mark.parametrize("meanwhile", ["it ran", "it was away", "the record is gone"])
async def test_a_market_that_ends_while_a_generation_takes_force_is_closed_where_it_is_named(
    make_connector, world, named, meanwhile
):
    connector, markets = make_connector()
    await take(connector, market(), market("FB_2"), market("FB_3", group="es.1"))
    before = said(world)
    await world.name("eng.1", generation=2, epoch=8)
    if meanwhile != "it ran":
        connector, markets = make_connector()
        see(connector, encode(market("FB_2")))
    if meanwhile != "the record is gone":
        see(connector, encode(market(state="DEPRECATED", slot=9)))
        see(connector, encode(market("FB_3", state="DEPRECATED", group="es.1", slot=9)))
    await connector.turn()
    await connector.turn()
    assert said(world)[len(before) :] == [("market_close", "FB_1"), ("market_open", "FB_2")]
    assert [markets.is_open(name) for name in ("FB_1", "FB_2", "FB_3")] == [False, True, False]
    closing, opening = world.events()[-2:]
    assert opening.source_seq == closing.source_seq + 1


@pytest.mark.parametrize("fault", ["lose_acks", "refuse_sends", "die_in_transactions"])
async def test_markets_that_ended_around_a_generation_are_each_closed_once_wherever_a_life_ends(
    make_connector, world, named, fault
):
    connector, _ = make_connector()
    names = [f"FB_{number}" for number in range(1_203)]
    see(connector, *(encode(market(name)) for name in names))
    await connector.turn()
    await world.name("eng.1", generation=2, epoch=8)
    connector, markets = make_connector()
    see(connector, *(encode(market(name, state="ARCHIVED", slot=9)) for name in names))
    setattr(world.broker.faults, fault, 1)
    with pytest.raises(Unavailable):
        await connector.turn()
    await world.writer.start()
    connector, markets = make_connector()
    see(connector, *(encode(market(name, state="ARCHIVED", slot=9)) for name in names))
    await connector.turn()
    assert Counter(said(world)) == Counter((kind, name) for name in names for kind in ("market_open", "market_close"))
    assert not any(markets.is_open(name) for name in names)


async def test_a_topic_replaced_by_a_shorter_one_is_read_anew(make_connector, world, named):
    connector, markets = make_connector()
    task = asyncio.create_task(connector.run())
    await publish(world, market(), market("FB_2"))
    await until(lambda: markets.is_open("FB_2"))
    del world.broker.logs.topics[REGISTRY.name]
    await world.broker.create_topics([REGISTRY], PARTITIONS)
    await publish(world, market("FB_3"))
    await until(lambda: markets.is_open("FB_3") and connector.problem is None)
    await stop(task)


async def test_a_broker_that_goes_away_is_waited_for(make_connector, world, named):
    connector, markets = make_connector()
    world.broker.faults.down = True
    task = asyncio.create_task(connector.run())
    await until(lambda: "does not answer" in (connector.problem or ""))
    world.broker.faults.down = False
    await publish(world, market())
    await until(lambda: markets.is_open("FB_1") and connector.problem is None)
    await stop(task)
