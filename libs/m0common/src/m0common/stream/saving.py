"""Writing checkpoints: the state of all of them, then, once that is acknowledged, the manifests over it."""

from collections.abc import Sequence

from m0common.messages import encode
from m0common.stream.broker import Producer, TopicPartition, Written
from m0common.stream.core import Cut
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Produce
from m0common.stream.retry import Retry
from m0common.topics import MANIFESTS, STATE

_NOWHERE = Written(0, 0)
"""Of a checkpoint without values: its manifest knows where its state lies."""


class Saving:
    """Writes the checkpoints of one stage, however often it takes."""

    def __init__(self, stage: int, producer: Producer, retry: Retry, metrics: StageMetrics) -> None:
        self._topic = STATE[stage].name
        self._producer = producer
        self._retry = retry
        self._metrics = metrics

    async def save(self, cuts: Sequence[Cut]) -> None:
        """Write checkpoints, in the order they were cut. What was said before them is acknowledged by now."""
        if not cuts:
            return
        values = [
            Produce(self._topic, cut.lane.partition, cut.lane.catalog.encode(), value)
            for cut in cuts
            for value in cut.values
        ]
        written = await self._retry.send(self._producer, values) if values else {}
        said = []
        for cut in cuts:
            where = written.get(TopicPartition(self._topic, cut.lane.partition), _NOWHERE)
            # others' state may lie in the range as well: readers pick a lane's own, by position
            manifest = cut.complete(where.first, where.end)
            said.append(Produce(MANIFESTS.name, cut.lane.partition, cut.lane.catalog.encode(), encode(manifest)))
        await self._retry.send(self._producer, said)
        self._metrics.checkpoints.inc(len(cuts))
        self._metrics.checkpoint_bytes.inc(sum(len(value.value) for value in values))
