"""What the interface says about a prediction, and the proof that travels between all parts."""

from enum import StrEnum

from pydantic import BaseModel, Field


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
