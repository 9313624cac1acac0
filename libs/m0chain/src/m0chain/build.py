"""An instruction from its IDL entry: accounts by name, arguments by name, flags from the IDL."""

from collections.abc import Mapping
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from m0chain.errors import DecodeError
from m0chain.idl import Idl


def build(
    idl: Idl, program: Pubkey, name: str, accounts: Mapping[str, Pubkey], args: Mapping[str, Any] | None = None
) -> Instruction:
    """The instruction `name`; accounts with a fixed address (the system program) need not be given.

    Raises DecodeError when an account is missing or unknown, or an argument does not fit its type.
    """
    spec = idl.instructions[name]
    unknown = set(accounts) - {a.name for a in spec.accounts}
    if unknown:
        raise DecodeError(f"{idl.name}.{name} has no account {', '.join(sorted(unknown))}")
    metas = []
    for account in spec.accounts:
        fixed = None if account.address is None else Pubkey.from_string(account.address)
        key = accounts.get(account.name, fixed)
        if key is None:
            raise DecodeError(f"{idl.name}.{name}: account {account.name} is missing")
        metas.append(AccountMeta(key, is_signer=account.signer, is_writable=account.writable))
    return Instruction(program, idl.encode_args(name, args or {}), metas)
