"""What the bundle stage says: headers (`m0.headers.v1`) and the bodies they name (`m0.bundles.v1`)."""

from typing import Annotated

import msgspec

from m0common.messages.types import U32, CatalogName, CatalogText, Count, Digest, Life, Partition

MISSED_MAX = 4096
PIECE_MAX_BYTES = 256 << 10


class HeaderLane(msgspec.Struct, frozen=True, array_like=True):
    """What one lane brought to an epoch: its input digest, the digests of its stages in order at the marker and at the
    marker before it of the same life (none for a lane that is new), and what decided it.
    """

    partition: Partition
    life: Life
    input_digest: Digest
    stage_digests: tuple[Digest, ...]
    digests_before: tuple[Digest, ...]
    release: Digest
    model_key: Digest
    rebase: Digest


class HeaderMessage(msgspec.Struct, frozen=True, array_like=True):
    """A closed epoch. `header` are the canonical bytes; `missed` are the epochs skipped since the one closed before,
    the newest MISSED_MAX of them.

    `pieces` are the sha256 of the values of `m0.bundles.v1` that hold the leaves, in tree order; none for an epoch
    without leaves.
    """

    catalog: CatalogName
    generation: U32
    header: bytes
    missed: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MISSED_MAX)]
    lanes: tuple[HeaderLane, ...]
    pieces: tuple[Digest, ...]
    epoch_id: Count
    set_hash: Digest
    state_root_before: Digest


class BundlePiece(msgspec.Struct, frozen=True, array_like=True):
    """A part of a bundle's body, at most 256 KiB; its name is the sha256 of its bytes."""

    catalog: CatalogText
    leaves: tuple[bytes, ...]
    market_ids: tuple[str, ...]
    models: tuple[str, ...]
