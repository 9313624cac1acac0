"""What of the lanes' state is still promised, and so what may be cut off the front of its topics. No I/O.

A manifest is promised when its window ended less than the replay horizon before the newest one of its partition, and
when it is the newest of its lane, whatever its age: a lane that is retired, parked or switched off keeps the state it
stopped with. Promised means that the range of the state topic it names is whole.

A lane that stands still would so hold its partition for ever. It is *carried forward*: its newest state is written once
more at the end of the log, with a new manifest, before what is in front of it goes (`m0_jobs.carry`).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from m0common.errors import InvalidValue
from m0common.messages import Manifest
from m0common.stream.broker import TopicPartition
from m0common.topics import MANIFESTS, STATE


class LaneKey(NamedTuple):
    """A lane of one stage; `partition` is also that of its state and of its manifests."""

    stage: int
    catalog: str
    partition: int


class Kept(NamedTuple):
    """What the cut depends on of one manifest, and the offset of its record."""

    lane: LaneKey
    life: int
    position: int
    window_end_ms: int
    from_offset: int
    to_offset: int
    offset: int

    @property
    def state(self) -> TopicPartition:
        """The partition that holds its state."""
        return TopicPartition(STATE[self.lane.stage].name, self.lane.partition)

    @property
    def manifests(self) -> TopicPartition:
        """The partition that holds its record."""
        return TopicPartition(MANIFESTS.name, self.lane.partition)

    @property
    def age(self) -> tuple[int, int, int]:
        """Orders the manifests of a lane; of copies of one state the last written is the newest."""
        return self.life, self.position, self.offset


def kept(manifest: Manifest, partition: int, offset: int) -> Kept:
    """The record at `offset` of `partition`. Raises InvalidValue for a manifest that no stage writes."""
    if manifest.stage not in STATE or manifest.partition != partition:
        raise InvalidValue(
            f"manifest of stage {manifest.stage}, partition {manifest.partition} in partition {partition}"
        )
    if not 0 <= manifest.from_offset <= manifest.to_offset:
        raise InvalidValue(f"manifest of a range from {manifest.from_offset} to {manifest.to_offset}")
    lane = LaneKey(manifest.stage, manifest.catalog, manifest.partition)
    return Kept(
        lane, manifest.life, manifest.position, manifest.window_end_ms, manifest.from_offset, manifest.to_offset, offset
    )


def whole(
    manifests: Iterable[Kept], begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> list[Kept]:
    """Those whose range of state the log still holds; what is not whole can be promised to nobody."""
    return [each for each in manifests if each.from_offset >= begins[each.state] and each.to_offset <= ends[each.state]]


def newest_windows(manifests: Iterable[Kept]) -> dict[int, int]:
    """The newest window end of each partition: the time by which its manifests grow old."""
    newest: dict[int, int] = {}
    for each in manifests:
        partition = each.lane.partition
        newest[partition] = max(newest.get(partition, each.window_end_ms), each.window_end_ms)
    return newest


def newest_of_lanes(manifests: Iterable[Kept]) -> dict[LaneKey, Kept]:
    """The newest manifest of each lane: of its newest life the furthest."""
    newest: dict[LaneKey, Kept] = {}
    for each in manifests:
        known = newest.get(each.lane)
        if known is None or each.age > known.age:
            newest[each.lane] = each
    return newest


def newest_in(partitions: Collection[int], manifests: Iterable[Kept]) -> list[Kept]:
    """The newest manifest of every lane in these partitions, in order of lanes."""
    newest = newest_of_lanes(manifests)
    return [newest[lane] for lane in sorted(newest) if lane.partition in partitions]


def is_young(manifest: Kept, now_ms: Mapping[int, int], horizon_ms: int) -> bool:
    """Whether its window ended less than `horizon_ms` before the newest of its partition."""
    return manifest.window_end_ms > now_ms[manifest.lane.partition] - horizon_ms


def cut_points(manifests: Iterable[Kept], now_ms: Mapping[int, int], horizon_ms: int) -> dict[TopicPartition, int]:
    """For each partition of a state topic and of the manifests, the least offset that a promised manifest needs.

    `now_ms` is the newest window end by partition. What has no promised manifest is left out: nothing is cut there.
    """
    manifests = list(manifests)
    newest = set(newest_of_lanes(manifests).values())
    cuts: dict[TopicPartition, int] = {}
    for each in manifests:
        if each in newest or is_young(each, now_ms, horizon_ms):
            cuts[each.state] = min(cuts.get(each.state, each.from_offset), each.from_offset)
            cuts[each.manifests] = min(cuts.get(each.manifests, each.offset), each.offset)
    return cuts


def standing(manifests: Iterable[Kept], now_ms: Mapping[int, int], horizon_ms: int) -> list[Kept]:
    """The newest manifests of lanes that stand still: the others of their partition have moved on by a whole horizon.

    A lane that was carried forward stands at the end of the log again, so it is carried once per horizon.
    """
    manifests = list(manifests)
    young = [each for each in manifests if is_young(each, now_ms, horizon_ms)]
    floors: dict[TopicPartition, int] = {}
    for each in young:
        floors[each.manifests] = min(floors.get(each.manifests, each.offset), each.offset)
    newest = newest_of_lanes(manifests)
    return sorted(each for each in newest.values() if each.offset < floors.get(each.manifests, 0))
