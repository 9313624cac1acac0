"""Transactions, statuses and blocks of the past."""

import base64

import base58
import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, create_lookup_table, extend_lookup_table, transfer
from solders.transaction import VersionedTransaction

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


def pay(sender, to, lamports):
    return transfer(TransferParams(from_pubkey=sender.pubkey(), to_pubkey=to, lamports=lamports))


async def test_a_transaction_is_told_in_every_encoding(chain, payer):
    tx = chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer])
    signature = chain.send(tx)
    await chain.wait(signature, "confirmed", tx)
    raw = bytes(tx)
    assert chain.transaction(signature, encoding="base64")["transaction"] == [base64.b64encode(raw).decode(), "base64"]
    assert chain.transaction(signature, encoding="base58")["transaction"] == [base58.b58encode(raw).decode(), "base58"]
    told = chain.transaction(signature, encoding="json")
    message = told["transaction"]["message"]
    assert told["transaction"]["signatures"] == [signature]
    assert message["accountKeys"] == [str(key) for key in tx.message.account_keys]
    assert message["header"] == {
        "numReadonlySignedAccounts": 0,
        "numReadonlyUnsignedAccounts": 1,
        "numRequiredSignatures": 1,
    }
    assert message["recentBlockhash"] == str(tx.message.recent_blockhash)
    data = base58.b58encode(bytes(tx.message.instructions[0].data)).decode()
    assert message["instructions"] == [{"accounts": [0, 1], "data": data, "programIdIndex": 2, "stackHeight": 1}]
    assert told["version"] == "legacy"
    assert told["meta"]["loadedAddresses"] == {"readonly": [], "writable": []}
    assert told["meta"]["innerInstructions"] == []
    assert "returnData" not in told["meta"]
    parsed = chain.transaction(signature, encoding="jsonParsed")
    assert parsed["transaction"]["message"]["accountKeys"][0] == {
        "pubkey": str(payer.pubkey()),
        "signer": True,
        "source": "transaction",
        "writable": True,
    }
    assert parsed["transaction"]["message"]["instructions"][0]["programId"] == "11111111111111111111111111111111"
    assert "version" not in chain.result("getTransaction", signature, {"commitment": "confirmed"})


async def test_an_unknown_transaction_is_null(chain):
    assert chain.transaction(str(Keypair().sign_message(b"x"))) is None


async def test_signatures_of_an_address_are_paged_newest_first(chain, payer):
    to = Keypair().pubkey()
    sent = [await chain.land([pay(payer, to, 10**8 + i)], [payer]) for i in range(5)]
    newest_first = sent[::-1]

    def page(**options):
        rows = chain.result("getSignaturesForAddress", str(to), {"commitment": "confirmed", **options})
        return [row["signature"] for row in rows]

    assert page() == newest_first
    assert page(limit=2) == newest_first[:2]
    assert page(limit=2, before=newest_first[1]) == newest_first[2:4]
    assert page(until=newest_first[2]) == newest_first[:2]
    assert page(before=newest_first[0], until=newest_first[4]) == newest_first[1:4]
    assert page(before=newest_first[4]) == []
    walked, before = [], None
    while rows := page(limit=2, **({"before": before} if before else {})):
        walked += rows
        before = rows[-1]
    assert walked == newest_first
    [row] = chain.result("getSignaturesForAddress", str(to), {"commitment": "confirmed", "limit": 1})
    told = chain.transaction(row["signature"])
    assert row["slot"] == told["slot"]
    assert row["blockTime"] == told["blockTime"]
    assert (row["err"], row["memo"]) == (None, None)
    assert row["confirmationStatus"] in ("confirmed", "finalized")


async def test_failed_transactions_and_memos_are_listed(chain, payer):
    failed = await chain.land([pay(payer, Keypair().pubkey(), 10**15)], [payer], skip_preflight=True)
    memo = Instruction(MEMO, b"hi there", [AccountMeta(payer.pubkey(), True, True)])
    noted = await chain.land([memo], [payer])
    rows = chain.result("getSignaturesForAddress", str(payer.pubkey()), {"commitment": "confirmed", "limit": 2})
    by_signature = {row["signature"]: row for row in rows}
    assert by_signature[failed]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert by_signature[noted]["memo"] == "[8] hi there"


