"""What a chain begins with: programs and accounts that the command line names, and the mint of wrapped SOL."""

import base64

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")


async def test_programs_named_at_the_start_run(chain, payer, kit):
    begun = kit.Genesis
    for program, authority in ((begun.fixed, Pubkey.default()), (begun.upgradeable, begun.authority)):
        told = await chain.ok([Instruction(program, b"hello", [])], [payer])
        assert f"Program {program} success" in told["meta"]["logMessages"]
        data = kit.program_data(program)
        shown = chain.account(program)
        assert (shown["executable"], shown["owner"]) == (True, str(kit.UPGRADEABLE_LOADER))
        assert shown["lamports"] == chain.rent(36)
        assert base64.b64decode(shown["data"][0]) == (2).to_bytes(4, "little") + bytes(data)
        assert chain.data(data)[:45] == (3).to_bytes(4, "little") + bytes(8) + b"\1" + bytes(authority)
        assert chain.account(data)["lamports"] == chain.rent(len(chain.data(data)))


async def test_accounts_named_at_the_start_are_there(chain, kit):
    begun = kit.Genesis
    for key in (begun.named, begun.found):
        assert chain.account(key, commitment="finalized") == begun.account


async def test_wrapped_sol_has_its_mint(chain):
    shown = chain.account(NATIVE_MINT)
    assert base64.b64decode(shown["data"][0]) == bytes(44) + b"\x09\x01" + bytes(36)
    assert (shown["lamports"], shown["space"]) == (10**9, 82)
    assert chain.account(Keypair().pubkey()) is None
