"""Carrying a lane forward: its newest state once more, at the end of the log. No I/O.

Values and digest stay; every entity bears the manifest's position, so that a lane which goes on meanwhile writes higher
ones, and a manifest of it that covers the copies takes those or ignores them with all below its `from_position`.
"""

from collections.abc import Mapping

import msgspec
from m0common.messages import Manifest
from m0common.topics import ONCE_MAX_BYTES
from m0lanes import checkpoints
from m0lanes.entities import Entry


def batches(manifest: Manifest, state: Mapping[bytes, bytes], max_bytes: int = ONCE_MAX_BYTES) -> list[bytes]:
    """The whole state as values for the state topic; one even when it has no entities."""
    entries = [Entry(key, value) for key, value in sorted(state.items())]
    return checkpoints.batches(
        manifest.catalog, manifest.partition, manifest.life, manifest.position, entries, max_bytes
    )


def carried(manifest: Manifest, from_offset: int, to_offset: int) -> Manifest:
    """The manifest of the same state, copied to `[from_offset, to_offset)` of the state topic."""
    return msgspec.structs.replace(
        manifest, from_position=manifest.position, from_offset=from_offset, to_offset=to_offset
    )
