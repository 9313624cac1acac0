"""The client against a real chain: programs deployed, transactions confirmed, histories and subscriptions followed."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from m0chain import (
    ChainClient,
    Connection,
    EventParser,
    Fees,
    Oracle,
    ProgramError,
    Registry,
    RpcUnavailable,
    Sender,
    Subscriptions,
    Timing,
    TransactionFailed,
    accounts,
    event_types,
    idl,
    pda,
)
from m0deploy import keys as key_files
from m0deploy.accounts import Accounts, ChainCatalog
from m0deploy.changes import Changes
from m0deploy.loader import Loader
from m0deploy.site import Site
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer

SPORTS = ChainCatalog(epoch_ms=1000, commit_ms=60_000, reveal_ms=60_000, signer_set_id=1)

DEPLOYED = Path(__file__).parents[3] / "programs/deploy"
FAST = Timing(poll_s=0.05, attempts=3, first_wait_s=0.02, longest_wait_s=0.1)


class World:
    def __init__(self, localnet, keys):
        self.localnet, self.keys = localnet, keys
        self.oracle, self.registry = Oracle(keys.oracle.pubkey()), Registry(keys.registry.pubkey())
        self.next_epoch = None
        self.idls = {self.oracle.program: idl.oracle(), self.registry.program: idl.registry()}

    def changes(self):
        return Changes(lambda _: None, apply=True)

    def client(self, **options):
        return ChainClient(self.localnet.rpc_url, timing=FAST, idls=self.idls, **options)


@pytest.fixture(scope="module")
def world(localnet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    site = Site(folder / "keys", folder / "control", folder / "record.json", DEPLOYED)
    key_files.ensure(site, 3)
    made = World(localnet, key_files.read(site, 3))

    async def prepare():
        async with made.client() as client:
            changes = made.changes()
            setup, loader = Accounts(client, made.keys, changes), Loader(client, made.keys.admin, changes)
            await setup.fund(test_cluster=True)
            await asyncio.gather(
                loader.deploy("oracle", made.keys.oracle, (DEPLOYED / "m0_oracle.so").read_bytes()),
                loader.deploy("registry", made.keys.registry, (DEPLOYED / "m0_registry.so").read_bytes()),
            )
            await setup.roots()
            await setup.signer_set()
            await setup.catalogs({"sports": SPORTS})

    asyncio.run(prepare())
    return made


async def test_accounts_that_provisioning_made_decode(world):
    async with world.client() as client:
        found = await client.accounts(
            [
                pda.config(world.oracle.program),
                pda.catalog(world.oracle.program, "sports"),
                pda.signer_set(world.oracle.program, 1),
                pda.registry_root(world.registry.program),
                pda.catalog(world.registry.program, "sports"),
                pda.catalog(world.oracle.program, "nowhere"),
            ]
        )
        assert found[5] is None
        config, catalog, members, root, registered = (account.data for account in found[:5])
        assert accounts.config(config).registry_program == world.registry.program
        assert accounts.catalog(catalog).epoch_ms == 1000
        assert accounts.signer_set(members).keys == sorted(world.keys.signers.values(), key=bytes)
        assert accounts.root(root).registrar == world.keys.registrar.pubkey()
        assert accounts.registry_catalog(registered).active


async def test_provisioning_again_changes_nothing(world):
    async with world.client() as client:
        before = (await client.signatures_page(world.keys.admin.pubkey(), before=None, until=None, limit=1))[0]
        changes = world.changes()
        setup, loader = Accounts(client, world.keys, changes), Loader(client, world.keys.admin, changes)
        await setup.fund(test_cluster=True)
        await loader.deploy("oracle", world.keys.oracle, (DEPLOYED / "m0_oracle.so").read_bytes())
        await setup.roots()
        await setup.signer_set()
        await setup.catalogs({"sports": SPORTS})
        assert changes.said == []
        after = (await client.signatures_page(world.keys.admin.pubkey(), before=None, until=None, limit=1))[0]
        assert before == after


async def test_a_changed_program_is_upgraded_in_place_even_when_it_grew(world):
    program, registry = Keypair(), (DEPLOYED / "m0_registry.so").read_bytes()
    async with world.client() as client:
        changes = world.changes()
        loader = Loader(client, world.keys.admin, changes)
        bigger = (DEPLOYED / "m0_oracle.so").read_bytes()
        grown = bigger + bytes(2 * len(registry) - len(bigger) + 5000)
        for code in (registry, grown, grown, registry, registry):
            await loader.deploy("it", program, code)
        assert changes.said == [
            f"deploy program it as {program.pubkey()}, {len(registry)} bytes",
            f"upgrade program it, {program.pubkey()}, to {len(grown)} bytes",
            f"upgrade program it, {program.pubkey()}, to {len(registry)} bytes",
        ]


async def open_epoch(world, client, epoch_id):
    payer = world.keys.admin
    instruction = world.oracle.open_epoch(payer.pubkey(), "sports", epoch_id, 1)
    return await Sender(client, Fees(60_000, 1000)).send([instruction], [payer])


async def recent_epoch(world, client):
    """An epoch whose window is over and whose commit phase is not, another one at every call."""
    if world.next_epoch is None:
        world.next_epoch = (await client.chain_time()).unix_ms // 1000 - 30
    world.next_epoch += 1
    return world.next_epoch


async def test_a_transaction_lands_and_its_event_is_found_in_the_history(world):
    async with world.client() as client:
        epoch_id = await recent_epoch(world, client)
        landed = await open_epoch(world, client, epoch_id)
        record = await client.transaction(landed.signature)
        assert record.slot == landed.slot
        assert record.error is None
        parser = EventParser(world.oracle.program, world.registry.program)
        (logged,) = parser.parse(record.logs, record.programs).events
        assert logged.instruction == 2  # behind the two compute budget instructions
        assert isinstance(logged.event, event_types.EpochOpened)
        assert logged.event.epoch_id == epoch_id
        account = await client.account(pda.epoch(world.oracle.program, "sports", epoch_id))
        assert accounts.epoch(account.data).opener == world.keys.admin.pubkey()


async def test_a_program_error_is_named_with_its_instruction_and_logs(world):
    async with world.client() as client:
        epoch_id = await recent_epoch(world, client)
        await open_epoch(world, client, epoch_id)
        with pytest.raises(ProgramError) as caught:
            await open_epoch(world, client, epoch_id)
        assert (caught.value.name, caught.value.program, caught.value.instruction) == (
            "AlreadyInitialized",
            "m0_oracle",
            2,
        )
        assert any("failed" in line for line in caught.value.logs)


async def test_a_failure_that_is_not_a_program_error_is_named_too(world):
    poor = Keypair()
    async with world.client() as client:
        with pytest.raises(TransactionFailed) as caught:
            await Sender(client).send(
                [transfer(TransferParams(from_pubkey=poor.pubkey(), to_pubkey=poor.pubkey(), lamports=1))], [poor]
            )
        assert caught.value.cause in {"AccountNotFound", "InsufficientFundsForFee"}


async def test_history_is_paged_in_order_and_goes_on_after_a_known_signature(world):
    receiver = Keypair().pubkey()
    async with world.client() as client:
        sender, payer = Sender(client), world.keys.admin
        sent = []
        for lamports in range(7):
            instruction = transfer(
                TransferParams(from_pubkey=payer.pubkey(), to_pubkey=receiver, lamports=10**7 + lamports)
            )
            sent.append((await sender.send([instruction], [payer])).signature)
        everything = [info.signature async for info in client.signatures_since(receiver, limit=3)]
        assert everything == sent
        later = [info.signature async for info in client.signatures_since(receiver, sent[3], limit=2)]
        assert later == sent[4:]
        assert [info async for info in client.signatures_since(receiver, sent[-1])] == []


async def test_program_accounts_are_found_by_type_and_content(world):
    async with world.client() as client:
        discriminator = idl.oracle().accounts["SignerSet"]
        found = await client.program_accounts(world.oracle.program, discriminator, {10: (1).to_bytes(4, "little")})
        assert [accounts.signer_set(a.data).id for a in found] == [1]
        assert await client.program_accounts(world.oracle.program, discriminator, {10: (2).to_bytes(4, "little")}) == []
        (head,) = await client.program_accounts(world.oracle.program, discriminator, first_bytes=14)
        assert (head.address, head.data) == (found[0].address, found[0].data[:14])
        (bare,) = await client.program_accounts(world.oracle.program, discriminator, {10: b"\x01"}, first_bytes=0)
        assert (bare.address, bare.data) == (found[0].address, b"")


async def test_a_subscription_survives_the_node_and_says_when_to_backfill(world):
    localnet, seen = world.localnet, []
    if not localnet.durable:
        pytest.skip("the real test validator forgets its latest slots when it stops")

    async def listen():
        notices = Subscriptions(localnet.ws_url, pause_s=0.05).logs(world.oracle.program)
        async with contextlib.aclosing(notices):
            async for notice in notices:
                seen.append(notice)  # noqa: PERF401 - it never ends

    async def until(condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the subscription is watched
                await asyncio.sleep(0.02)

    task = asyncio.create_task(listen())
    try:
        await until(lambda: Connection.CONNECTED in seen)
        async with world.client() as client:
            landed = await open_epoch(world, client, await recent_epoch(world, client))
            await until(lambda: any(getattr(n, "signature", None) == landed.signature for n in seen))
            await asyncio.to_thread(localnet.kill)
            await asyncio.to_thread(localnet.start)
            await until(lambda: seen.count(Connection.CONNECTED) == 2)
            landed = await open_epoch(world, client, await recent_epoch(world, client))
            await until(lambda: any(getattr(n, "signature", None) == landed.signature for n in seen))
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_read_waits_for_a_node_that_is_down_and_gives_up_after_its_attempts(world):
    world.localnet.kill()
    try:
        async with world.client() as client:
            with pytest.raises(RpcUnavailable):
                await client.chain_time()
    finally:
        world.localnet.start()
