"""Test-only methods that move the chain's time and set accounts; they exist only under ``--allow-admin``."""

from __future__ import annotations

from typing import Any, Final

from m0localnet import fixtures
from m0localnet.errors import AccountRefused, FixtureError, invalid_params
from m0localnet.node import Node
from m0localnet.rpc.registry import Params, method, wrong_type

MAX_WARP_MS: Final = 10 * 366 * 86_400_000


def _state(node: Node) -> dict[str, int]:
    bank = node.bank
    return {
        "offset_seconds": bank.clock.offset_ms // 1000,
        "slot": bank.running.number,
        "unix_timestamp": bank.clock.unix_time(),
    }


def _integer(params: Params, name: str) -> int:
    value = params.get(0)
    if isinstance(value, dict):
        value = value.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, f"an integer or an object with {name}")
    return value


@method("m0_advanceClock", 1, 1, admin=True)
def advance_clock(node: Node, params: Params) -> Any:
    """Move the clock forward by ``{seconds}``, and no slot with it."""
    seconds = _integer(params, "seconds")
    if seconds < 0:
        raise invalid_params(f"the chain's clock only goes forward; got {seconds} seconds")
    node.bank.move_clock(seconds * 1000)
    return _state(node)


@method("m0_setClock", 1, 1, admin=True)
def set_clock(node: Node, params: Params) -> Any:
    """Set the clock to ``{unix_timestamp}`` in seconds; from there it goes on with real time."""
    wanted = _integer(params, "unix_timestamp")
    if not 0 <= wanted < 2**53:
        raise invalid_params(f"unix_timestamp must lie in 0 .. 2^53, got {wanted}")
    node.bank.move_clock(wanted * 1000 - node.bank.clock.now_ms())
    return _state(node)


@method("m0_clock", 0, 0, admin=True)
def clock(node: Node, _params: Params) -> Any:
    """Return the clock and its offset from real time."""
    return _state(node)


@method("m0_warp", 1, 1, admin=True)
def warp(node: Node, params: Params) -> Any:
    """Move clock and slots forward together by ``{ms}``: the running slot ends, and one more for each slot length."""
    ms = _integer(params, "ms")
    if not 1 <= ms <= MAX_WARP_MS:
        raise invalid_params(f"a warp goes 1 to {MAX_WARP_MS} ms (ten years) forward, got {ms}")
    node.warp(ms)
    return _state(node)


@method("m0_setAccount", 2, 2, admin=True)
def set_account(node: Node, params: Params) -> Any:
    """Set an account to ``{lamports, data, owner, executable, rentEpoch}`` as ``getAccountInfo`` shows it, or null."""
    key, value = params.pubkey(0), params.get(1)
    try:
        node.bank.set_accounts({key: None if value is None else fixtures.read_account(value)})
    except (AccountRefused, FixtureError) as error:
        raise invalid_params(f"the account {key} is not set: {error}") from None
    return _state(node)
