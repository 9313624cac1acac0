"""What a stage goes on from: the checkpoints of its lanes, read from the log beside the work of other tasks."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from m0common.canonical import ZERO
from m0common.errors import OffsetsGone, Unavailable
from m0common.ids import Lane
from m0common.messages import Manifest, StateBatch
from m0common.stream.broker import AT_BEGINNING, Broker
from m0common.stream.core import Load, StageCore, nothing
from m0common.stream.restored import Restored
from m0common.stream.states import Gather, manifests, manifests_since, named, restore_newest
from m0common.telemetry.logs import logger

log = logger(__name__)


class Found(NamedTuple):
    """The lanes of some partitions: those whose state restores, and of the others the newest manifest."""

    restored: Sequence[Restored]
    lost: Sequence[Manifest]


async def load_state(
    broker: Broker, load: Load, gather: Gather, beat: Callable[[], None] = lambda: None
) -> Restored | None:
    """The state that a new life begins with, None when no checkpoint in the log gives it. Raises Unavailable."""
    if load.root == ZERO:
        return nothing(load.stage, load.lane)
    known = await _manifests(broker, [load.lane.partition], load.stage)
    beat()
    place = (*load.lane, load.epoch_id, load.root)
    wanted = [m for m in known if (m.catalog, m.partition, m.epoch_id, m.digest) == place]
    return next(iter(await restore_newest(broker, wanted, gather)), None)


async def _manifests(broker: Broker, partitions: Sequence[int], stage: int) -> list[Manifest]:
    try:
        return await manifests(broker, partitions, stage)
    except OffsetsGone as error:
        # a trim overtook the reading: what it left is read from its new beginning
        raise Unavailable(f"read manifests: {error}") from error


class Restoring:
    """Reads states for one core. `beat` is called with every state that is read: there is progress."""

    def __init__(self, broker: Broker, core: StageCore, beat: Callable[[], None]) -> None:
        self._broker = broker
        self._core = core
        self._beat = beat
        self._looked_at: dict[Lane, int] = {}

    async def newest(self, partitions: Sequence[int]) -> Found:
        """The lanes of these input partitions. Raises Unavailable."""
        known = await self._manifests(partitions)
        restored = await restore_newest(self._broker, known, self._gather, self._core.unsound)
        here = {(found.manifest.catalog, found.manifest.partition) for found in restored}
        lost: dict[tuple[str, int], Manifest] = {}
        for manifest in sorted(known, key=lambda m: (m.life, m.position)):
            lane = (manifest.catalog, manifest.partition)
            if lane not in here:
                lost[lane] = manifest
        return Found(restored, [manifest for _, manifest in sorted(lost.items())])

    async def load(self, load: Load) -> Restored | None:
        """See load_state."""
        return await load_state(self._broker, load, self._gather, self._beat)

    async def news(self, lanes: Sequence[Lane]) -> Sequence[Manifest]:
        """The manifests of these lanes' partitions that were not looked at for all of them yet, and for lanes that are
        called all manifests. Raises Unavailable.
        """
        next_offsets: dict[int, int] = {}
        called = self._core.called()
        for lane in lanes:
            looked_at = AT_BEGINNING if lane in called else self._looked_at.get(lane, AT_BEGINNING)
            next_offsets[lane.partition] = min(looked_at, next_offsets.get(lane.partition, looked_at))
        try:
            new = await manifests_since(self._broker, self._core.stage, next_offsets)
        except OffsetsGone as error:
            self._looked_at.clear()
            raise Unavailable(f"read manifests: {error}") from error
        self._looked_at = {lane: next_offsets[lane.partition] for lane in lanes}
        return self._alive(new)

    async def adoptable(self, new: Iterable[Manifest]) -> Sequence[Restored]:
        """Of these manifests the lanes that others have brought to where this build goes on. Raises Unavailable."""
        new, stage = list(new), self._core.stage
        mine = [manifest for manifest in new if self._core.adopts(manifest)]
        found = await restore_newest(self._broker, mine, self._gather, self._core.unsound)
        told = {Lane(manifest.catalog, manifest.partition) for manifest in new if manifest.stage == stage}
        return [*found, *(nothing(stage, lane) for lane in sorted(self._core.called()) if lane not in told)]

    async def _manifests(self, partitions: Sequence[int]) -> list[Manifest]:
        if not partitions:
            return []
        found = await _manifests(self._broker, partitions, self._core.stage)
        self._beat()
        return self._alive(found)

    def _alive(self, found: Iterable[Manifest]) -> list[Manifest]:
        """Those of lives that somebody who may has begun; the others are as good as not there."""
        alive = []
        for manifest in found:
            reason = self._core.no_life(manifest)
            if reason is None:
                alive.append(manifest)
            else:
                log.error("manifest_refused", reason=reason, **named(manifest))
        return alive

    def _gather(self, manifest: Manifest, found: Iterable[StateBatch]) -> dict[bytes, bytes]:
        self._beat()
        return self._core.gather(manifest, found)
