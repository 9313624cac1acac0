"""Programs: deployment, upgrade, authority, closing; calls of the token programs; the units they cost."""

import base64

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
SYSTEM = Pubkey.default()
# Compute units measured on solana-test-validator 4.0.0; localnet must charge the very same.
MEMO_UNITS = 274
UPGRADE_UNITS = 2370
CLOSE_UNITS = 2370
SIGNED_MEMO_UNITS = 500


async def test_a_program_is_deployed_called_upgraded_and_closed(chain, programs, kit):
    payer = await chain.funded(20 * kit.SOL)
    program, data = await chain.deploy(payer, programs["memo"], room=len(programs["token_accounts"]))
    key = program.pubkey()
    shown = chain.account(key)
    assert shown["executable"] is True
    assert shown["owner"] == str(kit.UPGRADEABLE_LOADER)
    assert base64.b64decode(shown["data"][0]) == (2).to_bytes(4, "little") + bytes(data)
    stored = chain.data(data)
    assert stored[12:13] + stored[13:45] == b"\1" + bytes(payer.pubkey())
    assert stored[45 : 45 + len(programs["memo"])] == programs["memo"]

    hello = Instruction(key, b"hello", [])
    told = await chain.ok([hello], [payer])
    assert f"Program {key} success" in told["meta"]["logMessages"]
    assert told["meta"]["computeUnitsConsumed"] == MEMO_UNITS

    # Upgrade: the same call now reaches other code.
    buffer = await chain.buffer(payer, programs["token_accounts"])
    upgrade = chain.upgrade(payer.pubkey(), key, buffer.pubkey(), payer.pubkey())
    told = await chain.ok([upgrade], [payer])
    assert told["meta"]["computeUnitsConsumed"] == UPGRADE_UNITS
    assert chain.account(buffer.pubkey()) is None
    await chain.next_slots(2)
    error = chain.try_send(chain.sign([hello], [payer]))
    assert error["data"]["err"] == {"InstructionError": [0, "InvalidInstructionData"]}

    # Another authority takes over; the old one may no longer upgrade.
    heir = await chain.funded()
    hand_over = kit.loader(4, b"", kit.w(data), kit.r(payer.pubkey(), signer=True), kit.r(heir.pubkey()))
    await chain.ok([hand_over], [payer])
    assert chain.data(data)[13:45] == bytes(heir.pubkey())
    buffer = await chain.buffer(payer, programs["memo"])
    late = chain.upgrade(payer.pubkey(), key, buffer.pubkey(), payer.pubkey())
    assert chain.try_send(chain.sign([late], [payer]))["data"]["err"] == {"InstructionError": [0, "IncorrectAuthority"]}

    # Close: lamports come back and the program is no longer callable.
    held = chain.balance(data)
    before = chain.balance(heir.pubkey())
    close = kit.loader(5, b"", kit.w(data), kit.w(heir.pubkey()), kit.r(heir.pubkey(), signer=True), kit.w(key))
    told = await chain.ok([close], [heir])
    assert told["meta"]["computeUnitsConsumed"] == CLOSE_UNITS
    assert chain.balance(heir.pubkey()) == before + held - 5000
    assert chain.account(data) is None
    await chain.next_slots(2)
    assert chain.try_send(chain.sign([hello], [payer]))["code"] == -32002


