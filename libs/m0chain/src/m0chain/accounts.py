"""Decoders of the programs' accounts into typed structs; fields as in docs/protocol.md."""

from enum import IntEnum
from typing import Any, TypeVar

import msgspec
from m0common.errors import InvalidValue
from m0common.ids import catalog_name
from solders.pubkey import Pubkey

from m0chain import idl
from m0chain.errors import DecodeError
from m0chain.idl import Idl

VOID = 255
NO_TALLY = 255


class EpochStatus(IntEnum):
    """Where an epoch stands; `label` is its public name."""

    OPEN = 0
    COMMITTING = 1
    REVEALING = 2
    FINALIZED = 3
    EXPIRED = 4

    @property
    def label(self) -> str:
        return self.name.lower()


class MarketState(IntEnum):
    """Where a market stands."""

    DRAFT = 0
    ACTIVE = 1
    PAUSED = 2
    DEPRECATED = 3
    ARCHIVED = 4


class _Account(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    bump: int


class Config(_Account, frozen=True, kw_only=True):
    """`Config` of m0-oracle."""

    admin: Pubkey
    pending_admin: Pubkey
    guardian: Pubkey
    registry_program: Pubkey
    paused: bool


class SignerSet(_Account, frozen=True, kw_only=True):
    """`SignerSet` of m0-oracle; `keys` ascending, a mask's bit i stands for `keys[i]`."""

    id: int
    threshold: int
    count: int
    retired: bool
    activation_epoch: int
    digest: bytes
    keys: list[Pubkey]

    def members(self, mask: int) -> list[Pubkey]:
        """The keys whose bit is set in `mask`."""
        return [key for i, key in enumerate(self.keys) if mask >> i & 1]

    def index(self, key: Pubkey) -> int | None:
        """The bit of `key`, None for a stranger."""
        return self.keys.index(key) if key in self.keys else None


class RingEntry(msgspec.Struct, frozen=True):
    """A finalized root in a catalog's ring."""

    epoch_id: int
    window_end_ms: int
    leaf_count: int
    signers: int
    merkle_root: bytes
    bundle_hash: bytes


class Catalog(_Account, frozen=True, kw_only=True):
    """`Catalog` of m0-oracle."""

    catalog: str
    signer_set_id: int
    epoch_ms: int
    commit_ms: int
    reveal_ms: int
    last_finalized_epoch: int
    finalized_count: int
    ring_head: int
    ring: list[RingEntry]
    peaks: list[bytes]

    def finalized(self, epoch_id: int) -> RingEntry | None:
        """The ring entry of an epoch, None when it is not among the latest 64."""
        filled = min(self.finalized_count, len(self.ring))
        newest_first = (self.ring[(self.ring_head - 1 - i) % len(self.ring)] for i in range(filled))
        return next((entry for entry in newest_first if entry.epoch_id == epoch_id), None)


class Tally(msgspec.Struct, frozen=True):
    """The signers (a mask) that revealed one bundle."""

    bundle_hash: bytes
    merkle_root: bytes
    leaf_count: int
    mask: int


class Epoch(_Account, frozen=True, kw_only=True):
    """`Epoch` of m0-oracle; `committed` and `revealed` are masks over the signer set."""

    catalog: str
    epoch_id: int
    status: EpochStatus
    signer_set_id: int
    count: int
    threshold: int
    opener: Pubkey
    window_start_ms: int
    window_end_ms: int
    commit_deadline_ms: int
    reveal_deadline_ms: int
    committed: int
    revealed: int
    finalized_tally: int
    finalized_slot: int
    commitments: list[bytes]
    tallies: list[Tally]

    def quorum(self) -> Tally | None:
        """The tally that reached the threshold, None before there is one."""
        return next((t for t in self.tallies if t.mask.bit_count() >= self.threshold), None)

    @property
    def all_committed(self) -> bool:
        """Whether every member of the set has committed, so that reveals are accepted before the deadline."""
        return self.committed.bit_count() == self.count


class FeedEntry(msgspec.Struct, frozen=True):
    """A posted prediction in a feed's ring."""

    epoch_id: int
    window_end_ms: int
    risk_bps: int
    quality_flags: int
    leaf_hash: bytes


class Feed(_Account, frozen=True, kw_only=True):
    """`Feed` of m0-oracle; `leaf` holds only its `leaf_len` used bytes."""

    market_key: bytes
    epoch_id: int
    window_end_ms: int
    posted_slot: int
    post_count: int
    ring_head: int
    ring: list[FeedEntry]
    leaf_len: int
    leaf: bytes


class Root(_Account, frozen=True, kw_only=True):
    """`Root` of m0-registry."""

    admin: Pubkey
    pending_admin: Pubkey
    guardian: Pubkey
    registrar: Pubkey
    resolver: Pubkey
    paused: bool
    market_count: int


class RegistryCatalog(_Account, frozen=True, kw_only=True):
    """`Catalog` of m0-registry."""

    catalog: str
    active: bool
    market_count: int


class Market(_Account, frozen=True, kw_only=True):
    """`Market` of m0-registry; `resolution` counts only when `resolved`, 255 is void."""

    market_key: bytes
    catalog: str
    state: MarketState
    outcome_count: int
    resolved: bool
    resolution: int
    schema_version: int
    opens_ms: int
    resolves_after_ms: int
    resolved_ms: int
    evidence_hash: bytes
    created_slot: int
    market_id: str
    group: str
    title: str
    outcomes: list[str]


_T = TypeVar("_T")


def _make(kind: type[_T], fields: dict[str, Any]) -> _T:
    try:
        if "catalog" in fields:
            fields["catalog"] = catalog_name(fields["catalog"])
        return kind(**fields)
    except (InvalidValue, ValueError) as error:
        raise DecodeError(f"{kind.__name__} account: {error}") from error


def _decode(interface: Idl, name: str, kind: type[_T], data: bytes, **nested: type[Any]) -> _T:
    fields = interface.decode_account(name, data)
    for field, item in nested.items():
        if issubclass(item, IntEnum):
            try:
                fields[field] = item(fields[field])
            except ValueError as error:
                raise DecodeError(f"{name} account: {error}") from error
        else:
            fields[field] = [item(**each) for each in fields[field]]
    return _make(kind, fields)


def config(data: bytes) -> Config:
    """Decode `Config`; like all decoders here it raises DecodeError when the data is something else."""
    return _decode(idl.oracle(), "Config", Config, data)


def signer_set(data: bytes) -> SignerSet:
    """Decode `SignerSet`."""
    return _decode(idl.oracle(), "SignerSet", SignerSet, data)


def catalog(data: bytes) -> Catalog:
    """Decode m0-oracle's `Catalog`."""
    return _decode(idl.oracle(), "Catalog", Catalog, data, ring=RingEntry)


def epoch(data: bytes) -> Epoch:
    """Decode `Epoch`."""
    return _decode(idl.oracle(), "Epoch", Epoch, data, status=EpochStatus, tallies=Tally)


def feed(data: bytes) -> Feed:
    """Decode `Feed`."""
    decoded = _decode(idl.oracle(), "Feed", Feed, data, ring=FeedEntry)
    return msgspec.structs.replace(decoded, leaf=decoded.leaf[: decoded.leaf_len])


def root(data: bytes) -> Root:
    """Decode `Root`."""
    return _decode(idl.registry(), "Root", Root, data)


def registry_catalog(data: bytes) -> RegistryCatalog:
    """Decode m0-registry's `Catalog`."""
    return _decode(idl.registry(), "Catalog", RegistryCatalog, data)


MARKET_KEY_AT = 10
"""Offset of the market's key, a hash, in the data of `Market`."""
MARKET_HEAD_BYTES = 62
"""So many first bytes of `Market` are a MarketHead."""
EPOCH_ID_AT = 26
"""Offset of the id, little endian, in the data of `Epoch`."""


class MarketHead(msgspec.Struct, frozen=True):
    """What changes in a market, without what was said when it was created; `resolution` None: not resolved."""

    market_key: bytes
    state: MarketState
    resolution: int | None


def market_head(data: bytes) -> MarketHead:
    """Decode the first MARKET_HEAD_BYTES of `Market`."""
    if len(data) != MARKET_HEAD_BYTES or data[:8] != idl.registry().accounts["Market"]:
        raise DecodeError(f"Market account: {len(data)} bytes that begin with {data[:8].hex()}, not its first 62")
    state, _, resolved, resolution = data[58:]
    if state not in set(MarketState):
        raise DecodeError(f"Market account: {state} is not a valid MarketState")
    return MarketHead(data[MARKET_KEY_AT:42], MarketState(state), resolution if resolved else None)


def market(data: bytes) -> Market:
    """Decode `Market`."""
    return _decode(idl.registry(), "Market", Market, data, state=MarketState)
