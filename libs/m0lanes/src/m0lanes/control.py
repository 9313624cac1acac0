"""Control kinds: payloads of raw events that say what a lane works with, when an epoch ends, what markets are open.

They are JSON, written by ingest and by the commands; the heart checks who signed them (`m0lanes.authority`).
"""

from typing import Annotated, Final

import msgspec
from m0common.messages.types import (
    END,
    I64,
    LIFE_END,
    PARTITIONS_MAX,
    U16,
    U32,
    CatalogName,
    Count,
    Group,
    Hex32,
    Hex64,
    Kind,
    Millis,
    Partition,
    Source,
)

EPOCH_END: Final = "epoch_end"
CATALOG_SET: Final = "catalog_set"
REBASE: Final = "rebase"
MARKET_OPEN: Final = "market_open"
MARKET_CLOSE: Final = "market_close"
RESERVED: Final = frozenset({"outcome", "artifact"})
"""Kinds that no domain may take for itself; they are built with the domains."""
LANE_KINDS: Final = frozenset({EPOCH_END, CATALOG_SET, REBASE})
"""Kinds that concern a whole lane: their group is empty, the same bytes go into every lane."""
MARKET_KINDS: Final = frozenset({MARKET_OPEN, MARKET_CLOSE})
"""Kinds that only a source with a key says, which numbers them: however old a copy is, it is known for one."""
CONTROL_KINDS: Final = LANE_KINDS | MARKET_KINDS

EPOCH_MS_MIN: Final = 1_000
EPOCH_MS_MAX: Final = 31 * 86_400_000
HORIZON_MS_MAX: Final = 366 * 86_400_000
GROUPS_MAX: Final = 1_000
SOURCES_MAX: Final = 64
PARAMS_MAX: Final = 256
ATTRIBUTES_MAX: Final = 32
CERTIFICATES_MAX: Final = 64
LIFE_MAX: Final = LIFE_END - 1

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}(?![\s\S])")]
Text = Annotated[str, msgspec.Meta(max_length=256)]
Release = Annotated[str, msgspec.Meta(pattern=f"^(?!0{{64}})[0-9a-f]{{64}}{END}")]
"""A release in lower-case hex. 64 zeros are none: where a release stands, they say that nobody goes on."""


class DomainRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plug-in that knows what a catalog is about: its name, the distribution it comes in and its version."""

    name: Name
    distribution: Text
    version: Annotated[int, msgspec.Meta(ge=1, lt=1 << 31)]


class SourceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source may say. One with a `key` signs; a `dense` one numbers its events per group, from 1 or above. One
    that may say market kinds does both.
    """

    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1, max_length=32)]
    key: Hex32 | None = None
    dense: bool = False

    def __post_init__(self) -> None:
        if not (self.dense and self.key is not None) and not MARKET_KINDS.isdisjoint(self.kinds):
            raise ValueError(
                f"{' and '.join(sorted(MARKET_KINDS))} are signed and numbered: their source has a key and is dense"
            )


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An old control key's word for a new one."""

    old: Hex32
    new: Hex32
    signature: Hex64


Certificates = Annotated[tuple[Certificate, ...], msgspec.Meta(max_length=CERTIFICATES_MAX)]
"""From the deployment's first control key on, each by the one before."""


class CatalogSetPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `catalog_set`: defines a generation of a catalog; the marker that names it puts it in force."""

    catalog: CatalogName
    generation: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    partitions: Annotated[int, msgspec.Meta(ge=1, le=PARTITIONS_MAX)]
    epoch_ms: Annotated[int, msgspec.Meta(ge=EPOCH_MS_MIN, le=EPOCH_MS_MAX)]
    domain: DomainRef
    release: Release
    model: Name
    params: Annotated[dict[Name, I64], msgspec.Meta(max_length=PARAMS_MAX)]
    horizon_ms: Annotated[int, msgspec.Meta(ge=1_000, le=HORIZON_MS_MAX)]
    groups: Annotated[tuple[Group, ...], msgspec.Meta(max_length=GROUPS_MAX)]
    sources: Annotated[dict[Source, SourceRule], msgspec.Meta(max_length=SOURCES_MAX)]
    retired: bool = False
    certificates: Certificates = ()


class NextGeneration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The set that a marker puts in force: its generation and the hash of its payload."""

    generation: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    hash: Hex32


class EpochEndPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `epoch_end`: the epoch clock's marker. `lanes` are the partitions that the catalog has lanes in, ascending;
    `next` is the set in force from here on, None for the same. Before the first set the generation is 0.
    """

    catalog: CatalogName
    epoch_id: Count
    window_start_ms: Millis
    window_end_ms: Millis
    generation: U32
    lanes: Annotated[tuple[Partition, ...], msgspec.Meta(max_length=PARTITIONS_MAX)]
    next: NextGeneration | None


class RebasePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `rebase`: the lane goes on as a new life from the states of stages 1 to 3 at a marker, at a raw offset.

    It brings the certificates of the key that signs it, as a set does: a lane may have stopped before that key came.

    `gap`: records between that marker and `offset` are gone, or it begins anew and `offset` is not where the lane
    began. What took force there is not known, so the lane says nothing before `in_force`, the set in force in the
    catalog when this was written, and `in_force_lanes` the lanes of that; None where there was none.
    """

    catalog: CatalogName
    partition: Partition
    life: Annotated[int, msgspec.Meta(ge=1, le=LIFE_MAX)]
    epoch_id: Count
    release: Release
    roots: tuple[Hex32, Hex32, Hex32]
    offset: Count
    certificates: Certificates = ()
    gap: bool = False
    in_force: NextGeneration | None = None
    in_force_lanes: Annotated[tuple[Partition, ...], msgspec.Meta(max_length=PARTITIONS_MAX)] = ()


class MarketOpenPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `market_open`: a market became ACTIVE in the registry. `attributes` are domain facts, e.g. home and away."""

    catalog: CatalogName
    outcomes: Annotated[tuple[Text, ...], msgspec.Meta(min_length=2, max_length=32)]
    schema_version: U16
    opens_ms: Millis
    title: Text = ""
    attributes: Annotated[dict[Name, Text], msgspec.Meta(max_length=ATTRIBUTES_MAX)] = {}


class MarketClosePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `market_close`: no more predictions for this market."""

    catalog: CatalogName
    reason: Text = ""


ControlPayload = CatalogSetPayload | EpochEndPayload | RebasePayload | MarketOpenPayload | MarketClosePayload
PAYLOADS: dict[str, type[ControlPayload]] = {
    CATALOG_SET: CatalogSetPayload,
    EPOCH_END: EpochEndPayload,
    REBASE: RebasePayload,
    MARKET_OPEN: MarketOpenPayload,
    MARKET_CLOSE: MarketClosePayload,
}
"""What the payload of a control event is, by its kind."""