async def test_code_the_verifier_rejects_is_not_deployed(chain, payer):
    buffer = await chain.buffer(payer, b"\x7fELF" + bytes(200))
    program = Keypair()
    data = Pubkey.find_program_address(
        [bytes(program.pubkey())], Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
    )[0]
    loader_id = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=program.pubkey(), lamports=chain.rent(36), space=36, owner=loader_id
        )
    )
    go = Instruction(
        loader_id,
        (2).to_bytes(4, "little") + (204).to_bytes(8, "little"),
        [
            AccountMeta(payer.pubkey(), True, True),
            AccountMeta(data, False, True),
            AccountMeta(program.pubkey(), False, True),
            AccountMeta(buffer.pubkey(), False, True),
            AccountMeta(Pubkey.from_string("SysvarRent111111111111111111111111111111111"), False, False),
            AccountMeta(Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"), False, False),
            AccountMeta(SYSTEM, False, False),
            AccountMeta(payer.pubkey(), True, False),
        ],
    )
    error = chain.try_send(chain.sign([create, go], [payer, program]))
    assert error["data"]["err"] == {"InstructionError": [1, "InvalidAccountData"]}


@pytest.mark.parametrize(("length", "units"), [(1, 274), (32, 287), (500, 700)])
async def test_the_same_call_of_the_same_code_costs_the_same_units(
    chain, programs, deployed_memo, payer, length, units
):
    told = await chain.ok([Instruction(deployed_memo, b"x" * length, [])], [payer])
    assert told["meta"]["computeUnitsConsumed"] == units
    fixed = Instruction(deployed_memo, b"x", [AccountMeta(payer.pubkey(), True, False)])
    told = await chain.ok([fixed], [payer])
    assert told["meta"]["computeUnitsConsumed"] == SIGNED_MEMO_UNITS


@pytest.fixture(scope="session")
def memo_address():
    return {}


@pytest.fixture
async def deployed_memo(chain, programs, memo_address):
    """One deployment per target."""
    if chain.name not in memo_address:
        program, _ = await chain.deploy(await chain.funded(), programs["memo"])
        memo_address[chain.name] = program.pubkey()
    return memo_address[chain.name]


async def test_tokens_are_minted_moved_and_told_as_balances(chain, payer, kit):
    mint, other = Keypair(), Keypair().pubkey()

    def ata(owner: Pubkey) -> Pubkey:
        return Pubkey.find_program_address([bytes(owner), bytes(TOKEN), bytes(mint.pubkey())], ATA)[0]

    def make(owner: Pubkey) -> Instruction:
        accounts = [kit.w(payer.pubkey(), signer=True), kit.w(ata(owner)), kit.r(owner), kit.r(mint.pubkey())]
        return Instruction(ATA, b"\0", [*accounts, kit.r(SYSTEM), kit.r(TOKEN)])

    create = create_account(
        CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=mint.pubkey(), lamports=chain.rent(82), space=82, owner=TOKEN
        )
    )
    init = Instruction(TOKEN, bytes([20, 6]) + bytes(payer.pubkey()) + b"\0", [kit.w(mint.pubkey())])
    await chain.ok([create, init], [payer, mint])
    told = await chain.ok([make(payer.pubkey()), make(other)], [payer])
    inner = told["meta"]["innerInstructions"]
    assert [group["index"] for group in inner] == [0, 1]
    mine, theirs = ata(payer.pubkey()), ata(other)
    mint_to = Instruction(
        TOKEN,
        bytes([7]) + (5_000_000).to_bytes(8, "little"),
        [kit.w(mint.pubkey()), kit.w(mine), kit.r(payer.pubkey(), signer=True)],
    )
    await chain.ok([mint_to], [payer])
    move = Instruction(
        TOKEN,
        bytes([3]) + (1_250_000).to_bytes(8, "little"),
        [kit.w(mine), kit.w(theirs), kit.r(payer.pubkey(), signer=True)],
    )
    told = await chain.ok([move], [payer])
    meta = told["meta"]
    keys = told["transaction"]["message"]["accountKeys"]
    assert str(mint.pubkey()) not in keys  # the node reads the mint itself to tell decimals
    before = {keys[b["accountIndex"]]: b["uiTokenAmount"]["amount"] for b in meta["preTokenBalances"]}
    assert before == {str(mine): "5000000", str(theirs): "0"}
    assert {b["owner"] for b in meta["preTokenBalances"]} == {str(payer.pubkey()), str(other)}
    assert {(b["mint"], b["programId"]) for b in meta["preTokenBalances"]} == {(str(mint.pubkey()), str(TOKEN))}
    after = {keys[b["accountIndex"]]: b["uiTokenAmount"] for b in meta["postTokenBalances"]}
    assert after[str(mine)] == {"amount": "3750000", "decimals": 6, "uiAmount": 3.75, "uiAmountString": "3.75"}
    assert after[str(theirs)]["uiAmountString"] == "1.25"
    confirmed = {"commitment": "confirmed"}
    balance = chain.result("getTokenAccountBalance", str(mine), confirmed)["value"]
    assert balance == after[str(mine)]
    supply = chain.result("getTokenSupply", str(mint.pubkey()), confirmed)["value"]
    assert supply == {"amount": "5000000", "decimals": 6, "uiAmount": 5.0, "uiAmountString": "5"}
    owned = chain.result(
        "getTokenAccountsByOwner", str(other), {"mint": str(mint.pubkey())}, {**confirmed, "encoding": "base64"}
    )["value"]
    assert [row["pubkey"] for row in owned] == [str(theirs)]
    largest = chain.result("getTokenLargestAccounts", str(mint.pubkey()), confirmed)["value"]
    assert [row["address"] for row in largest] == [str(mine), str(theirs)]
    assert chain.error("getTokenAccountBalance", str(payer.pubkey()), confirmed)["code"] == -32602
