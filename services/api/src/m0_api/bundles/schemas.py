"""What the interface says about a bundle."""

from pydantic import BaseModel, Field


class InputDigest(BaseModel):
    """What one lane read since its last marker."""

    partition: int
    digest: str = Field(description="hex")


class StateDigest(BaseModel):
    """The state of one stage in one lane at the marker."""

    partition: int
    stage: int = Field(description="1 normalize, 2 feature, 3 model")
    digest: str = Field(description="hex")


class Bundle(BaseModel):
    """A bundle: its header, field by field and as bytes, and what its roots were made of."""

    bundle_hash: str
    catalog: str
    epoch_id: int
    window_start_ms: int
    window_end_ms: int
    signer_set_id: int
    leaf_count: int
    merkle_root: str
    prev_bundle_hash: str
    model_manifest_hash: str
    config_hash: str
    input_root: str
    state_root: str
    header: str = Field(description="The 250 bytes, hex")
    market_ids: list[str] = Field(description="In the order of the leaves")
    input_digests: list[InputDigest]
    state_digests: list[StateDigest]
