"""What the public sees of the index, as JSON: the same over REST and WebSocket, whoever made it and from what.

Pure: messages and values in, objects out. A field is described once, here; the OpenAPI document is made of it.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from m0common.canonical import Outcome, PredictionLeaf, flag_names
from m0common.fixedpoint import PPB
from m0common.messages import FinalizedEpoch
from pydantic import BaseModel, Field


class MarketState(StrEnum):
    """Where a market stands in the registry."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DEPRECATED = "DEPRECATED"
    ARCHIVED = "ARCHIVED"


class Market(BaseModel):
    """A market as the registry has it."""

    market_id: str
    catalog: str
    group: str = Field(description="What shares model state with it: a league, an asset")
    title: str
    outcomes: list[str] = Field(description="Names in the order of probabilities")
    state: MarketState
    schema_version: int
    opens_ms: int = Field(description="UTC milliseconds")
    resolves_after_ms: int = Field(description="UTC milliseconds before which it cannot be resolved")
    resolution: int | None = Field(description="Index of the outcome that came true, 255 for void, null while unknown")
    resolved_ms: int | None
    commitment: str = Field(description="confirmed, or finalized once the chain cannot take it back")


class EpochStatus(StrEnum):
    """Where an epoch stands. `finalized` means that the finalize transaction cannot be taken back any more."""

    OPEN = "open"
    COMMITTING = "committing"
    REVEALING = "revealing"
    FINALIZED = "finalized"
    EXPIRED = "expired"


class EpochBody(StrEnum):
    """Whether the predictions of a final epoch can be read: those of a body that is gone from the log are lost."""

    AVAILABLE = "available"
    MISSING = "missing"


class EpochSigner(BaseModel):
    """A member of the epoch's signer set."""

    signer: str = Field(description="base58")
    committed: bool
    revealed: bool
    bundle_hash: str | None = Field(description="The bundle it revealed, hex")


class Epoch(BaseModel):
    """An epoch of a catalog; everything about its bundle is null until it is finalized."""

    catalog: str
    epoch_id: int
    status: EpochStatus
    signer_set_id: int
    window_start_ms: int
    window_end_ms: int
    commit_deadline_ms: int
    reveal_deadline_ms: int
    leaf_count: int | None
    merkle_root: str | None = Field(description="hex")
    bundle_hash: str | None = Field(description="hex")
    prev_bundle_hash: str | None = Field(
        description="hex; the bundle before it in the log, finalized or not; null where it is lost with the body"
    )
    signers: list[EpochSigner]
    finalized_slot: int | None
    finalize_signature: str | None = Field(description="Transaction signature, base58")
    body: EpochBody | None = Field(description="missing: final and published without predictions, which are lost")


class PredictionStatus(StrEnum):
    """A provisional prediction is what the models say while its epoch is open; it is in no bundle."""

    PROVISIONAL = "provisional"
    FINALIZED = "finalized"


class OutcomeProbability(BaseModel):
    """One outcome with its interval, as integers (parts per billion) and as decimals for people."""

    name: str
    p: float
    lo: float
    hi: float
    p_ppb: int
    lo_ppb: int
    hi_ppb: int


class Prediction(BaseModel):
    """A distribution over the outcomes of a market; `outcomes` is empty when it is blocked."""

    market_id: str
    catalog: str
    epoch_id: int
    status: PredictionStatus
    outcomes: list[OutcomeProbability]
    risk_bps: int = Field(description="0 to 10000")
    quality_flags: list[str]
    model: str
    model_key: str = Field(description="hex; the artifact that made it")
    features_hash: str | None = Field(description="hex; what the model saw; null while provisional")
    window_end_ms: int
    bundle_hash: str | None = Field(description="hex; null while provisional")


class Attestation(BaseModel):
    """A signer's ed25519 signature over the bundle."""

    signer: str = Field(description="base58")
    signature: str = Field(description="base58")


class ChainReference(BaseModel):
    """Where the root stands on chain."""

    cluster: str
    oracle_program: str
    epoch_account: str
    finalize_signature: str
    slot: int
    commitment: str = Field(description="finalized")


