"""Catalogs and markets of the registry."""

import itertools

import pytest
from m0svm.oracle import CATALOG
from m0svm.registry import MARKET, START_MS, Registry, market_key
from solders.pubkey import Pubkey

DRAFT, ACTIVE, PAUSED, DEPRECATED, ARCHIVED = range(5)
MOVES = {
    (DRAFT, ACTIVE),
    (ACTIVE, PAUSED),
    (PAUSED, ACTIVE),
    (ACTIVE, DEPRECATED),
    (PAUSED, DEPRECATED),
    (DEPRECATED, ARCHIVED),
}
ROUTES = {
    DRAFT: [],
    ACTIVE: [ACTIVE],
    PAUSED: [ACTIVE, PAUSED],
    DEPRECATED: [ACTIVE, DEPRECATED],
    ARCHIVED: [ACTIVE, DEPRECATED, ARCHIVED],
}
RESOLVES = START_MS + 3_600_000


@pytest.fixture
def registry():
    return Registry().ready()


def test_roles_are_replaced_together(registry):
    roles = {n: Pubkey.new_unique() for n in ("guardian", "registrar", "resolver")}
    assert registry.call("set_roles", {}, **roles).ok().event("RolesSet") == roles
    root = registry.chain.account("Root", registry.root)
    assert {n: root[n] for n in roles} == roles
    registry.create_market().fails("Unauthorized")


def test_a_catalog_is_created_active_and_empty(registry):
    name = b"crypto".ljust(16, b"\0")
    assert registry.create_catalog(name).ok().event("CatalogCreated") == {"catalog": name}
    catalog = registry.chain.account("Catalog", registry.catalog_at(name))
    assert (catalog["catalog"], catalog["active"], catalog["market_count"]) == (name, True, 0)
    registry.create_catalog(b"Crypto".ljust(16, b"\0")).fails("InvalidCatalogName")
    registry.create_catalog(bytes(16)).fails("InvalidCatalogName")


def test_a_market_is_created_as_a_draft_with_its_texts(registry):
    call = registry.create_market()
    event = call.ok().event("MarketCreated")
    assert event == {"market_key": market_key(MARKET), "catalog": CATALOG, **call.args}
    market = registry.market()
    assert {n: market[n] for n in call.args} == call.args
    assert (market["market_key"], market["catalog"], market["state"]) == (market_key(MARKET), CATALOG, DRAFT)
    assert (market["outcome_count"], market["resolved"], market["resolved_ms"]) == (3, False, 0)
    assert market["created_slot"] == registry.chain.svm.get_clock().slot
    assert registry.chain.account("Root", registry.root)["market_count"] == 1
    assert registry.chain.account("Catalog", registry.catalog_at())["market_count"] == 1
    call.fails("AlreadyInitialized")
    registry.create_market("OTHER").ok()
    assert registry.chain.account("Root", registry.root)["market_count"] == 2


@pytest.mark.parametrize("market_id", ["A", "A" * 64, "0_Z9", "_"])
def test_a_market_id_of_one_to_sixty_four_letters_digits_and_underscores_is_accepted(registry, market_id):
    registry.create_market(market_id).ok()


@pytest.mark.parametrize("market_id", ["", "A" * 65, "a", "A B", "A-B", "É", "A\0"])
def test_any_other_market_id_is_refused(registry, market_id):
    registry.create_market(market_id).fails("InvalidMarketId")


def test_texts_are_utf8_within_their_limits(registry):
    registry.create_market(group="g" * 32, title="t" * 96).ok()
    registry.create_market("B", group="", title="").ok()
    registry.create_market("C", title="é" * 48).ok()
    for wrong in ({"group": "g" * 33}, {"title": "t" * 97}, {"title": "é" * 49}):
        registry.create_market("D", **wrong).fails("InvalidText")
    for bad in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"):
        registry.create_market("D", title=bad).fails("InvalidText")
        registry.create_market("D", group=bad).fails("InvalidText")
        registry.create_market("D", outcomes=[bad, "b"]).fails("InvalidOutcomes")


