"""The newest provisional prediction of each market."""

from collections.abc import Sequence

from m0common.messages import ProvisionalPrediction
from m0common.store.postgres import Connection
from psycopg.types.json import Jsonb


async def put(connection: Connection, newest: Sequence[ProvisionalPrediction]) -> None:
    """Store one prediction of each of several markets, where none of a higher `(life, cause)` is there."""
    async with connection.cursor() as cursor:
        # always in one order, so that two writers never wait for each other
        await cursor.executemany(
            """
            INSERT INTO provisional AS p (market_id, catalog, epoch_id, life, cause, event_ms, window_end_ms, outcomes,
                                          risk_bps, quality_flags, model, model_key)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (market_id) DO UPDATE SET
                catalog = excluded.catalog, epoch_id = excluded.epoch_id, life = excluded.life, cause = excluded.cause,
                event_ms = excluded.event_ms, window_end_ms = excluded.window_end_ms, outcomes = excluded.outcomes,
                risk_bps = excluded.risk_bps, quality_flags = excluded.quality_flags, model = excluded.model,
                model_key = excluded.model_key
            WHERE (excluded.life, excluded.cause) > (p.life, p.cause)
            """,
            [
                (
                    each.market_id, each.catalog, each.epoch_id, each.life, each.cause, each.event_ms,
                    each.window_end_ms, Jsonb([list(outcome) for outcome in each.outcomes]), each.risk_bps,
                    each.quality_flags, each.model, each.model_key,
                )
                for each in sorted(newest, key=lambda prediction: prediction.market_id)
            ],
        )  # fmt: skip
