"""Markets are created ahead of their opening, once each, however the chain behaves."""

import pytest
from ingest_world import SECOND
from m0_ingest import listing, metrics
from m0_ingest.listing import LISTING, Lister, ListingState
from m0chain import RpcUnavailable, TransactionFailed
from m0common.errors import InvalidValue


class FakeRegistry:
    def __init__(self, *failures):
        self.failures = list(failures)
        self.markets = {}
        self.calls = 0

    async def create(self, market):
        self.calls += 1
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        new = market.market_id not in self.markets
        self.markets.setdefault(market.market_id, market)
        return new


def lister_of(rig, registry, lead_ms=0):
    named, state = rig.player.named, rig.world.cursors().get(LISTING + "test", ListingState)
    return Lister("test", rig.schedule, state, rig.writer, registry, named, rig.clock, lead_ms, first_wait_s=0.001)


async def listed(rig, registry, ms, lead_ms=0):
    lister = lister_of(rig, registry, lead_ms)
    for _ in range(0, ms, 100):
        await rig.player.turn()
        await lister.turn()
        rig.clock.advance(100)
    return lister


async def test_markets_are_created_when_they_open_with_their_times(rig, world):
    began, registry = world.clock.now_ms(), FakeRegistry()
    await listed(rig, registry, 500)
    assert set(registry.markets) == {"FB_1"}
    await listed(rig, registry, 12_000)
    assert list(registry.markets) == ["FB_1", "BTC_1"]
    market = registry.markets["BTC_1"]
    assert (market.opens_ms - began, market.resolves_after_ms - began) == (1_000, 3_000)
    assert (market.catalog, market.group, market.outcomes) == ("test", "btc", ("UP", "DOWN"))
    assert registry.calls == 2


async def test_a_lead_creates_them_earlier(rig):
    registry = FakeRegistry()
    await listed(rig, registry, 100, lead_ms=1_000)
    assert set(registry.markets) == {"FB_1", "BTC_1"}


async def test_nothing_is_listed_before_the_season_begins_nor_after_it_is_over(make_rig, world):
    rig, registry = await make_rig(named=()), FakeRegistry()
    await listed(rig, registry, 1_000)
    assert registry.markets == {}
    await world.name("btc", "eng.1")
    rig.open("FB_1", "BTC_1")
    await listed(rig, registry, 60 * SECOND)
    assert set(registry.markets) == {"FB_1", "BTC_1"}


async def test_markets_of_the_next_season_say_so_in_their_titles(rig, world):
    registry = FakeRegistry()
    rig.open("FB_1", "BTC_1")
    await listed(rig, registry, 20 * SECOND)
    await world.name("btc~2", "eng.1~2", generation=2, epoch=8)
    await listed(rig, registry, 2 * SECOND)
    assert registry.markets["FB_1_S2"].title == "A v B (replay, season 2)"
    assert registry.markets["FB_1_S2"].group == "eng.1~2"


async def test_a_market_whose_group_nobody_names_is_not_listed(rig, world):
    registry = FakeRegistry()
    await rig.player.turn()
    await world.name("eng.1", generation=2, epoch=8)
    await listed(rig, registry, 2 * SECOND)
    assert set(registry.markets) == {"FB_1"}


async def test_a_restart_does_not_list_again_what_was_listed(rig):
    registry = FakeRegistry()
    await listed(rig, registry, 1_500)
    again = await rig.reborn()
    await listed(again, registry, 2_000)
    assert registry.calls == 2


async def test_an_unavailable_chain_is_waited_for(rig):
    registry = FakeRegistry(*[RpcUnavailable("gone")] * 7)
    lister = await listed(rig, registry, 100)
    assert set(registry.markets) == {"FB_1"}
    assert lister.problem is None


async def test_a_market_the_chain_refuses_does_not_hold_up_the_others(rig):
    registry = FakeRegistry(*[TransactionFailed("Custom(6100)", 0)] * listing.TRIES)
    lister = await listed(rig, registry, 1_500)
    assert set(registry.markets) == {"BTC_1"}
    assert lister.problem is None


async def test_a_market_that_is_over_is_not_created(rig):
    await rig.player.turn()
    rig.clock.advance(3_500)
    registry = FakeRegistry()
    await listed(rig, registry, 100)
    assert set(registry.markets) == {"FB_1"}


NO_FAULT_OF_THE_CHAIN = [InvalidValue("title of 300 bytes: at most 128"), RuntimeError("the key is throttled")]


@pytest.mark.parametrize("failure", NO_FAULT_OF_THE_CHAIN)
async def test_a_market_that_fails_before_it_reaches_the_chain_is_given_up_and_noted_and_the_others_go_on(rig, failure):
    registry, before = FakeRegistry(*[failure] * listing.TRIES), refused()
    lister = await listed(rig, registry, 500)
    assert registry.markets == {}
    assert lister.problem is None
    assert lister.note.startswith("FB_1 is not listed: ")
    assert str(failure) in lister.note
    assert refused() == before + 1
    lister = await listed(await rig.reborn(), registry, 1_500)
    assert set(registry.markets) == {"BTC_1"}
    assert lister.note is None


@pytest.mark.parametrize("failure", NO_FAULT_OF_THE_CHAIN)
async def test_what_fails_only_sometimes_is_listed_after_all(rig, failure):
    registry = FakeRegistry(*[failure] * (listing.TRIES - 1))
    lister = await listed(rig, registry, 500)
    assert set(registry.markets) == {"FB_1"}
    assert (lister.problem, lister.note) == (None, None)


def refused():
    return sum(metrics.LISTED.failures().values())


@pytest.mark.parametrize("failure", [RpcUnavailable("gone"), TransactionFailed("Custom(1)", 0)])
async def test_what_cannot_be_listed_is_said(rig, failure):
    class Forever(FakeRegistry):
        async def create(self, market):
            self.calls += 1
            problems.append(lister.problem)
            if self.calls > 2:
                return True
            raise failure

    problems = []
    await rig.player.turn()
    lister = lister_of(rig, Forever())
    await lister.turn()
    assert problems[1] == f"FB_1 cannot be listed: {failure}"
