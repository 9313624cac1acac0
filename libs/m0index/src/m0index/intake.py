"""How headers and pieces of the log become bundles: both wait in the database for one another, in whatever order and
through whomever they come, a piece under its hash, a header with the names of its pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from m0common.errors import DeadLetterError
from m0common.store.postgres import Connection

from m0index import bundles, changes
from m0index.bundles import Bundle, Header, Piece
from m0index.tables import bundles as repository
from m0index.tables import history, waiting


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a piece: the bundles that it made complete, and headers that turned out not to hold. A piece that
    was `repeated` had come before.
    """

    stored: Sequence[Bundle] = ()
    refused: Sequence[tuple[Header, DeadLetterError]] = ()
    repeated: bool = False


async def take_piece(connection: Connection, piece: Piece, now_ms: int) -> Taken:
    """Keep a piece, and store the bundles that waited for it."""
    await _alone(connection, piece.message.catalog)
    if not await waiting.add_piece(connection, piece, now_ms):
        return Taken(repeated=True)
    stored: list[Bundle] = []
    refused: list[tuple[Header, DeadLetterError]] = []
    for each in await waiting.headers_for(connection, piece.name):
        header = bundles.read_header(each)
        if await repository.is_stored(connection, header.header.bundle_hash):
            continue  # another message about it was the first to be complete
        try:
            bundle = await _completed(connection, header, now_ms)
        except DeadLetterError as error:
            # the piece is as good as it says; the header is what does not hold
            await waiting.remove_header(connection, header.name)
            refused.append((header, error))
        else:
            stored += [] if bundle is None else [bundle]
    return Taken(stored, refused)


async def take_header(connection: Connection, header: Header, now_ms: int) -> Bundle | None:
    """Store the bundle of a header that has leaves, or let it wait for its pieces; the bundle if it was stored now.
    Raises DeadLetterError for one that does not hold.
    """
    await _alone(connection, header.header.catalog)
    if await repository.is_stored(connection, header.header.bundle_hash):
        return None
    bundle = await _completed(connection, header, now_ms)
    if bundle is None:
        await waiting.add_header(connection, header, now_ms)
    return bundle


async def _completed(connection: Connection, header: Header, now_ms: int) -> Bundle | None:
    values = await waiting.pieces(connection, header.message.pieces)
    if values is None:
        return None
    bundle = bundles.assemble(header, [bundles.read_piece(value).message for value in values])
    await repository.store(connection, bundle, now_ms)
    await waiting.remove_headers_of(connection, header.header.bundle_hash)
    await changes.notify(connection)
    return bundle


async def _alone(connection: Connection, catalog: str) -> None:
    """A header and its last piece must not miss each other in two transactions at once."""
    await history.lock(connection, f"bundles:{catalog}")
