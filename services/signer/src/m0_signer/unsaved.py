"""What lanes have come to since they were last saved."""

from collections.abc import Iterable

import msgspec
from m0common.messages import Manifest, StateBatch
from m0common.stream.core import Cut

_decode_batch = msgspec.msgpack.Decoder(StateBatch).decode
Place = tuple[str, int, int]
"""Catalog, stage and partition."""
Changed = tuple[Place, Manifest, dict[bytes, bytes | None]]
"""A lane's newest manifest, and what changed in it: by key, None where it is gone."""


class Unsaved:
    """What checkpoints have said since the last saving: the newest manifest of each lane, and entities by key."""

    def __init__(self) -> None:
        self._manifests: dict[Place, Manifest] = {}
        self._entities: dict[Place, dict[bytes, bytes | None]] = {}

    def take(self, cut: Cut) -> None:
        """A checkpoint of a lane."""
        manifest = cut.complete(0, 0)
        self.put(manifest, ())
        for value in cut.values:
            self.put(manifest, _decode_batch(value).entries)

    def put(self, manifest: Manifest, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """A part of a checkpoint."""
        place = (manifest.catalog, manifest.stage, manifest.partition)
        self._manifests[place] = manifest
        self._entities.setdefault(place, {}).update(entries)

    def drop(self, catalog: str) -> None:
        """Forget the lanes of a catalog."""
        for place in [place for place in self._manifests if place[0] == catalog]:
            del self._manifests[place], self._entities[place]

    def lanes(self) -> list[Changed]:
        """Every lane as it stands now, with what changed in it."""
        return [(place, manifest, dict(self._entities[place])) for place, manifest in self._manifests.items()]
