"""What signers, the indexer and the connectors say about epochs, markets and outcomes."""

from typing import Literal

import msgspec

from m0common.messages.types import Digest


class Submission(msgspec.Struct, frozen=True, array_like=True):
    """What a signer did for an epoch (`m0.submissions.v1`); `action` is commit, reveal, finalize or disagree."""

    catalog: str
    epoch_id: int
    signer: bytes
    action: str
    bundle_hash: Digest
    attestation: bytes
    transaction: str
    slot: int
    at_ms: int
    detail: str = ""


class EpochMember(msgspec.Struct, frozen=True, array_like=True):
    """A member of an epoch's signer set and what it did; `bundle_hash` is the bundle it revealed."""

    signer: str
    committed: bool
    revealed: bool
    bundle_hash: Digest | None


class FinalizedEpoch(msgspec.Struct, frozen=True, array_like=True):
    """An epoch became final on chain (`m0.finalized.epochs.v1`). No predictions follow it when its body is missing."""

    catalog: str
    epoch_id: int
    window_start_ms: int
    window_end_ms: int
    leaf_count: int
    merkle_root: Digest
    bundle_hash: Digest
    prev_bundle_hash: Digest | None
    signer_set_id: int
    signers: tuple[EpochMember, ...]
    commit_deadline_ms: int
    reveal_deadline_ms: int
    finalize_signature: str
    slot: int
    at_ms: int
    body: Literal["available", "missing"] = "available"


class FinalizedPrediction(msgspec.Struct, frozen=True, array_like=True):
    """One leaf of a final epoch (`m0.finalized.predictions.v1`)."""

    market_id: str
    catalog: str
    epoch_id: int
    bundle_hash: Digest
    leaf_index: int
    leaf: bytes
    model: str


class RegistryMarket(msgspec.Struct, frozen=True, array_like=True):
    """A market as the registry program has it (`m0.registry.v1`, compacted by market id)."""

    market_id: str
    catalog: str
    group: str
    title: str
    outcomes: tuple[str, ...]
    state: str
    schema_version: int
    opens_ms: int
    resolves_after_ms: int
    resolution: int | None
    slot: int


class MarketOutcome(msgspec.Struct, frozen=True, array_like=True):
    """The real-world outcome of a market (`m0.outcomes.v1`); `outcome` is an index, 255 for void."""

    market_id: str
    catalog: str
    outcome: int
    evidence_hash: Digest
    event_ms: int
    source: str