async def test_statuses_tell_slot_error_and_level(chain, payer):
    good = await chain.land([pay(payer, Keypair().pubkey(), 10**8)], [payer])
    bad = await chain.land([pay(payer, Keypair().pubkey(), 10**15)], [payer], skip_preflight=True)
    unknown = str(Keypair().sign_message(b"x"))
    value = chain.result("getSignatureStatuses", [bad, unknown, good])["value"]
    assert value[1] is None
    assert value[0]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert value[0]["status"] == {"Err": value[0]["err"]}
    assert value[2]["status"] == {"Ok": None}
    assert value[2]["slot"] == chain.transaction(good)["slot"]
    assert value[2]["confirmationStatus"] in ("confirmed", "finalized")
    searched = chain.result("getSignatureStatuses", [unknown, good], {"searchTransactionHistory": True})["value"]
    assert searched[0] is None
    assert searched[1]["slot"] == value[2]["slot"]
    async with chain.client() as client:
        typed = await client.get_signature_statuses([Signature.from_string(good)])
        assert typed.value[0].err is None


async def test_a_block_holds_its_transactions(chain, payer):
    signature = await chain.land([pay(payer, Keypair().pubkey(), 10**8)], [payer])
    slot = chain.transaction(signature)["slot"]
    config = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0}
    block = chain.result("getBlock", slot, config)
    found = [tx for tx in block["transactions"] if tx["transaction"]["signatures"][0] == signature]
    assert len(found) == 1
    assert found[0]["meta"]["err"] is None
    assert found[0]["version"] == "legacy"
    assert block["parentSlot"] == slot - 1
    assert block["blockTime"] == chain.result("getBlockTime", slot)
    parent = chain.result("getBlock", slot - 1, {**config, "transactionDetails": "none", "rewards": False})
    assert parent["blockhash"] == block["previousBlockhash"]
    assert "transactions" not in parent
    assert "rewards" not in parent
    listed = chain.result("getBlock", slot, {**config, "transactionDetails": "signatures"})
    assert signature in listed["signatures"]
    accounts = chain.result("getBlock", slot, {**config, "transactionDetails": "accounts"})
    [mine] = [tx for tx in accounts["transactions"] if tx["transaction"]["signatures"][0] == signature]
    assert mine["transaction"]["accountKeys"][0]["pubkey"] == str(payer.pubkey())
    assert set(mine["meta"]) == {
        "err", "fee", "postBalances", "postTokenBalances", "preBalances", "preTokenBalances", "rewards", "status",
    }  # fmt: skip


async def test_blocks_are_listed_by_range_and_by_limit(chain):
    confirmed = {"commitment": "confirmed"}
    newest = chain.result("getSlot", confirmed)
    assert chain.result("getBlocks", 1, 4, confirmed) == [1, 2, 3, 4]
    assert chain.result("getBlocks", 4, 1, confirmed) == []
    assert chain.result("getBlocks", newest + 1000, confirmed) == []
    open_ended = chain.result("getBlocks", newest - 1, confirmed)
    assert open_ended[:2] == [newest - 1, newest]
    assert chain.result("getBlocksWithLimit", 1, 3, confirmed) == [1, 2, 3]


