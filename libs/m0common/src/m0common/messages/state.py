"""State of lanes in the log: batches of entities (`m0.state.<stage>`) and the manifests over them (`m0.manifests`)."""

from typing import Literal, NamedTuple

import msgspec

from m0common.canonical.roots import ZERO
from m0common.messages.types import (
    U16,
    U32,
    CatalogName,
    CatalogText,
    Count,
    CountOrNone,
    Digest,
    Life,
    Millis,
    Partition,
    Signed,
)

Status = Literal["running", "retired", "parked"]


class StateBatch(msgspec.Struct, frozen=True, array_like=True):
    """A part of a checkpoint, at most 256 KiB: entities as they were at a position of the lane; None is deleted.

    `partition` is that of the manifest.
    """

    catalog: CatalogText
    partition: Partition
    life: Life
    position: Count
    entries: tuple[tuple[bytes, bytes | None], ...]


class InputSeq(NamedTuple):
    """The last message taken from a source lane: its partition of `m0.raw`, its life and its sequence number."""

    partition: Partition
    life: Life
    seq: Count


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """A complete checkpoint of one lane of one stage (`m0.manifests.v1`).

    Restoring reads the batches in `[from_offset, to_offset)` of the state topic, of the same lane and life, ignores
    what lies below `from_position` or above `position`, takes the highest position of every key and checks `digest`.
    `from_*` is where the K-th checkpoint before this one began. `partition` is that of the stage's input, in which
    its state lies too: the lane's of `m0.raw`, for the bundle stage the catalog's of `m0.predictions`. `epoch_id`
    is that of the marker whose digest this is, None between markers. `held_from` is the input offset of the first
    event held back (None: none is) and `held_end` the end of the window that was open there. `rebase` is the signed
    event that began this life, as JSON, nothing in life 0.
    `following` is the release that goes on behind this, where a generation takes force; zero bytes for the same.
    `born_at` is the offset in `m0.raw` of the rebase that began this life, -1 in life 0 and behind normalize.
    """

    stage: U16
    catalog: CatalogName
    partition: Partition
    life: Life
    generation: U32
    position: Count
    epoch_id: Count | None
    digest: Digest
    out_seq: Count
    input_offset: CountOrNone
    input_seqs: tuple[InputSeq, ...]
    held_from: Count | None
    held_end: Millis
    from_position: Count
    from_offset: Count
    to_offset: Count
    release: Digest
    build: Digest
    entities: Count
    bytes: Count
    status: Status = "running"
    reason: str = ""
    rebase: Signed = b""
    following: Digest = ZERO
    window_end_ms: Millis = 0
    born_at: CountOrNone = -1

    @property
    def runner(self) -> Digest:
        """The release that goes on from here."""
        return self.release if self.following == ZERO else self.following
