"""Hashes of events, of control events and of what was in force: see docs/protocol.md."""

import hashlib
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from m0common.canonical.roots import ZERO
from m0common.errors import InvalidValue

_EVENT_TAG = b"M0EVENT1"
_CONTROL_TAG = b"M0CONTROL1"
_CERT_TAG = b"M0KEYCERT1"
_SET_TAG = b"M0SET1"
_REBASE_TAG = b"M0REBASE1"
_CONFIG_TAG = b"M0CONFIG2"
_MANIFEST_TAG = b"M0MANIFEST2"


class LaneConfig(NamedTuple):
    """A lane named in a marker: its partition, its life and the hash of its last rebase (zero bytes: none)."""

    partition: int
    life: int
    rebase_hash: bytes


class LaneModel(NamedTuple):
    """A lane named in a marker: its partition, and the release and model that decided its leaves."""

    partition: int
    release: bytes
    model_key: bytes


_sha256 = hashlib.sha256
_u32 = struct.Struct("<I").pack
_numbers = struct.Struct("<qQI").pack


def event_id(
    source: str,
    source_event_id: str,
    group: str,
    market_id: str | None,
    kind: str,
    event_ms: int,
    source_seq: int,
    payload: bytes,
) -> bytes:
    """The identity of a raw event: a hash of all of it but the time of receipt and the signature. `payload` may be any
    buffer.
    """
    own = source_event_id.encode()
    before, behind = _recurring(source, group, market_id or "", kind)
    numbers = _numbers(event_ms, source_seq, len(payload))
    return _sha256(b"".join((before, _u32(len(own)), own, behind, numbers, payload))).digest()


@lru_cache(4_096)
def _recurring(source: str, group: str, market_id: str, kind: str) -> tuple[bytes, bytes]:
    """What many events have in common: all that stands before an event's own id, and the texts behind it."""
    return _EVENT_TAG + _text(source), _text(group) + _text(market_id) + _text(kind)


def _text(text: str) -> bytes:
    """A text with its length."""
    raw = text.encode()
    return _u32(len(raw)) + raw


def control_message(genesis_hash: bytes, event: bytes) -> bytes:
    """What the key of a source signs: "M0CONTROL1" | genesis hash | event id."""
    return _CONTROL_TAG + genesis_hash + event


def certificate_message(genesis_hash: bytes, old: bytes, new: bytes) -> bytes:
    """What an old control key signs to certify a new one."""
    return _CERT_TAG + genesis_hash + old + new


def set_hash(payload: bytes) -> bytes:
    """The hash of a `catalog_set` by its payload as sent."""
    return hashlib.sha256(_SET_TAG + payload).digest()


def rebase_hash(payload: bytes) -> bytes:
    """The hash of a `rebase` by its payload as sent."""
    return hashlib.sha256(_REBASE_TAG + payload).digest()


def config_hash(catalog_set_hash: bytes, control_key: bytes, lanes: Iterable[LaneConfig]) -> bytes:
    """The config hash of a header: the set in force, the first control key, and the lanes named in the marker."""
    named = sorted(lanes)
    _all32(catalog_set_hash, control_key, *(lane.rebase_hash for lane in named))
    body = b"".join(struct.pack("<II", lane.partition, lane.life) + lane.rebase_hash for lane in named)
    head = _CONFIG_TAG + catalog_set_hash + control_key + struct.pack("<I", len(named))
    return hashlib.sha256(head + body).digest()


def model_manifest_hash(lanes: Iterable[LaneModel]) -> bytes:
    """The model manifest hash of a header over the lanes named in the marker."""
    named = sorted(lanes)
    _all32(*(value for lane in named for value in lane[1:]))
    body = b"".join(struct.pack("<I", lane.partition) + lane.release + lane.model_key for lane in named)
    return hashlib.sha256(_MANIFEST_TAG + struct.pack("<I", len(named)) + body).digest()


def _all32(*hashes: bytes) -> None:
    for value in hashes:
        if len(value) != len(ZERO):
            raise InvalidValue(f"a hash of {len(value)} bytes: it has {len(ZERO)}")
