"""When the next marker of a lane is due, from when the last ones came. It decides how long a drain waits."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Beat:
    last_s: float
    interval_s: float | None = None
    in_drain: bool = False


@dataclass
class Rhythm:
    """The lanes of the partitions held, and their markers. Times are seconds of any one clock that never goes back."""

    _lanes: dict[tuple[int, str], _Beat] = field(default_factory=dict)

    def marker(self, partition: int, catalog: str, now_s: float) -> None:
        """A marker of a lane was processed."""
        beat = self._lanes.get((partition, catalog))
        if beat is None:
            self._lanes[partition, catalog] = _Beat(now_s)
        else:
            beat.interval_s = now_s - beat.last_s
            beat.last_s = now_s
            beat.in_drain = True

    def release(self, partition: int) -> None:
        """Forget the lanes of a partition."""
        self._lanes = {lane: beat for lane, beat in self._lanes.items() if lane[0] != partition}

    def start_drain(self) -> None:
        """From here on markers are counted by `drained`."""
        for beat in self._lanes.values():
            beat.in_drain = False

    def drained(self, partition: int, now_s: float, grace_s: float) -> bool:
        """Whether every lane of the partition whose marker is due within the grace period has had one."""
        return all(
            beat.in_drain or not _due(beat, now_s, grace_s)
            for (lane_partition, _), beat in self._lanes.items()
            if lane_partition == partition
        )


def _due(beat: _Beat, now_s: float, grace_s: float) -> bool:
    return beat.interval_s is not None and beat.last_s + beat.interval_s <= now_s + grace_s
