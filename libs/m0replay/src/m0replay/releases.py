"""Whether what a catalog's lanes need is installed here: the release of every life and generation on the way."""

from collections.abc import Mapping

import msgspec
from m0common.ids import Lane
from m0common.messages import Manifest
from m0common.messages.codec import UNDECODABLE
from m0common.stream.restored import Restored
from m0lanes import tags
from m0lanes.control import CatalogSetPayload
from m0lanes.entities import entity_key
from m0lanes.normalize_state import LaneEntity
from m0lanes.slots import NO_RELEASE, runs
from m0lanes.stages import Heart

from m0replay.bundle_behind import lane_entity
from m0replay.course import NONE_YET, Course
from m0replay.irreplayable import Irreplayable

_decode_set = msgspec.json.Decoder(CatalogSetPayload).decode


class NotInstalled(Irreplayable):
    """A lane runs a release that this process does not have; names release, domain, distribution and version."""


class ReleaseWatch:
    """Looks at who goes on with each lane; raises NotInstalled where that is needed and cannot be run here.

    A life that no header names for what comes next is not needed: a rebase lies ahead.
    """

    def __init__(self, heart: Heart, course: Course) -> None:
        self._heart = heart
        self._course = course

    def runs(self, manifest: Manifest) -> bool:
        """Whether whoever goes on from a checkpoint is here."""
        return manifest.runner == NO_RELEASE or runs(manifest, self._heart.domains)

    def restored(self, found: Restored) -> None:
        """A lane goes on from a state."""
        manifest = found.manifest
        if manifest.stage != 1 or self.runs(manifest):
            return
        now = lane_entity(found) or LaneEntity(last_epoch=NONE_YET)
        lane, release = Lane(manifest.catalog, manifest.partition), manifest.runner
        if self._course.needs(lane.partition, manifest.life, now.last_epoch):
            raise NotInstalled(f"{_who(lane, manifest.life, release, _set(found.entities, now))}, {_REMEDY}")

    def begun(self, lane: Lane, life: int, epoch_id: int, release: bytes) -> None:
        """A lane begins a life behind an epoch."""
        if release not in self._heart.domains and self._course.needs(lane.partition, life, epoch_id):
            raise NotInstalled(f"{_who(lane, life, release, None)}, {_REMEDY}")


_REMEDY = "which is not installed: install it, or replay from a worktree of that release"


def _who(lane: Lane, life: int, release: bytes, made: CatalogSetPayload | None) -> str:
    if made is None or made.release != release.hex():
        return f"life {life} of lane {lane.catalog}/{lane.partition} runs release {release.hex()}"
    domain = made.domain
    return (
        f"generation {made.generation} of {lane.catalog} runs release {made.release} (domain {domain.name}, version "
        f"{domain.version}, of distribution {domain.distribution})"
    )


def _set(entities: Mapping[bytes, bytes], now: LaneEntity) -> CatalogSetPayload | None:
    """The generation that a lane goes on with."""
    number, found = now.pending or (now.generation, now.set_hash)
    value = entities.get(entity_key(tags.SET, number.to_bytes(4, "big"), found))
    try:
        return None if value is None else _decode_set(value)
    except UNDECODABLE:
        return None