class Proof(BaseModel):
    """Everything needed to check a prediction against the chain; byte layouts are in docs/protocol.md."""

    model_config = {"populate_by_name": True}

    proof_schema: int = Field(alias="schema", description="1")
    catalog: str
    epoch_id: int
    market_id: str
    leaf: str = Field(description="hex")
    leaf_index: int
    leaf_count: int
    siblings: list[str] = Field(description="hex, bottom up")
    merkle_root: str = Field(description="hex")
    header: str = Field(description="hex")
    bundle_hash: str = Field(description="hex")
    attestations: list[Attestation]
    chain: ChainReference


class Said(Protocol):
    """What is said of a market in an epoch, as a message or as a row."""

    @property
    def market_id(self) -> str: ...
    @property
    def catalog(self) -> str: ...
    @property
    def epoch_id(self) -> int: ...
    @property
    def model(self) -> str: ...


class Distribution(Protocol):
    """What a model says, whoever holds it."""

    @property
    def outcomes(self) -> Sequence[Outcome]: ...
    @property
    def risk_bps(self) -> int: ...
    @property
    def quality_flags(self) -> int: ...
    @property
    def model_key(self) -> bytes: ...
    @property
    def window_end_ms(self) -> int: ...


class Leaf(Said, Protocol):
    """A leaf of a final epoch."""

    @property
    def leaf(self) -> bytes: ...
    @property
    def bundle_hash(self) -> bytes: ...


class Live(Said, Distribution, Protocol):
    """What the models say of a market now."""


def finalized(said: Leaf, names: Sequence[str]) -> Prediction:
    """A leaf of a final epoch; `names` are its market's outcomes. Raises InvalidValue when it is not canonical."""
    leaf = PredictionLeaf.decode(said.leaf)
    return _prediction(said, leaf, names, PredictionStatus.FINALIZED, leaf.features_hash.hex(), said.bundle_hash.hex())


def provisional(said: Live, names: Sequence[str]) -> Prediction:
    """What the models say of an open epoch: it is in no bundle, and what they saw is not told yet."""
    return _prediction(said, said, names, PredictionStatus.PROVISIONAL, features_hash=None, bundle_hash=None)


def _prediction(
    said: Said,
    what: Distribution,
    names: Sequence[str],
    status: PredictionStatus,
    features_hash: str | None,
    bundle_hash: str | None,
) -> Prediction:
    return Prediction(
        market_id=said.market_id,
        catalog=said.catalog,
        epoch_id=said.epoch_id,
        status=status,
        outcomes=_probabilities(what.outcomes, names),
        risk_bps=what.risk_bps,
        quality_flags=flag_names(what.quality_flags),
        model=said.model,
        model_key=what.model_key.hex(),
        features_hash=features_hash,
        window_end_ms=what.window_end_ms,
        bundle_hash=bundle_hash,
    )


def final_epoch(message: FinalizedEpoch) -> Epoch:
    """An epoch as it is published."""
    return Epoch(
        catalog=message.catalog,
        epoch_id=message.epoch_id,
        status=EpochStatus.FINALIZED,
        signer_set_id=message.signer_set_id,
        window_start_ms=message.window_start_ms,
        window_end_ms=message.window_end_ms,
        commit_deadline_ms=message.commit_deadline_ms,
        reveal_deadline_ms=message.reveal_deadline_ms,
        leaf_count=message.leaf_count,
        merkle_root=message.merkle_root.hex(),
        bundle_hash=message.bundle_hash.hex(),
        prev_bundle_hash=None if message.prev_bundle_hash is None else message.prev_bundle_hash.hex(),
        signers=[
            EpochSigner(
                signer=member.signer,
                committed=member.committed,
                revealed=member.revealed,
                bundle_hash=None if member.bundle_hash is None else member.bundle_hash.hex(),
            )
            for member in message.signers
        ],
        finalized_slot=message.slot,
        finalize_signature=message.finalize_signature,
        body=EpochBody(message.body),
    )


def encoded(shape: BaseModel) -> bytes:
    """The JSON that travels."""
    return shape.model_dump_json(by_alias=True).encode()


def _probabilities(outcomes: Iterable[Outcome], names: Sequence[str]) -> list[OutcomeProbability]:
    """Outcomes with their names; one without bears its number."""
    return [
        OutcomeProbability(
            name=names[i] if i < len(names) else str(i),
            p=o.p / PPB,
            lo=o.lo / PPB,
            hi=o.hi / PPB,
            p_ppb=o.p,
            lo_ppb=o.lo,
            hi_ppb=o.hi,
        )
        for i, o in enumerate(outcomes)
    ]
