"""What the bundle stage says: headers (`m0.headers.v1`) and the bodies they name (`m0.bundles.v1`)."""

import msgspec

from m0common.messages.types import Digest

MISSED_MAX = 4096
PIECE_MAX_BYTES = 256 << 10


class LaneRoots(msgspec.Struct, frozen=True, array_like=True):
    """What one lane brought to an epoch: its input digest, the digests of its stages in order at the marker and at the
    marker before it of the same life (none for a lane that is new), and what decided it.
    """

    partition: int
    life: int
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

    catalog: str
    generation: int
    header: bytes
    missed: tuple[int, ...]
    lanes: tuple[LaneRoots, ...]
    pieces: tuple[Digest, ...]
    epoch_id: int
    set_hash: Digest
    state_root_before: Digest


class BundlePiece(msgspec.Struct, frozen=True, array_like=True):
    """A part of a bundle's body, at most 256 KiB; its name is the sha256 of its bytes."""

    catalog: str
    leaves: tuple[bytes, ...]
    market_ids: tuple[str, ...]
    models: tuple[str, ...]
