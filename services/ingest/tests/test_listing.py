"""Markets are created ahead of their opening, once each, however the chain behaves."""

import json

import pytest
from m0_ingest.listing import Lister, load_registrar
from m0common.chain import RpcUnavailable, TransactionFailed
from m0common.errors import SettingsError
from solders.keypair import Keypair


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


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("m0_ingest.listing.FIRST_WAIT_S", 0.001)


async def listed(rig, registry, ms, lead_ms=0):
    lister = Lister("test", rig.schedule, registry, rig.clock, lead_ms)
    for _ in range(0, ms, 100):
        await lister.turn()
        rig.clock.advance(100)
    return lister


async def test_markets_are_created_when_they_open_with_their_times(rig, clock):
    await rig.start()
    began, registry = clock.now_ms(), FakeRegistry()
    await listed(rig, registry, 500)
    assert set(registry.markets) == {"FB_1"}
    await listed(rig, registry, 12_000)
    assert list(registry.markets) == ["FB_1", "BTC_1", "FB_1_C2", "BTC_1_C2"]
    market = registry.markets["BTC_1_C2"]
    assert (market.opens_ms - began, market.resolves_after_ms - began) == (11_000, 13_000)
    assert (market.catalog, market.group, market.outcomes) == ("test", "btc", ("UP", "DOWN"))
    assert registry.calls == 4


async def test_a_lead_creates_them_earlier(rig):
    await rig.start()
    registry = FakeRegistry()
    await listed(rig, registry, 100, lead_ms=1_000)
    assert set(registry.markets) == {"FB_1", "BTC_1"}


async def test_a_restart_does_not_list_again_what_was_listed(rig):
    await rig.start()
    registry = FakeRegistry()
    await listed(rig, registry, 1_500)
    again = rig.reborn()
    await again.start()
    await listed(again, registry, 2_000)
    assert registry.calls == 2


async def test_an_unavailable_chain_is_waited_for(rig):
    await rig.start()
    registry = FakeRegistry(*[RpcUnavailable("gone")] * 7)
    lister = await listed(rig, registry, 100)
    assert set(registry.markets) == {"FB_1"}
    assert lister.problem is None


async def test_a_market_the_chain_refuses_does_not_hold_up_the_others(rig):
    await rig.start()
    registry = FakeRegistry(*[TransactionFailed("Custom(6100)", 0)] * 5)
    lister = await listed(rig, registry, 1_500)
    assert set(registry.markets) == {"BTC_1"}
    assert lister.problem is None


async def test_a_market_that_is_over_is_not_created(rig):
    await rig.start()
    rig.clock.advance(3_500)
    registry = FakeRegistry()
    await listed(rig, registry, 100)
    assert set(registry.markets) == {"FB_1"}


def test_the_registrar_key_is_read_and_a_bad_one_named(tmp_path):
    key = Keypair()
    with pytest.raises(SettingsError, match=r"registrar\.json"):
        load_registrar(tmp_path)
    (tmp_path / "registrar.json").write_text(json.dumps(list(bytes(key))))
    assert load_registrar(tmp_path).pubkey() == key.pubkey()
    for damaged in ("[1, 2]", "{}", "", "[300]"):
        (tmp_path / "registrar.json").write_text(damaged)
        with pytest.raises(SettingsError, match=r"registrar\.json"):
            load_registrar(tmp_path)
