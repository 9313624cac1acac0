"""Takes headers and pieces from the log and stores the bundles that they make.

Both wait in the database for one another, in whatever order and through whichever replica they come: a piece under its
hash, a header with the names of its pieces. The reader's positions are written with them, so a restart loses nothing,
and an empty database is filled from the log's beginning.
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
from m0index import bundles, changes
from m0index.bundles import Header
from m0index.positions import Positions
from m0index.tables import bundles as repository
from m0index.tables import history, waiting

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
        piece = bundles.read_piece(value)
        await _alone(connection, piece.message.catalog)
        if not await waiting.add_piece(connection, piece, self.clock.now_ms()):
            metrics.PIECES.labels("repeated").inc()
            return []
        stored = []
        for each in await waiting.headers_for(connection, piece.name):
            header = bundles.read_header(each)
            if await repository.is_stored(connection, header.header.bundle_hash):
                continue  # another message about it was the first to be complete
            try:
                if await self._complete(connection, header):
                    stored.append(header)
            except DeadLetterError as error:
                # the piece is as good as it says; the header is what does not hold
                await waiting.remove_header(connection, header.name)
                metrics.REFUSED.labels(header.header.catalog).inc()
                _log.error("header_refused", error=error.error, reason=error.reason)
        metrics.PIECES.labels("kept").inc()
        return stored

    async def add_header(self, connection: Connection, value: bytes) -> Sequence[Header]:
        """Store the bundle of a header, or let it wait for its pieces."""
        header = bundles.read_header(value)
        if header.empty:
            metrics.EMPTY.labels(header.header.catalog).inc()
            return []
        await _alone(connection, header.header.catalog)
        if await repository.is_stored(connection, header.header.bundle_hash):
            return []
        if await self._complete(connection, header):
            return [header]
        await waiting.add_header(connection, header, self.clock.now_ms())
        return []

    def tell(self, stored: Sequence[Header]) -> None:
        """The transaction that stored these bundles has ended."""
        for header in stored:
            metrics.BUNDLES.labels(header.header.catalog).inc()
        if stored:
            self.on_change()

    async def _complete(self, connection: Connection, header: Header) -> bool:
        values = await waiting.pieces(connection, header.message.pieces)
        if values is None:
            return False
        bundle = bundles.assemble(header, [bundles.read_piece(value).message for value in values])
        await repository.store(connection, bundle, self.clock.now_ms())
        await waiting.remove_headers_of(connection, header.header.bundle_hash)
        await changes.notify(connection)
        return True


async def _alone(connection: Connection, catalog: str) -> None:
    """A header and its last piece must not miss each other in two transactions at once."""
    await history.lock(connection, f"bundles:{catalog}")


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
