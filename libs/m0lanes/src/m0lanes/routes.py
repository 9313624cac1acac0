"""Which lanes of stage 1 take the events of a group: those of every catalog of the partition that names it."""

from collections.abc import Iterable, Sequence

from m0lanes.generations import partition_of
from m0lanes.normalize_state import NormalizeState
from m0lanes.slots import Slot


class Routes:
    """The slots by partition and group, in order of their catalogs; made anew whenever a generation takes force."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._slots: dict[tuple[int, str], list[Slot[NormalizeState]]] = {}

    def make(self, slots: Iterable[Slot[NormalizeState]]) -> None:
        """From these slots, in this order."""
        self._slots = {}
        for slot in slots:
            for group in sorted(slot.state.known_groups):
                if partition_of(group, self._partitions) == slot.lane.partition:
                    self._slots.setdefault((slot.lane.partition, group), []).append(slot)

    def of(self, partition: int, group: str) -> Sequence[Slot[NormalizeState]]:
        """The slots that a group goes to in this partition; none when it lives in another."""
        return self._slots.get((partition, group), ())

    def speaker(self, partition: int, group: str) -> Slot[NormalizeState]:
        """Whoever says the letters of a group: of two catalogs whose generation in force names it, the first."""
        naming = (s for s in self._slots[partition, group] if (now := s.state.in_force) and group in now.groups)
        return next(naming)
