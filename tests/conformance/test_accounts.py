"""Reading accounts: encodings, slices, filters, commitment."""

import asyncio
import base64

import base58
import pytest
import zstandard
from solana.rpc.commitment import Confirmed
from solana.rpc.models import DataSliceOpts, MemcmpOpts
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
CONTEXT = {"apiVersion", "slot"}


def pay(sender, to, lamports):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


async def owned_account(chain, payer, owner, space) -> Pubkey:
    key = Keypair()
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=key.pubkey(), lamports=chain.rent(space), space=space, owner=owner
        )
    )
    await chain.ok([create], [payer, key])
    return key.pubkey()


async def test_an_account_is_shown_with_its_owner_size_and_rent_epoch(chain, payer):
    reply = chain.result("getAccountInfo", str(payer.pubkey()), {"commitment": "confirmed", "encoding": "base64"})
    assert set(reply["context"]) == CONTEXT
    assert reply["value"] == {
        "data": ["", "base64"],
        "executable": False,
        "lamports": 10**10,
        "owner": "11111111111111111111111111111111",
        "rentEpoch": 2**64 - 1,
        "space": 0,
    }
    assert chain.account(Keypair().pubkey()) is None


async def test_data_comes_in_every_encoding(chain, payer, programs):
    buffer = (await chain.buffer(payer, programs["memo"])).pubkey()
    raw = chain.data(buffer)
    assert raw[37:] == programs["memo"]
    sliced = {"dataSlice": {"offset": 4, "length": 33}}

    def data(**options):
        return chain.account(buffer, **options)["data"]

    assert data(encoding="base64", **sliced) == [base64.b64encode(raw[4:37]).decode(), "base64"]
    assert data(encoding="base58", **sliced) == [base58.b58encode(raw[4:37]).decode(), "base58"]
    packed, name = data(encoding="base64+zstd")
    assert name == "base64+zstd"
    assert zstandard.ZstdDecompressor().decompressobj().decompress(base64.b64decode(packed)) == raw
    legacy = chain.result("getAccountInfo", str(buffer), {"commitment": "confirmed", **sliced})["value"]["data"]
    assert legacy == base58.b58encode(raw[4:37]).decode()
    assert data(encoding="base64", dataSlice={"offset": len(raw) + 5, "length": 3}) == ["", "base64"]
    assert chain.account(buffer, **sliced)["space"] == len(raw)
    error = chain.error("getAccountInfo", str(buffer), {"commitment": "confirmed", "encoding": "base58"})
    assert error["code"] == -32600


async def test_data_nobody_can_parse_is_shown_in_base64(chain, payer):
    key = await owned_account(chain, payer, Keypair().pubkey(), 20)
    assert chain.account(key, encoding="jsonParsed")["data"] == [base64.b64encode(bytes(20)).decode(), "base64"]


async def test_several_accounts_come_in_the_order_asked(chain, payer):
    missing = Keypair().pubkey()
    keys = [str(missing), str(payer.pubkey()), "11111111111111111111111111111111", str(payer.pubkey())]
    value = chain.result("getMultipleAccounts", keys, {"commitment": "confirmed", "encoding": "base64"})["value"]
    assert value[0] is None
    assert value[1] == value[3]
    assert value[1]["lamports"] == 10**10
    assert value[2]["executable"] is True
    assert chain.result("getMultipleAccounts", [])["value"] == []
    async with chain.client() as client:
        typed = (await client.get_multiple_accounts([missing, payer.pubkey()], Confirmed)).value
        assert typed[0] is None
        assert typed[1].lamports == 10**10


async def test_program_accounts_are_filtered_by_size_and_content(chain, payer):
    owner = Keypair().pubkey()
    small, large = await owned_account(chain, payer, owner, 8), await owned_account(chain, payer, owner, 20)

    def keys(*filters, **options):
        config = {"commitment": "confirmed", "encoding": "base64", "filters": list(filters), **options}
        return {row["pubkey"] for row in chain.result("getProgramAccounts", str(owner), config)}

    zeros = base58.b58encode(bytes(10)).decode()
    assert keys() == {str(small), str(large)}
    assert keys({"dataSize": 8}) == {str(small)}
    assert keys({"memcmp": {"offset": 5, "bytes": zeros}}) == {str(large)}
    assert keys({"memcmp": {"offset": 5, "bytes": base64.b64encode(bytes(10)).decode(), "encoding": "base64"}}) == {
        str(large)
    }
    assert keys({"memcmp": {"offset": 0, "bytes": "2"}}) == set()
    assert keys({"dataSize": 20}, {"memcmp": {"offset": 0, "bytes": "1"}}) == {str(large)}
    config = {"commitment": "confirmed", "encoding": "base64", "withContext": True}
    reply = chain.result("getProgramAccounts", str(owner), {**config, "dataSlice": {"offset": 0, "length": 2}})
    assert set(reply["context"]) == CONTEXT
    assert {row["account"]["data"][0] for row in reply["value"]} == {base64.b64encode(bytes(2)).decode()}
    async with chain.client() as client:
        typed = await client.get_program_accounts(
            owner,
            commitment=Confirmed,
            encoding="base64",
            data_slice=DataSliceOpts(offset=0, length=4),
            filters=[20, MemcmpOpts(offset=0, bytes="1")],
        )
        assert [row.pubkey for row in typed.value] == [large]
        assert typed.value[0].account.data == bytes(4)


async def test_commitment_advances_from_processed_to_confirmed_to_finalized(chain, payer):
    to = Keypair().pubkey()
    tx = chain.sign([pay(payer, to, 10**8)], [payer])
    signature = chain.send(tx)
    seen = []
    levels = ["finalized", "confirmed", "processed"]
    for _ in range(1200):  # a minute, as `Chain.wait` gives a validator on a busy machine
        reached = {level for level in levels if chain.balance(to, level)}
        if not seen or seen[-1] != reached:
            seen.append(reached)
        if "finalized" in reached:
            break
        await asyncio.sleep(0.05)
    assert set(levels) == seen[-1], seen
    # Who reached a level has those below it: each step only adds levels, in this order.
    for step in seen:
        assert step in (set(), {"processed"}, {"processed", "confirmed"}, set(levels)), seen
    assert {"processed", "confirmed"} in seen
    assert chain.status(signature)["confirmationStatus"] == "finalized"
    assert chain.status(signature)["confirmations"] is None


async def test_an_older_commitment_shows_the_older_state(chain, payer):
    to = Keypair().pubkey()
    await chain.ok([pay(payer, to, 10**8)], [payer])
    await chain.wait(
        chain.result("getSignaturesForAddress", str(to), {"commitment": "confirmed"})[0]["signature"], "finalized"
    )
    await chain.ok([pay(payer, to, 10**8)], [payer])
    old, new = chain.balance(to, "finalized"), chain.balance(to, "confirmed")
    assert (old, new) == (10**8, 2 * 10**8)


@pytest.mark.parametrize("size", [0, 1, 165, 10_000])
async def test_the_rent_minimum_is_agaves(chain, size):
    assert chain.rent(size) == (128 + size) * 6960
