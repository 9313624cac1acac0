"""Bundles and their leaves put back from the archived log: those that Kafka has forgotten, and the index lost.

Headers first, then the pieces that they wait for; each is checked as the indexer checks it, so a leaf that comes back
has the root that its header names. What is in the index already is passed over.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from m0archive.incarnation import Incarnation, incarnations
from m0archive.store import Store
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.store.postgres import Pool, storable, transaction
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, HEADERS, Topic
from m0index import bundles, intake
from m0index.bundles import Bundle
from m0index.tables import waiting

from m0deploy.backup import patient

_log = logger(__name__)


@dataclass(slots=True)
class PutBack:
    """What was read, how many bundles with how many leaves were put in, and how many messages did not hold."""

    headers: int = 0
    bundles: int = 0
    leaves: int = 0
    refused: int = 0

    def count(self, stored: Sequence[Bundle]) -> None:
        """These were put in."""
        self.bundles += len(stored)
        self.leaves += sum(len(bundle.leaves) for bundle in stored)


async def restore_bundles(
    store: Store, deployment: Deployment, settings: Postgres, clock: Clock, says: Callable[[str], None]
) -> PutBack:
    """Put what is missing into the index, of every log in the archive. The same again puts nothing in; interrupted, it
    goes on. `says` is told what is read. Raises NoArchive, Damaged, Unavailable.
    """
    done = PutBack()
    async with postgres.opened(patient(settings), name="m0-restore") as pool:
        async for log in incarnations(store, deployment):
            says(f"log of cluster {log.cluster}")
            async for records in _records(log, HEADERS):
                await _headers(pool, records, clock, done)
            async for records in _records(log, BUNDLES):
                await _pieces(pool, records, clock, done)
    return done


async def _records(log: Incarnation, topic: Topic) -> AsyncIterator[Sequence[Record]]:
    """What the archive holds of a topic, partition by partition; what it lacks is passed over."""
    gaps = [gap async for gap in log.gaps() if gap.topic == topic.name]
    for partition in range(log.partitions(topic.name)):
        where = TopicPartition(topic.name, partition)
        behind = {gap.first: gap.end for gap in gaps if gap.partition == partition}
        at = log.begin(where)
        while at < log.end(where):
            if at in behind:
                at = behind[at]
                continue
            records, at = await log.read(where, at)
            yield records


async def _headers(pool: Pool, records: Sequence[Record], clock: Clock, done: PutBack) -> None:
    for record in records:
        try:
            header = bundles.read_header(record.value)
            if header.empty:
                continue
            with storable():
                async with transaction(pool) as connection:
                    stored = await intake.take_header(connection, header, clock.now_ms())
        except DeadLetterError as error:
            _refused(record, error, done)
        else:
            done.headers += 1
            done.count([] if stored is None else [stored])


async def _pieces(pool: Pool, records: Sequence[Record], clock: Clock, done: PutBack) -> None:
    for record in records:
        try:
            piece = bundles.read_piece(record.value)
            with storable():
                async with transaction(pool) as connection:
                    if not await waiting.headers_for(connection, piece.name):
                        continue  # nobody asks for it: it stays in the archive
                    taken = await intake.take_piece(connection, piece, clock.now_ms())
        except DeadLetterError as error:
            _refused(record, error, done)
        else:
            done.count(taken.stored)
            done.refused += len(taken.refused)


def _refused(record: Record, error: DeadLetterError, done: PutBack) -> None:
    done.refused += 1
    _log.warning("refused", topic=record.topic, partition=record.partition, offset=record.offset, reason=str(error))