async def test_lookup_tables_are_resolved_and_told(chain, payer):
    key, to = payer.pubkey(), Keypair().pubkey()
    slot = chain.result("getSlot", {"commitment": "confirmed"}) - 1
    create, table = create_lookup_table({"authority_address": key, "payer_address": key, "recent_slot": slot})
    extend = extend_lookup_table(
        {"lookup_table_address": table, "authority_address": key, "payer_address": key, "new_addresses": [to, MEMO]}
    )
    await chain.ok([create, extend], [payer])
    await chain.next_slots(2)
    tables = [AddressLookupTableAccount(table, [to, MEMO])]
    told = await chain.ok([pay(payer, to, 10**8)], [payer], v0=True, tables=tables)
    assert told["meta"]["loadedAddresses"] == {"readonly": [], "writable": [str(to)]}
    [lookup] = told["transaction"]["message"]["addressTableLookups"]
    assert lookup == {"accountKey": str(table), "readonlyIndexes": [], "writableIndexes": [0]}
    assert len(told["meta"]["postBalances"]) == 3
    assert chain.balance(to) == 10**8
    listed = chain.result("getSignaturesForAddress", str(to), {"commitment": "confirmed"})
    assert [row["signature"] for row in listed] == told["transaction"]["signatures"]
    unknown = [AddressLookupTableAccount(Keypair().pubkey(), [to])]
    error = chain.try_send(chain.sign([pay(payer, to, 10**8)], [payer], v0=True, tables=unknown))
    assert error["code"] in (-32602, -32002)


async def test_a_blockhash_is_valid_for_150_blocks(chain):
    latest = chain.result("getLatestBlockhash", {"commitment": "confirmed"})
    height = chain.result("getBlockHeight", {"commitment": "confirmed"})
    assert abs(latest["value"]["lastValidBlockHeight"] - 150 - height) <= 2
    asked = {"commitment": "confirmed"}
    assert chain.result("isBlockhashValid", latest["value"]["blockhash"], asked)["value"] is True
    assert chain.result("isBlockhashValid", str(Keypair().pubkey()), asked)["value"] is False


@pytest.mark.parametrize("method", ["getSlot", "getBlockHeight", "getTransactionCount"])
async def test_counters_grow_and_are_ordered_by_commitment(chain, method):
    def at(level):
        return chain.result(method, {"commitment": level})

    finalized, confirmed, processed = at("finalized"), at("confirmed"), at("processed")
    assert finalized <= confirmed <= processed
    await chain.next_slots(2)
    assert at("processed") >= processed


async def test_the_node_names_itself_and_its_epoch(chain):
    assert set(chain.result("getVersion")) == {"feature-set", "solana-core"}
    assert chain.result("getHealth") == "ok"
    Pubkey.from_string(chain.result("getIdentity")["identity"])
    Pubkey.from_string(chain.result("getGenesisHash"))
    assert chain.result("getFirstAvailableBlock") == 0
    assert chain.result("minimumLedgerSlot") == 0
    schedule = chain.result("getEpochSchedule")
    assert (schedule["slotsPerEpoch"], schedule["warmup"]) == (432_000, False)
    info = chain.result("getEpochInfo", {"commitment": "confirmed"})
    assert info["slotsInEpoch"] == 432_000
    assert info["absoluteSlot"] == info["slotIndex"]
    assert info["epoch"] == 0
    supply = chain.result("getSupply", {"excludeNonCirculatingAccountsList": True})["value"]
    assert supply["total"] == supply["circulating"] + supply["nonCirculating"] > 10**17
    assert isinstance(chain.result("getRecentPrioritizationFees"), list)
    async with chain.client() as client:
        assert await client.is_connected()
        await client.get_version()
        await client.get_epoch_info()
        await client.get_epoch_schedule()
        await client.get_identity()
        await client.get_genesis_hash()
        await client.get_supply()
        await client.get_cluster_nodes()
        await client.get_largest_accounts()
        await client.get_recent_prioritization_fees()
        await client.get_slot_leader()
        await client.get_vote_accounts()
        await client.get_transaction_count()
        await client.get_first_available_block()
        await client.get_minimum_ledger_slot()
        await client.get_blocks(0, 3)


async def test_the_wire_form_survives(chain, payer):
    tx = chain.sign([pay(payer, Keypair().pubkey(), 10**8)], [payer], v0=True)
    signature = chain.send(tx)
    await chain.wait(signature, "confirmed", tx)
    raw = base64.b64decode(chain.transaction(signature, encoding="base64")["transaction"][0])
    assert VersionedTransaction.from_bytes(raw) == tx
