"""The rows that events add up to; field names are column names."""

import msgspec

INT64_MAX = (1 << 63) - 1


class SignerSetRow(msgspec.Struct, frozen=True):
    """A row of `signer_sets`; `signers` base58, ascending by key bytes as in the digest."""

    id: int
    threshold: int
    activation_epoch: int
    digest: bytes
    signers: list[str]
    retired: bool
    slot: int
    commitment: str


class CatalogRow(msgspec.Struct, frozen=True):
    """A row of `catalogs`."""

    catalog: str
    signer_set_id: int
    epoch_ms: int
    commit_ms: int
    reveal_ms: int
    slot: int
    commitment: str


class MarketRow(msgspec.Struct, frozen=True):
    """A row of `markets`; `resolution` 255 is void."""

    market_id: str
    market_key: bytes
    catalog: str
    market_group: str
    title: str
    outcomes: list[str]
    state: str
    schema_version: int
    opens_ms: int
    resolves_after_ms: int
    resolution: int | None
    resolved_ms: int | None
    evidence_hash: bytes | None
    slot: int
    commitment: str


class EpochRow(msgspec.Struct, frozen=True):
    """A row of `epochs`."""

    catalog: str
    epoch_id: int
    status: str
    signer_set_id: int
    window_start_ms: int
    window_end_ms: int
    commit_deadline_ms: int
    reveal_deadline_ms: int
    leaf_count: int | None
    merkle_root: bytes | None
    bundle_hash: bytes | None
    prev_bundle_hash: bytes | None
    signers_mask: int | None
    finalized_slot: int | None
    finalized_ms: int | None
    finalize_signature: str | None
    closed: bool
    slot: int
    commitment: str


class EpochSignerRow(msgspec.Struct, frozen=True):
    """A row of `epoch_signers`: one per member of the set, and what it has done so far."""

    catalog: str
    epoch_id: int
    signer: str
    committed: bool = False
    revealed: bool = False
    commitment_hash: bytes | None = None
    bundle_hash: bytes | None = None
    attestation: bytes | None = None
    attestation_valid: bool | None = None
    commit_signature: str | None = None
    reveal_signature: str | None = None
    commitment: str = "confirmed"
