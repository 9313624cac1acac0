"""What `m0 programs` does to the upgradeable loader: the same of localnet and of a real node."""

from pathlib import Path

import pytest
from m0chain import ChainClient, Sender
from m0deploy.buffers import BufferWriter, chunks_of
from m0deploy.changes import Changes
from m0deploy.errors import DeployError
from m0deploy.loader import HEADROOM, MIN_GROWTH_BYTES, Loader
from m0deploy.loader_accounts import buffers, deployed
from solders.keypair import Keypair

CODE = (Path(__file__).parents[2] / "programs" / "deploy" / "m0_registry.so").read_bytes()


async def test_a_program_is_deployed_from_what_was_left_upgraded_extended_and_handed_over(chain, kit):
    admin, heir, program = await chain.funded(20 * kit.SOL), await chain.funded(20 * kit.SOL), Keypair()
    changes = Changes(lambda _: None, apply=True)
    async with ChainClient(chain.rpc_url) as client:
        writer = BufferWriter(client, Sender(client), admin)
        left = await writer._begin(len(CODE))
        blockhash = (await client.call(lambda c: c.get_latest_blockhash())).value.blockhash
        some = dict(list(chunks_of(CODE).items())[3:6])
        await writer._write(left, some, blockhash)
        assert await writer._missing(left, some) == {}
        assert [buffer.address for buffer in await buffers(client, admin.pubkey())] == [left]

        loader = Loader(client, admin, changes)
        needs = await loader.lamports(CODE, None)
        before = await client.balance(admin.pubkey())
        await loader.deploy("registry", program, CODE)
        assert await buffers(client, admin.pubkey()) == []
        found = await deployed(client, program.pubkey())
        assert found.executable
        assert found.runs(CODE)
        assert found.authority == admin.pubkey()
        assert before - await client.balance(admin.pubkey()) < needs + kit.SOL // 1000

        # more than there is room for, so that its account is extended first
        longer = CODE + b"\1" * (HEADROOM * len(CODE) - len(CODE) + 10)
        await loader.upgrade("registry", program.pubkey(), longer, found)
        found = await deployed(client, program.pubkey())
        assert found.runs(longer)
        assert len(found.code) == HEADROOM * len(CODE) + MIN_GROWTH_BYTES

        await loader.hand_over("registry", program.pubkey(), found, heir)
        found = await deployed(client, program.pubkey())
        assert found.authority == heir.pubkey()
        with pytest.raises(DeployError, match=f"upgraded by {heir.pubkey()} alone, not by {admin.pubkey()}"):
            await loader.upgrade("registry", program.pubkey(), CODE, found)
        await Loader(client, heir, changes).upgrade("registry", program.pubkey(), CODE, found)
        assert (await deployed(client, program.pubkey())).runs(CODE)

        await writer.hold(b"\1" * 2000)
        [buffer] = await buffers(client, admin.pubkey())
        before = await client.balance(admin.pubkey())
        await loader.close(buffer)
        assert await buffers(client, admin.pubkey()) == []
        assert await client.balance(admin.pubkey()) == before + buffer.lamports - 5000
