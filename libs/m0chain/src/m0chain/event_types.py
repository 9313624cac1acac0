"""The programs' events as structs; fields as in the IDLs, catalogs by name."""

import msgspec
from solders.pubkey import Pubkey

from m0chain.idl import ORACLE, REGISTRY


class AdminProposed(msgspec.Struct, frozen=True):
    admin: Pubkey


class AdminAccepted(msgspec.Struct, frozen=True):
    admin: Pubkey


class PausedSet(msgspec.Struct, frozen=True):
    paused: bool


class Initialized(msgspec.Struct, frozen=True):
    admin: Pubkey


class GuardianSet(msgspec.Struct, frozen=True):
    guardian: Pubkey


class SignerSetCreated(msgspec.Struct, frozen=True):
    id: int
    threshold: int
    activation_epoch: int
    digest: bytes
    keys: list[Pubkey]


class SignerSetRetired(msgspec.Struct, frozen=True):
    id: int


class CatalogCreated(msgspec.Struct, frozen=True):
    catalog: str
    signer_set_id: int
    epoch_ms: int
    commit_ms: int
    reveal_ms: int


class CatalogSignerSetChanged(msgspec.Struct, frozen=True):
    catalog: str
    signer_set_id: int


class EpochOpened(msgspec.Struct, frozen=True):
    catalog: str
    epoch_id: int
    signer_set_id: int
    window_start_ms: int
    window_end_ms: int
    commit_deadline_ms: int
    reveal_deadline_ms: int


class Committed(msgspec.Struct, frozen=True):
    catalog: str
    epoch_id: int
    signer: Pubkey
    commitment: bytes


class Revealed(msgspec.Struct, frozen=True):
    catalog: str
    epoch_id: int
    signer: Pubkey
    bundle_hash: bytes
    attestation: bytes
    header: bytes


class EpochFinalized(msgspec.Struct, frozen=True):
    catalog: str
    epoch_id: int
    bundle_hash: bytes
    merkle_root: bytes
    leaf_count: int
    signers_mask: int
    signer_set_id: int
    window_end_ms: int


class EpochExpired(msgspec.Struct, frozen=True):
    catalog: str
    epoch_id: int
    committed: int
    revealed: int


class EpochClosed(msgspec.Struct, frozen=True):
    catalog: str
    epoch_id: int


class PredictionPosted(msgspec.Struct, frozen=True):
    market_key: bytes
    epoch_id: int
    leaf_hash: bytes
    window_end_ms: int


class RootInitialized(msgspec.Struct, frozen=True):
    admin: Pubkey


class RolesSet(msgspec.Struct, frozen=True):
    guardian: Pubkey
    registrar: Pubkey
    resolver: Pubkey


class RegistryCatalogCreated(msgspec.Struct, frozen=True):
    """`CatalogCreated` of m0-registry."""

    catalog: str


class MarketCreated(msgspec.Struct, frozen=True):
    market_key: bytes
    catalog: str
    market_id: str
    group: str
    title: str
    outcomes: list[str]
    schema_version: int
    opens_ms: int
    resolves_after_ms: int


class MarketStateChanged(msgspec.Struct, frozen=True):
    market_key: bytes
    old_state: int
    new_state: int


class MarketResolved(msgspec.Struct, frozen=True):
    market_key: bytes
    outcome: int
    evidence_hash: bytes
    resolved_ms: int


_SHARED: tuple[type[msgspec.Struct], ...] = (AdminProposed, AdminAccepted, PausedSet)
_ORACLE: tuple[type[msgspec.Struct], ...] = (
    Initialized,
    GuardianSet,
    SignerSetCreated,
    SignerSetRetired,
    CatalogCreated,
    CatalogSignerSetChanged,
    EpochOpened,
    Committed,
    Revealed,
    EpochFinalized,
    EpochExpired,
    EpochClosed,
    PredictionPosted,
)
_REGISTRY: tuple[type[msgspec.Struct], ...] = (
    RootInitialized,
    RolesSet,
    MarketCreated,
    MarketStateChanged,
    MarketResolved,
)

BY_PROGRAM: dict[str, dict[str, type[msgspec.Struct]]] = {
    ORACLE: {t.__name__: t for t in _SHARED + _ORACLE},
    REGISTRY: {t.__name__: t for t in _SHARED + _REGISTRY} | {"CatalogCreated": RegistryCatalogCreated},
}
"""Event structs by IDL name and event name."""
