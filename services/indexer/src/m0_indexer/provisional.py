"""Keeps the newest provisional prediction of each market in the database.

They decide nothing and some may be lost: the reader begins at the end of the log, commits no offsets, and what does not
fit its bounded memory while the database is away is dropped.
"""

import asyncio
from dataclasses import dataclass, field

from m0common.errors import DeadLetterError, OffsetsGone, Unavailable
from m0common.messages import ProvisionalPrediction
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import AT_END, TopicPartition
from m0common.stream.door import read_provisional
from m0common.stream.follow import Follower
from m0common.telemetry.logs import logger
from m0common.topics import PROVISIONAL
from m0index import changes
from m0index.tables import provisional as repository

from m0_indexer import metrics

EVERY_S = 1.0
"""Readers of the index are told of changes, and forget what they have kept, at most this often."""
MARKETS_MAX = 100_000
"""Markets whose newest prediction waits to be written."""

_log = logger(__name__)


@dataclass(slots=True)
class Newest:
    """The newest prediction of each market since the last write: of several the highest `(life, cause)` counts."""

    limit: int = MARKETS_MAX
    by_market: dict[str, ProvisionalPrediction] = field(default_factory=dict)

    def add(self, prediction: ProvisionalPrediction) -> bool:
        """Take one in; False when there is no room for another market."""
        known = self.by_market.get(prediction.market_id)
        if known is None and len(self.by_market) >= self.limit:
            return False
        if known is None or (prediction.life, prediction.cause) > (known.life, known.cause):
            self.by_market[prediction.market_id] = prediction
        return True


@dataclass(slots=True)
class ProvisionalStore:
    """Gathers predictions and writes them, many markets at once."""

    pool: Pool
    waiting: Newest = field(default_factory=Newest)

    def take(self, value: bytes) -> None:
        """Gather one message. Raises DeadLetterError for what is none."""
        if not self.waiting.add(read_provisional(value)):
            metrics.PROVISIONAL.labels("dropped").inc()

    async def run(self) -> None:
        """Write what was gathered every now and then; never ends by itself."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.write()
            except Unavailable as error:
                _log.warning("provisional_waits", error=str(error))

    async def write(self) -> int:
        """Write what was gathered; how many. Raises Unavailable, and keeps it then."""
        batch, self.waiting = self.waiting, Newest(self.waiting.limit)
        if not batch.by_market:
            return 0
        try:
            async with transaction(self.pool) as connection:
                await repository.put(connection, list(batch.by_market.values()))
                await changes.notify(connection)
        except Unavailable:
            for prediction in self.waiting.by_market.values():
                batch.add(prediction)
            self.waiting = batch
            raise
        metrics.PROVISIONAL.labels("stored").inc(len(batch.by_market))
        return len(batch.by_market)


async def read(store: ProvisionalStore, follower: Follower) -> None:
    """Feed `store` with what comes from now on; never ends by itself."""
    places = await follower.places(PROVISIONAL.name)
    await follower.open(places)
    starts = dict.fromkeys(places, AT_END)
    while True:
        try:
            await follower.go(starts)
            while True:
                await _take(store, follower)
                starts = dict(follower.next_offsets)
        except OffsetsGone as error:
            _log.warning("provisional_lost", reason=str(error))
            starts = starts | {TopicPartition(error.topic, error.partition): AT_END}


async def _take(store: ProvisionalStore, follower: Follower) -> None:
    for record in await follower.next():
        try:
            store.take(record.value)
        except DeadLetterError as error:
            follower.unreadable(record, error)
