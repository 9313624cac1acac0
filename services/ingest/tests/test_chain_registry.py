"""Markets on the real registry program, on the local chain."""

import asyncio
import pathlib
import sys

import pytest
from m0_ingest.listing import TOP_UP_LAMPORTS, ChainRegistry, NewMarket
from m0chain import ChainClient, ChainError, ProgramError, Registry, Timing, accounts, idl, pda
from m0chain.send import Sender
from m0deploy import keys as key_files
from m0deploy.changes import Changes
from m0deploy.loader import Loader
from m0deploy.site import Site
from m0local.ports import free_port

PROGRAM = pathlib.Path(__file__).parents[3] / "programs/deploy/m0_registry.so"
MARKET = NewMarket("sports", "FB_1", "eng.1", "A v B", ("HOME", "DRAW", "AWAY"), 1_000, 2_000)


@pytest.fixture
async def chain(tmp_path):
    """A chain with the registry deployed and the catalog `sports`; yields its client and keys."""
    port = free_port()
    command = [sys.executable, "-m", "m0localnet", "--rpc-port", str(port), "--ws-port", str(free_port())]
    with (tmp_path / "node.log").open("wb") as log:
        node = await asyncio.create_subprocess_exec(*command, "--ledger", tmp_path / "ledger", stdout=log, stderr=log)
    try:
        site = Site(tmp_path / "keys", tmp_path / "control", tmp_path / "record.json", PROGRAM.parent)
        key_files.ensure(site, 3)
        keys = key_files.read(site, 3)
        registry = Registry(keys.registry.pubkey())
        timing = Timing(poll_s=0.05, attempts=12)
        url = f"http://127.0.0.1:{port}"
        async with ChainClient(url, timing=timing, idls={registry.program: idl.registry()}) as client:
            admin = keys.admin.pubkey()
            await client.airdrop(admin, TOP_UP_LAMPORTS)
            changes = Changes(lambda _: None, apply=True)
            await Loader(client, keys.admin, changes).deploy("registry", keys.registry, PROGRAM.read_bytes())
            sender = Sender(client)
            roles = (keys.guardian.pubkey(), keys.registrar.pubkey(), keys.resolver.pubkey())
            root = registry.initialize_root(admin, admin, *roles)
            await sender.send([root, registry.create_catalog(admin, admin, "sports")], [keys.admin])
            yield client, keys
    finally:
        node.terminate()
        await asyncio.wait_for(node.wait(), 10)


async def test_a_market_is_created_active_once_and_found_afterwards(chain):
    client, keys = chain
    registry = ChainRegistry(client, Registry(keys.registry.pubkey()), keys.registrar, top_up=True)
    assert await registry.create(MARKET) is True
    assert await client.balance(keys.registrar.pubkey()) > TOP_UP_LAMPORTS // 2
    account = await client.account(pda.market(keys.registry.pubkey(), "FB_1"))
    market = accounts.market(account.data)
    assert (market.market_id, market.catalog, market.state) == ("FB_1", "sports", accounts.MarketState.ACTIVE)
    assert (market.opens_ms, market.resolves_after_ms, market.outcomes) == (1_000, 2_000, ["HOME", "DRAW", "AWAY"])
    assert await registry.create(MARKET) is False
    again = ChainRegistry(client, Registry(keys.registry.pubkey()), keys.registrar)
    others = [NewMarket("sports", f"FB_{i}", "eng.1", "A v B", ("A", "B"), 1, 2) for i in (1, 2, 3)]
    assert sorted(await asyncio.gather(*(again.create(market) for market in others))) == [False, True, True]
    with pytest.raises(ProgramError, match="InvalidTimes"):
        await again.create(NewMarket("sports", "FB_9", "eng.1", "A v B", ("A", "B"), 2, 1))


async def test_without_funds_and_without_a_top_up_listing_fails_with_the_reason(chain):
    client, keys = chain
    with pytest.raises(ChainError):
        await ChainRegistry(client, Registry(keys.registry.pubkey()), keys.registrar).create(MARKET)
