"""Takes headers and pieces from the log and stores the bundles that they make.

The reader's positions are written with them, so a restart loses nothing, and an empty database is filled from the log's
beginning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from m0common.clock import Clock
from m0common.errors import DeadLetterError
from m0common.settings import Stage
from m0common.store.postgres import Connection, Pool, storable, transaction
from m0common.stream.broker import Broker
from m0common.stream.consumer_loop import ConsumerLoop
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, HEADERS
from m0index import bundles, intake
from m0index.bundles import Header
from m0index.positions import Positions

from m0_indexer import metrics

GROUP = "m0-indexer"

_log = logger(__name__)


@dataclass(slots=True)
class BundleStore:
    """Writes what is checked, in transactions of others; returns the headers whose bundles are stored when they end.

    Both ways in raise DeadLetterError for bytes that cannot be stored.
    """

    clock: Clock
    on_change: Callable[[], None]
    """called after a bundle was stored"""

    async def add_piece(self, connection: Connection, value: bytes) -> Sequence[Header]:
        """Keep a piece, and store the bundles that waited for it."""
        taken = await intake.take_piece(connection, bundles.read_piece(value), self.clock.now_ms())
        for header, error in taken.refused:
            metrics.REFUSED.labels(header.header.catalog).inc()
            _log.error("header_refused", error=error.error, reason=error.reason)
        metrics.PIECES.labels("repeated" if taken.repeated else "kept").inc()
        return [bundle.header for bundle in taken.stored]

    async def add_header(self, connection: Connection, value: bytes) -> Sequence[Header]:
        """Store the bundle of a header, or let it wait for its pieces."""
        header = bundles.read_header(value)
        if header.empty:
            metrics.EMPTY.labels(header.header.catalog).inc()
            return []
        stored = await intake.take_header(connection, header, self.clock.now_ms())
        return [] if stored is None else [header]

    def tell(self, stored: Sequence[Header]) -> None:
        """The transaction that stored these bundles has ended."""
        for header in stored:
            metrics.BUNDLES.labels(header.header.catalog).inc()
        if stored:
            self.on_change()


def bundle_loop(
    store: BundleStore, pool: Pool, broker: Broker, settings: Stage, member: str | None = None
) -> ConsumerLoop:
    """The loop that feeds `store` from both topics."""
    positions = Positions(GROUP, broker, partial(transaction, pool))
    take = {HEADERS.name: store.add_header, BUNDLES.name: store.add_piece}

    async def handle(records: Sequence[Record]) -> None:
        for record in records:
            if positions.passed(record):
                continue  # by an attempt at this batch that something behind it ended
            try:
                with storable():
                    async with positions.taking(record) as connection:
                        stored = await take[record.topic](connection, record.value)
            except DeadLetterError as error:
                _log.error("dead_letter", topic=record.topic, offset=record.offset, reason=str(error))
                # signers write pieces too: none of them can stop this loop
                await loop.dead_letter(record, error, limited=record.topic == HEADERS.name)
                async with positions.taking(record):
                    pass
            else:
                store.tell(stored)

    loop = ConsumerLoop(
        "indexer", list(take), handle, broker, settings, group=GROUP, member=member, positions=positions
    )
    return loop
