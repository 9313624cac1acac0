"""Bounds what waits: pieces that nobody asked for, and headers whose pieces never came."""

import asyncio
from dataclasses import dataclass

from m0common.clock import Clock
from m0common.store.postgres import Pool, transaction
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, HOUR_MS
from m0index.tables import waiting

from m0_indexer import metrics

EVERY_S = 60.0
PIECE_KEEP_MS = HOUR_MS
"""Pieces are written right before the header that names them; for so long another header may name them too."""
PIECES_MAX_BYTES = 1 << 30
"""Of all pieces that no waiting header has asked for; the oldest go first."""
HEADER_KEEP_MS = BUNDLES.retention_ms
"""Behind it the log has lost the pieces as well."""

_log = logger(__name__)


@dataclass(slots=True)
class Sweeper:
    """Removes what has waited too long, from time to time."""

    pool: Pool
    clock: Clock
    max_bytes: int = PIECES_MAX_BYTES

    async def run(self) -> None:
        """Never ends by itself; raises what `once` raises."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """Remove what is too old or too much."""
        now_ms = self.clock.now_ms()
        async with transaction(self.pool) as connection:
            given_up = await waiting.give_up_headers(connection, now_ms - HEADER_KEEP_MS)
            removed = await waiting.remove_pieces(connection, now_ms - PIECE_KEEP_MS, self.max_bytes)
            metrics.HEADERS_WAITING.set(await waiting.count_headers(connection))
        metrics.PIECES_REMOVED.inc(removed)
        for catalog, bundle_hash in given_up:
            metrics.HEADERS_GIVEN_UP.labels(catalog).inc()
            _log.error(
                "header_given_up", catalog=catalog, bundle_hash=bundle_hash.hex(), reason="its pieces never came"
            )
