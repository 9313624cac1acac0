"""How the bundle stage reads a catalog's log beside its order: what waits, what is called, what is strange."""

from dataclasses import dataclass, field
from typing import NamedTuple

from m0common.messages import LaneMessage
from m0common.stream.core import MARKERS_DUE

from m0lanes.bodies import Marker
from m0lanes.slots import NO_RELEASE


class Strange(NamedTuple):
    """What a lane speaks under, the newest epoch whose marker it said so, and how many such markers have gone by."""

    release: bytes
    epoch_id: int
    markers: int


@dataclass
class Reading:
    """How a catalog's log is read, beside its order."""

    waiting: dict[int, int] = field(default_factory=dict)
    """The lanes that wait, and the offset of the first message that was not taken of each."""
    ahead: set[int] = field(default_factory=set)
    """Those of them that wait since they have passed as many epochs as they may."""
    called: int | None = None
    """Where somebody else's catalog began a life under a release of ours; it is taken over as soon as a state of it
    is found.
    """
    until: int = 0
    """Before this offset the catalog is read here, whatever release is in force."""
    pinned: bool = False
    """There is a checkpoint that has to be read on from, although the catalog has ended."""
    strange: dict[int, Strange] = field(default_factory=dict)
    """The lanes of the generation in force that speak under another release than the one in force."""

    def note_strange(self, message: LaneMessage, marker: Marker, generation: int) -> None:
        """Note a lane of the generation in force that says a marker under another release than the one in force. Of one
        that ends with it no more will come.
        """
        _, epoch_id, markers = self.strange.get(message.partition, Strange(NO_RELEASE, -1, 0))
        if marker.generation == generation and marker.epoch_id > epoch_id:
            more = MARKERS_DUE if marker.ends else 1
            self.strange[message.partition] = Strange(message.release, marker.epoch_id, markers + more)

    def problem(self, catalog: str, release: bytes) -> str | None:
        """Why `catalog`, whose other lanes speak under `release`, closes no epochs, None as far as is known."""
        for partition, (other, _, markers) in sorted(self.strange.items()):
            if markers >= MARKERS_DUE:
                return (
                    f"lane {partition} speaks under release {other.hex()} and others of the catalog under "
                    f"{release.hex()}, and an epoch has one release: give all lanes the same with 'm0 lane rebase "
                    f"{catalog} --release {release.hex()}'"
                )
        return None