def test_a_market_has_two_to_thirty_two_named_outcomes(registry):
    registry.create_market("A", outcomes=["x", "y" * 24]).ok()
    registry.create_market("B", outcomes=[f"outcome {n}" for n in range(32)]).ok()
    assert registry.market("B")["outcome_count"] == 32
    for wrong in ([], ["x"], ["x", ""], ["x", "y" * 25], [str(n) for n in range(33)]):
        registry.create_market("C", outcomes=wrong).fails("InvalidOutcomes")


def test_times_are_not_negative_and_in_order(registry):
    registry.create_market("A", opens_ms=0, resolves_after_ms=0).ok()
    for opens, resolves in ((-1, 5), (5, 4), (0, -1), (2**63 - 1, 0)):
        registry.create_market("B", opens_ms=opens, resolves_after_ms=resolves).fails("InvalidTimes")


def test_texts_that_the_data_does_not_hold_are_refused(registry):
    call = registry.create_market()
    data = call.instruction().data
    for length in (len(MARKET) + 1, 2**32 - 1, 2**31):
        result = call.with_data(data[:8] + length.to_bytes(4, "little") + data[12:]).send()
        assert result.error in ("InvalidInstruction", "InvalidMarketId")
    for end in range(8, len(data)):
        assert call.with_data(data[:end]).send().error in ("InvalidInstruction", "InvalidOutcomes")


@pytest.mark.parametrize(("old", "new"), list(itertools.product(range(5), range(6))))
def test_a_market_moves_only_along_its_states(registry, old, new):
    registry.create_market().ok()
    for step in ROUTES[old]:
        registry.set_state(step).ok()
    if (old, new) in MOVES:
        event = registry.set_state(new).ok().event("MarketStateChanged")
        assert event == {"market_key": market_key(MARKET), "old_state": old, "new_state": new}
        assert registry.market()["state"] == new
    else:
        registry.set_state(new).fails("InvalidTransition")
        assert registry.market()["state"] == old


@pytest.mark.parametrize("outcome", [0, 2, 255])
def test_a_market_is_resolved_once_and_becomes_deprecated(registry, outcome):
    registry.active()
    registry.chain.at(RESOLVES)
    call = registry.resolve(outcome)
    result = call.ok()
    evidence = call.args["evidence_hash"]
    assert result.event("MarketResolved") == {
        "market_key": market_key(MARKET),
        "outcome": outcome,
        "evidence_hash": evidence,
        "resolved_ms": RESOLVES,
    }
    assert result.event("MarketStateChanged")["new_state"] == DEPRECATED
    market = registry.market()
    assert (market["resolved"], market["resolution"], market["resolved_ms"]) == (True, outcome, RESOLVES)
    assert (market["state"], market["evidence_hash"]) == (DEPRECATED, evidence)
    call.fails("AlreadyResolved")
    registry.set_state(ARCHIVED).ok()
    call.fails("AlreadyResolved")


def test_a_market_is_not_resolved_before_its_time(registry):
    registry.active()
    registry.chain.at(RESOLVES - 1000)
    registry.resolve().fails("TooEarlyToResolve")
    registry.chain.at(RESOLVES)
    registry.resolve().ok()


@pytest.mark.parametrize("outcome", [3, 4, 254])
def test_an_outcome_that_the_market_does_not_have_is_refused(registry, outcome):
    registry.active()
    registry.chain.at(RESOLVES)
    registry.resolve(outcome).fails("InvalidOutcome")


@pytest.mark.parametrize("state", range(5))
def test_drafts_and_archived_markets_are_not_resolved(registry, state):
    registry.create_market().ok()
    for step in ROUTES[state]:
        registry.set_state(step).ok()
    registry.chain.at(RESOLVES)
    result = registry.resolve().send()
    assert result.error == ("NotResolvable" if state in (DRAFT, ARCHIVED) else None)
    if state == DEPRECATED:
        assert [name for name, _ in result.events] == ["MarketResolved"]


def test_a_role_acts_only_in_its_own_instructions(registry):
    registry.active()
    registry.chain.at(RESOLVES)
    registry.create_market("B").with_accounts(registrar=registry.admin).fails("Unauthorized")
    registry.set_state(PAUSED).with_accounts(authority=registry.admin).fails("Unauthorized")
    registry.resolve().with_accounts(resolver=registry.registrar).fails("Unauthorized")
    registry.create_catalog(b"x".ljust(16, b"\0")).with_accounts(admin=registry.registrar).fails("Unauthorized")
