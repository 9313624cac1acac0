"""Events as rows: which thing an event is about, and its fields as JSON and back."""

import base64
from typing import Any, NamedTuple

import msgspec
from m0chain import accounts, event_types
from m0chain.idl import ORACLE, REGISTRY
from solders.pubkey import Pubkey

MARKET_ACCOUNT = "MarketAccount"
EPOCH_ACCOUNT = "EpochAccount"
"""Not events of the programs: an account as read by reconciliation, from which the fold goes on."""

_TYPES: dict[tuple[str, str], type[msgspec.Struct]] = {
    (program, name): kind for program, kinds in event_types.BY_PROGRAM.items() for name, kind in kinds.items()
} | {(REGISTRY, MARKET_ACCOUNT): accounts.Market, (ORACLE, EPOCH_ACCOUNT): accounts.Epoch}


class Event(NamedTuple):
    """A stored event. `program` is the IDL's name, `commitment` confirmed or finalized."""

    program: str
    name: str
    signature: str
    slot: int
    block_ms: int | None
    commitment: str
    event: msgspec.Struct


def entity(event: msgspec.Struct) -> str:
    """The thing whose row the event changes."""
    match event:
        case event_types.MarketCreated() | event_types.MarketStateChanged() | event_types.MarketResolved():
            return f"market:{event.market_key.hex()}"
        case accounts.Market():
            return f"market:{event.market_key.hex()}"
        case (
            event_types.EpochOpened()
            | event_types.Committed()
            | event_types.Revealed()
            | event_types.EpochFinalized()
            | event_types.EpochExpired()
            | event_types.EpochClosed()
            | accounts.Epoch()
        ):
            return epoch_entity(event.catalog, event.epoch_id)
        case event_types.SignerSetCreated() | event_types.SignerSetRetired():
            return f"signer_set:{event.id}"
        case event_types.CatalogCreated() | event_types.CatalogSignerSetChanged():
            return f"catalog:{event.catalog}"
        case _:
            return "program"


def epoch_entity(catalog: str, epoch_id: int) -> str:
    """The entity of an epoch."""
    return f"epoch:{catalog}:{epoch_id}"


def to_json(event: msgspec.Struct) -> dict[str, Any]:
    """Fields for a jsonb column: keys base58, bytes base64. A NUL, which Postgres cannot hold, becomes U+FFFD."""
    body: dict[str, Any] = _clean(msgspec.to_builtins(event, enc_hook=_encode))
    return body


def from_json(program: str, name: str, body: dict[str, Any]) -> msgspec.Struct:
    """The event that `to_json` was given."""
    found: msgspec.Struct = msgspec.convert(body, _TYPES[program, name], dec_hook=_decode)
    return found


def _encode(value: object) -> str:
    if isinstance(value, Pubkey):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} in an event")


def _decode(kind: type, value: object) -> object:
    if kind is Pubkey and isinstance(value, str):
        return Pubkey.from_string(value)
    raise NotImplementedError(f"{kind.__name__} in an event")


def _clean(value: object) -> Any:  # JSON
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_clean(v) for v in value]
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
