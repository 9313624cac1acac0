"""Through which lives a replay goes, and how far each lane has come: the recorded headers name the life that said an
epoch, whatever an older or a newer one of the lane said of it.
"""

from collections.abc import Mapping

import msgspec
from m0common.messages import HeaderMessage, LaneMessage
from m0common.stream.records import Produce
from m0lanes.bodies import Marker

NONE_YET = -1
FOR_EVER = 1 << 63
Named = dict[int, dict[int, int]]
"""By partition and life, the newest epoch whose header names that life of the lane."""

_decode = msgspec.msgpack.Decoder(LaneMessage).decode
_decode_marker = msgspec.msgpack.Decoder(Marker).decode


def note(lives: Named, header: HeaderMessage) -> None:
    """Add what a header names."""
    for lane in header.lanes:
        newest = lives.setdefault(lane.partition, {})
        newest[lane.life] = max(header.epoch_id, newest.get(lane.life, NONE_YET))


class Course:
    """`passed` says by partition the epoch that a lane goes on from. A partition that nothing is named of is read to
    its end.
    """

    def __init__(self, lives: Mapping[int, Mapping[int, int]], passed: Mapping[int, int]) -> None:
        self._lives = lives
        self._passed = dict(passed)

    def at(self, partition: int) -> int:
        """The newest epoch of a lane that the life named for it has said."""
        return self._passed.get(partition, NONE_YET)

    def is_over(self, partition: int) -> bool:
        """Whether a lane has said everything that is needed of it."""
        return self.at(partition) >= max(self._lives.get(partition, {}).values(), default=FOR_EVER)

    def needs(self, partition: int, life: int, behind: int) -> bool:
        """Whether a header names this life of a lane for an epoch behind one; any may be needed where none is known."""
        return not self._lives or self._lives.get(partition, {}).get(life, NONE_YET) > behind

    def hears(self, said: Produce) -> bool:
        """Whether a message of the last lane stage is of the life that is named for what comes next, or of a later one.

        What a life said behind its last epoch, before its rebase was read, never came into a bundle.
        """
        message = _decode(said.value)
        partition = message.partition
        behind = self.at(partition)
        following = [life for life, newest in self._lives.get(partition, {}).items() if newest > behind]
        if following and message.life < min(following):
            return False
        if message.kind == "marker":
            self._passed[partition] = max(behind, _decode_marker(message.body).epoch_id)
        return True
