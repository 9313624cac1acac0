"""Two-outcome markets from their own order book, with risk from staleness, depth and spread."""

from dataclasses import asdict

from m0common.canonical import FLAGS
from m0common.messages import Body, CatalogSet, FeatureRow, MarketOpened
from m0common.stream.entities import Entities
from m0quant.consensus import BookParams, Consensus, risk_bps
from m0quant.fixed import PPB

from m0lanes.codec import pack
from m0lanes.models.distribution import Distribution, disagreement
from m0lanes.settings import param

STALE_MS = 15_000
BLOCK_STALE_MS = 120_000
MIN_DEPTH_MILLI = 100_000
WIDE_INTERVAL_PPB = 350_000_000
DIVERGENCE_LIMIT_PPB = 150_000_000


class BookConsensus:
    """See Model in m0lanes.model. It has no state of its own: the row says everything."""

    name = "book_consensus"
    version = 1

    def __init__(self) -> None:
        self._params = BookParams()

    def artifact(self) -> bytes:
        """The parameters, as text."""
        return pack([f"{key}={value!r}" for key, value in sorted(asdict(self._params).items())])

    def learn(self, body: Body) -> None:
        """Nothing to learn."""

    def predict(self, market: MarketOpened, row: FeatureRow, config: CatalogSet) -> Distribution:
        """First and second outcome. Blocked without a book, or with one too old to mean anything."""
        values = dict(row.values)
        if len(market.outcomes) != 2 or "book_consensus_ppb" not in values:
            return Distribution.blocked(FLAGS.LOW_COVERAGE)
        age = values["book_age_ms"]
        if age > param(config, "block_stale_ms", BLOCK_STALE_MS):
            return Distribution.blocked(FLAGS.STALE)
        p, lo, hi = (values[f"book_{name}_ppb"] / PPB for name in ("consensus", "lo", "hi"))
        seen = Consensus(
            p, lo, hi, values["book_spread_ppb"], values["book_depth_milli"], bool(values["book_one_sided"])
        )
        said = Distribution.of((p, 1.0 - p), (lo, 1.0 - hi), (hi, 1.0 - lo), 0, FLAGS(0))
        flags = FLAGS(0)
        if age > param(config, "stale_ms", STALE_MS):
            flags |= FLAGS.STALE
        if seen.depth_milli < param(config, "min_depth_milli", MIN_DEPTH_MILLI) or seen.one_sided:
            flags |= FLAGS.THIN_BOOK
        if said.widest() > param(config, "wide_interval_ppb", WIDE_INTERVAL_PPB):
            flags |= FLAGS.WIDE_INTERVAL
        if disagreement(said.outcomes, row) > param(config, "divergence_limit_ppb", DIVERGENCE_LIMIT_PPB):
            flags |= FLAGS.DIVERGENCE
        return Distribution(said.outcomes, risk_bps(seen, age, self._params), flags)

    def settle(self, entities: Entities) -> None:
        """No state."""

    def resume(self, entities: Entities) -> None:
        """No state."""
