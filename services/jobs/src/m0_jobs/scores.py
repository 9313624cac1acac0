"""The first score of a resolved market: Brier and log loss of its last finalized prediction."""

from dataclasses import dataclass, field

from m0common.canonical import PredictionLeaf
from m0common.clock import Clock
from m0common.errors import InvalidValue
from m0common.fixedpoint import PPB
from m0common.leases.port import Lease
from m0common.leases.rows import fenced
from m0common.store.postgres import Pool
from m0common.telemetry.logs import logger
from m0index.tables import scores
from m0index.tables.scores import Score, Unscored
from m0quant import scoring

from m0_jobs import metrics
from m0_jobs.rotation import Rotation

BATCH = 500

_log = logger(__name__)


def score(item: Unscored) -> Score | None:
    """The score, None while the last prediction is not certain. Raises InvalidValue when they do not fit."""
    if item.leaf is None or item.epoch_id is None or item.model is None:
        return None
    leaf = PredictionLeaf.decode(bytes(item.leaf))
    if not 0 <= item.outcome < len(leaf.outcomes):
        raise InvalidValue(f"outcome {item.outcome} of {item.market_id}: the leaf has {len(leaf.outcomes)} outcomes")
    p = [outcome.p / PPB for outcome in leaf.outcomes]
    brier, log_loss = scoring.brier(p, item.outcome), scoring.log_loss(p, item.outcome)
    return Score(item.market_id, item.epoch_id, item.model, item.catalog, item.outcome, brier, log_loss)


@dataclass(slots=True)
class Scorer:
    """The job; a score is written once. A run looks at a page of markets that have none, the next one at the next."""

    pool: Pool
    lease: Lease
    clock: Clock
    pages: Rotation[tuple[int, str]] = field(default_factory=lambda: Rotation((-1, "")))
    batch: int = BATCH
    """markets a run"""

    async def run(self) -> int:
        """Score what can be; how many. Raises Unavailable, or Fenced when another process leads."""
        now_ms, done = self.clock.now_ms(), 0
        async with fenced(self.pool, self.lease) as connection:
            page = await scores.unscored(connection, now_ms, self.pages.behind, self.batch)
            self.pages.turn(page, self.batch, lambda item: (item.resolved_ms, item.market_id))
            for item in page:
                found = _scored(item)
                if found is not None and await scores.store_score(connection, found, now_ms):
                    metrics.SCORED.labels(item.catalog).inc()
                    done += 1
        return done


def _scored(item: Unscored) -> Score | None:
    try:
        return score(item)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one market is no other's fault
        metrics.UNSCORABLE.labels(type(error).__name__).inc()
        _log.error("not_scored", market_id=item.market_id, error=str(error))
        return None
