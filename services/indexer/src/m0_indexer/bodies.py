"""Which epochs' bodies are gone: the log was read to its head after the epoch was final, and the body was not there.

A body is written before signers can agree on it. What is not stored when all that was written until then has been read
is in the log no more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from m0common.messages import FinalizedEpoch
from m0common.store.postgres import Connection
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Bounds, bounds
from m0common.stream.partition import partition_for
from m0common.topics import BUNDLES, HEADERS
from m0index.tables import positions

from m0_indexer.consume import GROUP

PATIENCE_MS = 600_000
"""So long after its end an epoch waits for its body: clocks differ, and signers write a body that others did not."""
LOOK_EVERY_MS = 60_000


class Heads(NamedTuple):
    """Where the topics with bodies began and ended when somebody looked."""

    looked_ms: int
    cluster: str
    found: Bounds


async def read_whole(connection: Connection, heads: Heads | None) -> frozenset[int]:
    """The partitions of which the index holds all that there was at a look. To be asked before what it holds is."""
    if heads is None:
        return frozenset()
    begins, ends = heads.found
    stands = await positions.of(connection, GROUP, heads.cluster, ends)
    unread = {place.partition for place, end in ends.items() if max(stands.get(place, 0), begins[place]) < end}
    return frozenset({place.partition for place in ends} - unread)


def is_gone(epoch: FinalizedEpoch, heads: Heads | None, whole: Collection[int]) -> bool:
    """Whether the body of an epoch that is not stored cannot come any more; `whole` are the partitions read whole."""
    if heads is None:
        return False
    count = len({place.partition for place in heads.found.ends})
    home = partition_for(epoch.catalog.encode(), count)
    return home in whole and heads.looked_ms - epoch.at_ms > PATIENCE_MS


@dataclass(slots=True)
class Bodies:
    """Looks at the log, seldom."""

    broker: Broker
    _heads: Heads | None = None

    async def heads(self, now_ms: int) -> Heads:
        """Where the log ends, as of a minute ago at most. Raises Unavailable."""
        if self._heads is None or now_ms - self._heads.looked_ms >= LOOK_EVERY_MS:
            counts = {topic: await self.broker.partitions(topic) for topic in (BUNDLES.name, HEADERS.name)}
            places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
            self._heads = Heads(now_ms, await self.broker.cluster(), await bounds(self.broker, places))
        return self._heads
