"""What the interface says about an epoch."""

from enum import StrEnum

from pydantic import BaseModel, Field


class Status(StrEnum):
    """Where an epoch stands. `finalized` means that the finalize transaction cannot be taken back any more."""

    OPEN = "open"
    COMMITTING = "committing"
    REVEALING = "revealing"
    FINALIZED = "finalized"
    EXPIRED = "expired"


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
    status: Status
    signer_set_id: int
    window_start_ms: int
    window_end_ms: int
    commit_deadline_ms: int
    reveal_deadline_ms: int
    leaf_count: int | None
    merkle_root: str | None = Field(description="hex")
    bundle_hash: str | None = Field(description="hex")
    prev_bundle_hash: str | None = Field(description="hex; the bundle before it in the log, finalized or not")
    signers: list[EpochSigner]
    finalized_slot: int | None
    finalize_signature: str | None = Field(description="Transaction signature, base58")
