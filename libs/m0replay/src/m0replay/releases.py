"""Whether what a catalog's lanes need is installed here: the release of every generation on the way."""

from collections.abc import Iterable

import msgspec
from m0common.errors import M0Error
from m0common.messages import StateBatch
from m0common.stream.core import Cut, Output
from m0common.stream.states import Restored
from m0lanes import tags
from m0lanes.control import CatalogSetPayload
from m0lanes.entities import entity_key, key_parts
from m0lanes.generations import lanes_of
from m0lanes.normalize_state import LaneEntity
from m0lanes.packing import unpack
from m0lanes.stages import Heart

_LANE = entity_key(tags.LANE)
_decode_batch = msgspec.msgpack.Decoder(StateBatch).decode
_decode_set = msgspec.json.Decoder(CatalogSetPayload).decode


class NotInstalled(M0Error):
    """A lane runs a release that this process does not have; names release, domain, distribution and version."""


class ReleaseWatch:
    """Follows the sets that normalize has accepted, up to the marker of an epoch; raises NotInstalled where one of them
    cannot be run here.
    """

    def __init__(self, heart: Heart, epoch_id: int) -> None:
        self._heart = heart
        self._epoch_id = epoch_id
        self._sets: dict[tuple[int, bytes], CatalogSetPayload] = {}

    def restored(self, states: Iterable[Restored]) -> None:
        """Lanes go on from these states."""
        for state in states:
            if state.manifest.stage == 1:
                self._look(state.manifest.partition, state.entities.items())

    def observe(self, stage: str, output: Output) -> None:
        """An observer for Chain."""
        if stage != "normalize" or not isinstance(output, Cut):
            return
        if output.epoch_id is None or output.epoch_id < self._epoch_id:
            entries = [entry for value in output.values for entry in _decode_batch(value).entries]
            self._look(output.lane.partition, ((key, value) for key, value in entries if value is not None))

    def _look(self, partition: int, entities: Iterable[tuple[bytes, bytes]]) -> None:
        lane: LaneEntity | None = None
        for key, value in entities:
            if key[0] == tags.SET:
                number, found = key_parts(key)
                self._sets[int.from_bytes(number, "big"), found] = _decode_set(value)
            elif key == _LANE:
                lane = unpack(value, LaneEntity)
        if lane is not None:
            self._check(partition, lane.pending or (lane.generation, lane.set_hash))

    def _check(self, partition: int, place: tuple[int, bytes]) -> None:
        needed = self._sets.get(place)
        if needed is None or partition not in lanes_of(needed) or bytes.fromhex(needed.release) in self._heart.domains:
            return
        domain = needed.domain
        raise NotInstalled(
            f"generation {needed.generation} of {needed.catalog} runs release {needed.release} (domain {domain.name}, "
            f"version {domain.version}, of distribution {domain.distribution}), which is not installed: install it, or "
            "replay from a worktree of that release"
        )
