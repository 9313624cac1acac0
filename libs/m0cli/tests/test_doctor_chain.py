"""The boxes that look at the chain, on one with the real programs; its signers do what each test says."""

import asyncio
from functools import partial

import pytest
from doctor_world import CATALOG, OnChain, epoch_json, market_json, page, served, site
from m0chain import pda
from m0chain.accounts import epoch as decode_epoch
from m0chain.spending import DAY_S, Balance, Spending, spending, spent
from m0cli.doctor.asking import chain_of
from m0cli.doctor.boxes import BOXES
from m0cli.doctor.funds import Payer, judged, signers_funded
from m0cli.doctor.indexing import indexer_caught_up
from m0cli.doctor.onchain import on_chain
from m0cli.doctor.repeats import _again, replay_protection
from m0cli.doctor.rounds import commit_reveal, finalization
from m0cli.doctor.run import looked
from m0common.settings import Settings
from m0local.testing import chain_node
from msgspec.structs import replace
from solders.keypair import Keypair

pytestmark = [pytest.mark.loopback, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("doctor")
    with chain_node(home / "chain") as url:
        made = OnChain(url, home)
        asyncio.run(made.provision())
        with served({"/v1/markets": page(market_json()), "/v1/epochs": page()}) as api:
            made.api = api
            yield made


def on(world, **changed):
    settings = Settings.model_validate({"catalogs": {CATALOG: {}}})
    told = {"settings": settings, "oracle": str(world.oracle.program), "registry": str(world.keys.registry.pubkey())}
    return site(**({"api": world.api.url, "rpc": world.url} | told | changed))


async def test_before_the_first_epoch_rounds_fail_and_what_needs_one_is_not_applicable(world):
    verdict = await commit_reveal(on(world))
    assert (verdict.ok, "was not opened" in verdict.evidence) == (False, True)
    assert (await finalization(on(world))).ok is False
    assert (await indexer_caught_up(on(world))).ok is None
    assert (await replay_protection(on(world))).ok is None


async def test_where_no_market_is_open_nothing_has_to_be_voted_on(world):
    world.api.answers["/v1/markets"] = page()
    try:
        assert (await commit_reveal(on(world))).ok is None
        assert (await finalization(on(world))).ok is None
    finally:
        world.api.answers["/v1/markets"] = page(market_json())


async def test_two_epochs_go_their_way(world):
    second = await world.newest_over()
    first = second - 1
    await world.commit(first)
    again = await replay_protection(on(world))
    assert (again.ok, "is refused with AlreadyCommitted (6111)" in again.evidence) == (True, True)
    await world.reveal(first, 3)
    assert (await commit_reveal(on(world))).ok is False  # one is not two
    await world.commit(second)
    world.final = await world.reveal(second, 2)
    verdict = await commit_reveal(on(world))
    silent = world.signers[2].public_key
    assert verdict.ok, verdict.evidence
    assert f"{first} 3 of 3, {second} 2 of 3 (without {silent})" in verdict.evidence
    again = await replay_protection(on(world))
    assert (again.ok, "WrongStatus (6109)" in again.evidence) == (True, True)


async def test_without_an_api_rounds_are_judged_by_the_chain_alone(world):
    assert (await commit_reveal(on(world, api="http://127.0.0.1:1"))).ok
    box = next(box for box in BOXES if box.name == "finalization")
    verdict = await looked(box, on(world, api="http://127.0.0.1:1"))
    assert (verdict.ok, "M0_API_BASE" in verdict.evidence) == (False, True)


async def test_the_index_is_behind_while_it_lacks_what_the_chain_has(world):
    verdict = await indexer_caught_up(on(world, wait_s=20.0))
    assert (verdict.ok, "the API's newest final epoch is none" in verdict.evidence) == (False, True)
    world.api.answers["/v1/epochs"] = page(epoch_json(world.final.epoch_id, world.final))
    assert (await indexer_caught_up(on(world))).ok


async def test_an_api_that_shows_another_bundle_is_named(world):
    world.api.answers["/v1/epochs"] = page(epoch_json(world.final.epoch_id))
    verdict = await finalization(on(world, wait_s=1.0))
    assert (verdict.ok, world.final.bundle_hash.hex() in verdict.evidence) == (False, True)
    world.api.answers["/v1/epochs"] = page(epoch_json(world.final.epoch_id, world.final))
    verdict = await looked(next(box for box in BOXES if box.name == "finalization"), on(world))
    assert (verdict.ok, "a proof of no market" in verdict.evidence) == (False, True)


async def test_a_commitment_that_the_program_would_take_is_said(world):
    opened = world.final.epoch_id
    async with chain_of(on(world)) as chain:
        at = (await on_chain(chain, [CATALOG]))[0]
        # what stands in an epoch that is open, of a signer who has not committed to it
        fresh = await world.newest_over()
        await world.open(fresh)
        account = await chain.client.account(pda.epoch(chain.oracle, CATALOG, fresh))
        epoch = decode_epoch(account.data)
        verdict = await _again(chain, at, replace(epoch, committed=1, commitments=[b"x" * 32] * 3))
    assert fresh > opened
    assert (verdict.ok, "would be taken a second time" in verdict.evidence) == (False, True)


async def test_a_node_of_another_chain_is_no_node_of_the_deployment(world):
    for box in BOXES:
        if box.name in {"indexer_caught_up", "commit_reveal", "finalization", "replay_protection", "signers_funded"}:
            verdict = await looked(box, on(world, genesis_hash="ab" * 32))
            assert (verdict.ok, "genesis hash" in verdict.evidence) == (False, True), (box.name, verdict.evidence)


async def test_a_program_that_is_not_there_is_named(world):
    other = str(Keypair().pubkey())
    for look in (commit_reveal, replay_protection):
        verdict = await looked(BOXES[0]._replace(look=partial(look)), on(world, oracle=other))
        assert (verdict.ok, f"not on chain under program {other}" in verdict.evidence) == (False, True)


async def test_who_pays_is_found_on_chain_and_has_enough(world):
    verdict = await signers_funded(on(world))
    assert verdict.ok, verdict.evidence
    assert verdict.evidence.startswith("5 payers, ")
    async with world.client() as client:
        now_s = (await client.chain_time()).unix_ms // 1000
        said = await spending(client, world.signers[0].public_key, now_s)
    # fees of two commits and two reveals, over a day
    assert (said.spent, said.over_s) == (4 * 5000, DAY_S)
    unknown = await looked(BOXES[-1], on(world, registry=str(Keypair().pubkey())))
    assert (unknown.ok, "M0_REGISTRY_PROGRAM_ID" in unknown.evidence) == (False, True)


def test_days_are_measured_from_what_was_spent_and_not_from_what_was_sent():
    day = int(DAY_S)
    assert spent([Balance(0, 100), Balance(day, 90)], begins=False).days_left == 9
    assert spent([Balance(0, 100), Balance(60, 90)], begins=True).days_left == 9
    topped_up = [Balance(0, 100), Balance(day, 90), Balance(2 * day, 1090), Balance(3 * day, 1080)]
    assert spent(topped_up, begins=False).days_left == 108
    assert spent([Balance(0, 100), Balance(day, 100)], begins=False).days_left is None


def test_little_is_a_warning_and_less_is_a_fault():
    key = Keypair().pubkey()

    def of(days):
        spends, idles = Spending(int(days * 1000), 1000, DAY_S), Spending(9, 0, 1)
        return {Payer("signer", key): spends, Payer("resolver", key): idles}

    assert (judged(of(20)).ok, "WARNING" in judged(of(20)).evidence) == (True, False)
    assert (judged(of(10)).ok, f"WARNING: signer {key} has" in judged(of(10)).evidence) == (True, True)
    assert (judged(of(2.9)).ok, "send it SOL" in judged(of(2.9)).evidence) == (False, True)
    assert judged({Payer("signer", key): Spending(0, 0, 1)}).ok is False
