"""The one question a verifier asks a Solana node: these accounts, at finalized commitment."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from solders.pubkey import Pubkey

from m0client.errors import UNDECODABLE, RpcError

SYSTEM_PROGRAM = Pubkey.default()


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the node returned it."""

    owner: Pubkey
    data: bytes


class _Account(msgspec.Struct):
    data: tuple[str, str]
    owner: str


class _Context(msgspec.Struct):
    slot: Annotated[int, msgspec.Meta(ge=0)]


class _Result(msgspec.Struct):
    context: _Context
    value: list[_Account | None]


class _Answer(msgspec.Struct):
    result: _Result | None = None
    error: msgspec.Raw | None = None


_decoder = msgspec.json.Decoder(_Answer)


def accounts_request(addresses: Sequence[Pubkey]) -> bytes:
    """The JSON-RPC body of `getMultipleAccounts` at finalized commitment."""
    options = {"encoding": "base64", "commitment": "finalized"}
    params = [[str(address) for address in addresses], options]
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "getMultipleAccounts", "params": params})


def read_accounts(body: bytes, wanted: int) -> tuple[int, list[Account | None]]:
    """`(slot, accounts)` of the node's answer, None for an account that is not there (or closed).

    Raises RpcError when the node refused or answered something else.
    """
    try:
        answer = _decoder.decode(body)
    except UNDECODABLE as error:
        raise RpcError(f"the node's answer is not JSON-RPC: {error}") from error
    if answer.error is not None and bytes(answer.error) != b"null":
        raise RpcError(f"the node refused getMultipleAccounts: {bytes(answer.error).decode(errors='replace')}")
    if answer.result is None or len(answer.result.value) != wanted:
        raise RpcError(f"the node did not return the {wanted} accounts it was asked for")
    return answer.result.context.slot, [_account(each) for each in answer.result.value]


def _account(raw: _Account | None) -> Account | None:
    if raw is None:
        return None
    data, encoding = raw.data
    try:
        account = Account(Pubkey.from_string(raw.owner), base64.b64decode(data, validate=True))
    except (ValueError, binascii.Error) as error:
        raise RpcError(f"the node returned an account that cannot be read: {error}") from error
    if encoding != "base64":
        raise RpcError(f"the node returned account data as {encoding!r}: base64 was asked for")
    # anyone can send lamports to the address of a closed account: it is still closed
    return None if account.owner == SYSTEM_PROGRAM and not account.data else account
