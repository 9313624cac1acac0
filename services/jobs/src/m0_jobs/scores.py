"""The first score of a resolved market: Brier and log loss of its last finalized prediction."""

from dataclasses import dataclass

from m0common.canonical import PredictionLeaf
from m0common.clock import Clock
from m0common.errors import InvalidValue
from m0common.fixedpoint import PPB
from m0common.leases.port import Lease
from m0common.leases.rows import fenced
from m0common.store.postgres import Pool
from m0common.telemetry.logs import logger
from m0index.tables import scores
from m0index.tables.scores import Scorable
from m0quant import scoring

from m0_jobs import metrics

BATCH = 500

_log = logger(__name__)


def score(item: Scorable) -> tuple[float, float]:
    """`(Brier score from 0 to 2, log loss in nats)`. Raises InvalidValue when leaf and outcome do not fit."""
    leaf = PredictionLeaf.decode(item.leaf)
    if not 0 <= item.outcome < len(leaf.outcomes):
        raise InvalidValue(f"outcome {item.outcome} of {item.market_id}: the leaf has {len(leaf.outcomes)} outcomes")
    p = [outcome.p / PPB for outcome in leaf.outcomes]
    return scoring.brier(p, item.outcome), scoring.log_loss(p, item.outcome)


@dataclass(slots=True)
class Scorer:
    """The job; a score is written once."""

    pool: Pool
    lease: Lease
    clock: Clock

    async def run(self) -> int:
        """Score what can be; how many. Raises Unavailable, or Fenced when another process leads."""
        now_ms = self.clock.now_ms()
        async with fenced(self.pool, self.lease) as connection:
            items = await scores.scorable(connection, now_ms, BATCH)
            done = 0
            for item in items:
                try:
                    brier, log_loss = score(item)
                except InvalidValue as error:
                    _log.error("not_scored", market_id=item.market_id, error=str(error))
                    continue
                if await scores.store_score(connection, item, brier, log_loss, now_ms):
                    metrics.SCORED.labels(item.catalog).inc()
                    done += 1
        return done
