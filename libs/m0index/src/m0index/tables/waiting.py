"""Pieces that no header has asked for yet, and headers whose pieces are not all here."""

from collections.abc import Sequence

from m0common.store.postgres import Connection

from m0index.bundles import Header, Piece


async def add_piece(connection: Connection, piece: Piece, now_ms: int) -> bool:
    """Keep a piece; False when it is there already."""
    added = await connection.execute(
        "INSERT INTO pieces (name, catalog, value, stored_ms) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (piece.name, piece.message.catalog, piece.value, now_ms),
    )
    return added.rowcount > 0


async def pieces(connection: Connection, names: Sequence[bytes]) -> list[bytes] | None:
    """The messages of these names in this order, None when one is not here."""
    found = await connection.execute("SELECT name, value FROM pieces WHERE name = ANY(%s::bytea[])", (list(names),))
    known = {bytes(row["name"]): bytes(row["value"]) for row in await found.fetchall()}
    return [known[name] for name in names] if known.keys() >= set(names) else None


async def add_header(connection: Connection, header: Header, now_ms: int) -> None:
    """Let a header wait for its pieces; two messages about one header wait beside each other."""
    await connection.execute(
        """
        INSERT INTO waiting_headers (name, bundle_hash, catalog, value, pieces, stored_ms)
        VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (
            header.name,
            header.header.bundle_hash,
            header.header.catalog,
            header.value,
            list(header.message.pieces),
            now_ms,
        ),
    )


async def headers_for(connection: Connection, name: bytes) -> list[bytes]:
    """The messages of headers that wait for a piece of this name, oldest first."""
    found = await connection.execute(
        "SELECT value FROM waiting_headers WHERE pieces @> ARRAY[%s]::bytea[] ORDER BY stored_ms, name", (name,)
    )
    return [bytes(row["value"]) for row in await found.fetchall()]


async def remove_header(connection: Connection, name: bytes) -> None:
    """A message waits no more; others about the same header still do."""
    await connection.execute("DELETE FROM waiting_headers WHERE name = %s", (name,))


async def remove_headers_of(connection: Connection, bundle_hash: bytes) -> None:
    """No message about this bundle waits any more."""
    await connection.execute("DELETE FROM waiting_headers WHERE bundle_hash = %s", (bundle_hash,))


async def count_headers(connection: Connection) -> int:
    """How many headers wait."""
    row = await (await connection.execute("SELECT count(*) AS n FROM waiting_headers")).fetchone()
    return 0 if row is None else int(row["n"])


async def give_up_headers(connection: Connection, before_ms: int) -> list[tuple[str, bytes]]:
    """Remove headers that have waited since before `before_ms`; `(catalog, bundle hash)` of each."""
    gone = await connection.execute(
        "DELETE FROM waiting_headers WHERE stored_ms < %s RETURNING catalog, bundle_hash", (before_ms,)
    )
    return [(row["catalog"], bytes(row["bundle_hash"])) for row in await gone.fetchall()]


async def remove_pieces(connection: Connection, before_ms: int, max_bytes: int) -> int:
    """Remove pieces stored before `before_ms`, and the oldest beyond `max_bytes` in all; how many.

    What a waiting header has asked for stays.
    """
    gone = await connection.execute(
        """
        DELETE FROM pieces p USING (
            SELECT name, stored_ms, sum(octet_length(value)) OVER (ORDER BY stored_ms DESC, name) AS bytes FROM pieces
        ) kept
        WHERE p.name = kept.name AND (kept.stored_ms < %s OR kept.bytes > %s)
          AND NOT EXISTS (SELECT FROM waiting_headers w WHERE w.pieces @> ARRAY[p.name::bytea])
        """,
        (before_ms, max_bytes),
    )
    return gone.rowcount
