"""The table of RPC methods and the reader of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.signature import Signature

from m0localnet.commitment import Commitment, parse_commitment
from m0localnet.encodings import ACCOUNT_ENCODINGS
from m0localnet.errors import (
    INVALID_PARAMS,
    RpcError,
    invalid_param,
    invalid_params,
    min_context_slot_not_reached,
)
from m0localnet.node import Node

API_VERSION: Final = "4.0.0"


def _described(value: Any) -> str:
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value}"'
    if value is None:
        return "null"
    return "sequence" if isinstance(value, list) else "map"


def wrong_type(value: Any, expected: str) -> RpcError:
    """Return the error for a parameter of another type than expected, worded as serde words it."""
    return invalid_params(f"Invalid params: invalid type: {_described(value)}, expected {expected}.")


class Params:
    """The positional parameters of one call with typed access; every reader raises :class:`RpcError` (-32602)."""

    __slots__ = ("values",)

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def get(self, index: int) -> Any:
        """Return a raw parameter, None when it is absent."""
        return self.values[index] if index < len(self.values) else None

    def text(self, index: int) -> str:
        """Return a string parameter."""
        value = self.get(index)
        if not isinstance(value, str):
            raise wrong_type(value, "a string")
        return value

    def unsigned(self, index: int, rust: str = "u64") -> int:
        """Return an integer parameter in the range of ``rust`` (a 64-bit unsigned type)."""
        return unsigned(self.get(index), rust)

    def pubkey(self, index: int) -> Pubkey:
        """Return an address parameter."""
        return pubkey(self.text(index))

    def signature(self, index: int) -> Signature:
        """Return a signature parameter."""
        return signature(self.text(index))

    def items(self, index: int, limit: int) -> list[Any]:
        """Return a list parameter of at most ``limit`` items."""
        value = self.get(index)
        if not isinstance(value, list):
            raise wrong_type(value, "a sequence")
        if len(value) > limit:
            raise invalid_params(f"Too many inputs provided; max {limit}")
        return value

    def config(self, index: int, rust: str = "struct RpcContextConfig") -> Config:
        """Return the options object at ``index``, an empty one when absent."""
        value = self.get(index)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise wrong_type(value, rust)
        return Config(value)


class Config:
    """The options object of a call."""

    __slots__ = ("raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    def get(self, name: str) -> Any:
        """Return a raw option."""
        return self.raw.get(name)

    def flag(self, name: str) -> bool:
        """Return a boolean option, False when absent."""
        value = self.raw.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise wrong_type(value, "a boolean")

    def unsigned(self, name: str) -> int | None:
        """Return an integer option."""
        value = self.raw.get(name)
        return None if value is None else unsigned(value, "u64")

    @property
    def commitment(self) -> Commitment:
        """The commitment asked for; finalized when absent."""
        return parse_commitment(self.raw.get("commitment"))

    def account_encoding(self, default: str = "binary") -> str:
        """Return the encoding for account data."""
        value = self.raw.get("encoding")
        if value is None:
            return default
        if value not in ACCOUNT_ENCODINGS:
            names = ", ".join(f"`{name}`" for name in ACCOUNT_ENCODINGS)
            raise invalid_params(f"Invalid params: unknown variant `{value}`, expected one of {names}.")
        return str(value)

    def data_slice(self) -> tuple[int, int] | None:
        """Return (offset, length) of the data wanted."""
        value = self.raw.get("dataSlice")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise wrong_type(value, "struct UiDataSliceConfig")
        return unsigned(value.get("offset"), "usize"), unsigned(value.get("length"), "usize")

    def slot(self, node: Node, commitment: Commitment | None = None) -> int:
        """Return the slot to read at; raises when ``minContextSlot`` lies beyond it."""
        slot = node.bank.slot_at(self.commitment if commitment is None else commitment)
        minimum = self.unsigned("minContextSlot")
        if minimum is not None and slot < minimum:
            raise min_context_slot_not_reached(slot)
        return slot

    def history_commitment(self) -> Commitment:
        """Return the commitment of a method that reads history; raises for ``processed``."""
        if self.commitment is Commitment.PROCESSED:
            raise invalid_params("Method does not support commitment below `confirmed`")
        return self.commitment


def unsigned(value: Any, rust: str) -> int:
    """Check that ``value`` is an unsigned 64-bit integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, rust)
    if not 0 <= value < 2**64:
        raise invalid_params(f"Invalid params: invalid value: integer `{value}`, expected {rust}.")
    return value


def pubkey(value: Any) -> Pubkey:
    """Read a base58 address."""
    if not isinstance(value, str):
        raise wrong_type(value, "a string")
    try:
        return Pubkey.from_string(value)
    except ValueError as error:
        raise invalid_param("Invalid" if "Invalid" in str(error) else "WrongSize") from None


def signature(value: Any) -> Signature:
    """Read a base58 signature."""
    if not isinstance(value, str):
        raise wrong_type(value, "a string")
    try:
        return Signature.from_string(value)
    except ValueError as error:
        raise invalid_param("Invalid" if "Invalid" in str(error) else "WrongSize") from None


def blockhash(value: str) -> Hash:
    """Read a base58 blockhash."""
    try:
        return Hash.from_string(value)
    except (ValueError, ParseHashError) as error:
        raise invalid_params("Invalid" if "Invalid" in str(error) else "WrongSize") from None


def with_context(slot: int, value: Any) -> dict[str, Any]:
    """Wrap a value with the slot it was read at."""
    return {"context": {"apiVersion": API_VERSION, "slot": slot}, "value": value}


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC method: its function and how many parameters it takes."""

    call: Callable[[Node, Params], Any]
    least: int
    most: int
    admin: bool

    def __call__(self, node: Node, params: list[Any]) -> Any:
        """Check the number of parameters and run the method."""
        if len(params) < self.least:
            raise invalid_params(f"`params` should have at least {self.least} argument(s)")
        if len(params) > self.most:
            raise RpcError(
                INVALID_PARAMS,
                f"Invalid parameters: Expected from {self.least} to {self.most} parameters.",
                f'"Got: {len(params)}"',
            )
        return self.call(node, Params(params))


METHODS: Final[dict[str, Method]] = {}


def method(name: str, least: int, most: int, *, admin: bool = False) -> Callable[..., Callable[[Node, Params], Any]]:
    """Register a function as an RPC method taking ``least`` to ``most`` parameters."""

    def register(call: Callable[[Node, Params], Any]) -> Callable[[Node, Params], Any]:
        METHODS[name] = Method(call, least, most, admin)
        return call

    return register
