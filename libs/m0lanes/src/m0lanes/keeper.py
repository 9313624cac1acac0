"""Checkpoints of a pipeline kept in memory, as the state topics keep them in the log."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

import msgspec
from m0common.canonical import ZERO
from m0common.ids import Lane
from m0common.messages import Manifest, StateBatch
from m0common.stream.core import Cut, Load, Output, nothing
from m0common.stream.restored import Restored

from m0lanes.checkpoints import gathered

_decode_batch = msgspec.msgpack.Decoder(StateBatch).decode


@dataclass(slots=True)
class _Kept:
    """The checkpoints of one lane in one stage; its batches stand at the offsets from `begin` on."""

    begin: int = 0
    batches: deque[StateBatch] = field(default_factory=deque)
    manifests: deque[Manifest] = field(default_factory=deque)

    def trim(self, most: int) -> None:
        """Keep the newest manifests, and what they are over."""
        while len(self.manifests) > most:
            self.manifests.popleft()
        needed = min(manifest.from_offset for manifest in self.manifests)
        while self.begin < needed:
            self.batches.popleft()
            self.begin += 1


class Keeper:
    """An observer of a pipeline. Of every lane in every stage it keeps the newest `most` checkpoints, or all."""

    def __init__(self, most: int | None = None) -> None:
        self._kept: dict[tuple[int, Lane], _Kept] = {}
        self._most = most

    def __call__(self, _stage: str, output: Output) -> None:
        """See Observer."""
        if isinstance(output, Cut):
            self.keep(output)

    def keep(self, cut: Cut) -> Manifest:
        """Take a checkpoint; returns the manifest over it."""
        kept = self._kept.setdefault((cut.stage, cut.lane), _Kept())
        first = kept.begin + len(kept.batches)
        kept.batches.extend(_decode_batch(value) for value in cut.values)
        manifest = cut.complete(first, kept.begin + len(kept.batches))
        kept.manifests.append(manifest)
        if self._most is not None:
            kept.trim(self._most)
        return manifest

    def resume(self, found: Restored) -> None:
        """A lane goes on from a state of the log; what it says next goes on in the numbering of its manifest."""
        manifest = found.manifest
        place = (manifest.stage, Lane(manifest.catalog, manifest.partition))
        whole = StateBatch(
            manifest.catalog,
            manifest.partition,
            manifest.life,
            manifest.position,
            tuple(sorted(found.entities.items())),
        )
        first = manifest.from_offset
        own = msgspec.structs.replace(manifest, to_offset=first + 1)
        self._kept[place] = _Kept(first, deque([whole]), deque([own]))

    @property
    def manifests(self) -> list[Manifest]:
        """Those kept, of each lane in the order written."""
        return [manifest for _, kept in sorted(self._kept.items()) for manifest in kept.manifests]

    def restored(self, manifest: Manifest) -> Restored:
        """The state a kept manifest is over."""
        kept = self._kept[manifest.stage, Lane(manifest.catalog, manifest.partition)]
        within = islice(kept.batches, manifest.from_offset - kept.begin, manifest.to_offset - kept.begin)
        return Restored(manifest, gathered(manifest, within))

    def load(self, load: Load) -> Restored | None:
        """The state that a new life begins with, None when it is not kept."""
        if load.root == ZERO:
            return nothing(load.stage, load.lane)
        kept = self._kept.get((load.stage, load.lane), _Kept())
        wanted = (load.epoch_id, load.root)
        found = next((m for m in reversed(kept.manifests) if (m.epoch_id, m.digest) == wanted), None)
        return None if found is None else self.restored(found)

    def newest(self) -> list[Restored]:
        """The newest state of every lane in every stage."""
        return [self.restored(kept.manifests[-1]) for _, kept in sorted(self._kept.items())]
