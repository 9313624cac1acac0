"""Carrying a lane forward: its newest state once more, at the end of the log. No I/O.

Values and digest stay; every entity bears the manifest's position, so that a lane which goes on meanwhile writes higher
ones, and a manifest of it that covers the copies takes those or ignores them with all below its `from_position`.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from m0common.canonical.trie import state_digest
from m0common.errors import InvalidValue
from m0common.messages import Manifest, StateBatch
from m0common.topics import ONCE_MAX_BYTES

_ENTRY_BYTES = 16
"""More than the encoding of one entry adds to its key and value."""
_BATCH_BYTES = 256
"""More than the encoding of a batch adds to its entries."""


def entities(manifest: Manifest, batches: Iterable[StateBatch]) -> dict[bytes, bytes]:
    """The state of a manifest, restored from the batches of its range; those of other lanes and lives are passed over.

    Raises InvalidValue when it has another digest.
    """
    lane = (manifest.catalog, manifest.partition, manifest.life)
    newest: dict[bytes, tuple[int, bytes | None]] = {}
    for batch in batches:
        if (batch.catalog, batch.partition, batch.life) != lane:
            continue
        if manifest.from_position <= batch.position <= manifest.position:
            for key, value in batch.entries:
                if key not in newest or batch.position >= newest[key][0]:
                    newest[key] = batch.position, value
    found = {key: value for key, (_, value) in newest.items() if value is not None}
    digest = state_digest(found.items())
    if digest != manifest.digest:
        raise InvalidValue(
            f"state of {manifest.catalog} partition {manifest.partition} stage {manifest.stage} "
            f"life {manifest.life} at {manifest.position}: {len(found)} entities with digest {digest.hex()}, "
            f"its manifest says {manifest.digest.hex()}"
        )
    return found


def batches(manifest: Manifest, state: Mapping[bytes, bytes], max_bytes: int = ONCE_MAX_BYTES) -> Iterator[StateBatch]:
    """The whole state in messages of at most `max_bytes`; one message even when it has no entities."""
    entries: list[tuple[bytes, bytes | None]] = []
    size = _BATCH_BYTES
    for key, value in sorted(state.items()):
        more = len(key) + len(value) + _ENTRY_BYTES
        if entries and size + more > max_bytes:
            yield _batch(manifest, entries)
            entries, size = [], _BATCH_BYTES
        entries.append((key, value))
        size += more
    yield _batch(manifest, entries)


def _batch(manifest: Manifest, entries: list[tuple[bytes, bytes | None]]) -> StateBatch:
    return StateBatch(manifest.catalog, manifest.partition, manifest.life, manifest.position, tuple(entries))


def carried(manifest: Manifest, from_offset: int, to_offset: int) -> Manifest:
    """The manifest of the same state, copied to `[from_offset, to_offset)` of the state topic."""
    return msgspec.structs.replace(
        manifest, from_position=manifest.position, from_offset=from_offset, to_offset=to_offset
    )
