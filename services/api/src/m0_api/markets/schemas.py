"""What the interface says about a market."""

from enum import StrEnum

from pydantic import BaseModel, Field


class State(StrEnum):
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
    state: State
    schema_version: int
    opens_ms: int = Field(description="UTC milliseconds")
    resolves_after_ms: int = Field(description="UTC milliseconds before which it cannot be resolved")
    resolution: int | None = Field(description="Index of the outcome that came true, 255 for void, null while unknown")
    resolved_ms: int | None
    commitment: str = Field(description="confirmed, or finalized once the chain cannot take it back")
