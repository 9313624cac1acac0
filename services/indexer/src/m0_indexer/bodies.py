"""Which epochs' bodies are gone: a body is written before its epoch is final, and the log holds nothing that old."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from m0common.errors import OffsetsGone
from m0common.messages import FinalizedEpoch
from m0common.stream.broker import Broker
from m0common.stream.follow import Follower
from m0common.stream.partition import partition_for
from m0common.topics import BUNDLES

CLOCKS_MS = 600_000
"""So far clocks of the chain, of the log's writers and of this process may be apart."""
LOOK_EVERY_MS = 60_000
_SOME = 100

Ages = Mapping[int, int | None]
"""By partition of `m0.bundles`: when its oldest record was written, None for one that holds nothing."""


def is_gone(epoch: FinalizedEpoch, ages: Ages, now_ms: int) -> bool:
    """Whether the body of an epoch that is not stored cannot come from a log of these ages any more."""
    if not ages:
        return False
    oldest_ms = ages[partition_for(epoch.catalog.encode(), len(ages))]
    return (now_ms if oldest_ms is None else oldest_ms) - epoch.at_ms > CLOCKS_MS


@dataclass(slots=True)
class Bodies:
    """Looks at the log's beginning, seldom."""

    broker: Broker
    _ages: Ages = field(default_factory=dict)
    _looked_ms: int | None = None

    async def ages(self, now_ms: int) -> Ages:
        """How far back the log goes. Raises Unavailable."""
        if self._looked_ms is None or now_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._ages = await _look(self.broker)
            self._looked_ms = now_ms
        return self._ages


async def _look(broker: Broker) -> Ages:
    async with Follower(broker) as follower:
        places = await follower.places(BUNDLES.name)
        await follower.open(places)
        begins, ends = follower.begins, follower.ends
        missing = {place for place in places if begins[place] < ends[place]}
        # what cannot be told is taken for as old as can be: nothing is given up for it
        found: dict[int, int | None] = {place.partition: 0 if place in missing else None for place in places}
        await follower.go({place: begins[place] for place in missing}, {place: ends[place] for place in missing})
        try:
            while missing and (records := await follower.next(_SOME, only=missing)):
                for record in records:
                    place = next((p for p in missing if p.partition == record.partition), None)
                    if place is not None:
                        found[record.partition] = record.append_ms
                        missing.remove(place)
        except OffsetsGone:
            pass  # it was trimmed meanwhile: the next look tells
        return found
