"""Test-only methods that move the chain's clock; they exist only under ``--allow-admin``."""

from __future__ import annotations

from typing import Any

from m0localnet.errors import invalid_params
from m0localnet.node import Node
from m0localnet.rpc.registry import Params, method, wrong_type


def _state(node: Node) -> dict[str, int]:
    bank = node.bank
    return {"offset_seconds": bank.clock.offset, "slot": bank.running.number, "unix_timestamp": bank.clock.unix_time()}


def _integer(params: Params, name: str) -> int:
    value = params.get(0)
    if isinstance(value, dict):
        value = value.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, f"an integer or an object with {name}")
    return value


@method("m0_advanceClock", 1, 1, admin=True)
def advance_clock(node: Node, params: Params) -> Any:
    """Move the clock forward by ``{seconds}``."""
    seconds = _integer(params, "seconds")
    if seconds < 0:
        raise invalid_params(f"the chain's clock only goes forward; got {seconds} seconds")
    node.bank.move_clock(seconds)
    return _state(node)


@method("m0_setClock", 1, 1, admin=True)
def set_clock(node: Node, params: Params) -> Any:
    """Set the clock to ``{unix_timestamp}`` in seconds; from there it goes on with real time."""
    wanted = _integer(params, "unix_timestamp")
    if not 0 <= wanted < 2**62:
        raise invalid_params(f"unix_timestamp must lie in 0 .. 2^62, got {wanted}")
    node.bank.move_clock(wanted - node.bank.clock.unix_time())
    return _state(node)


@method("m0_clock", 0, 0, admin=True)
def clock(node: Node, _params: Params) -> Any:
    """Return the clock and its offset from real time."""
    return _state(node)
