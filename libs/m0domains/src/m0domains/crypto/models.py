"""Stage 3: the probability that a market's own order book implies, with risk from staleness, depth and spread."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import msgspec
from m0common.canonical import FLAGS
from m0lanes.bodies import MarketOpened
from m0lanes.port import NOTHING, Distribution, Step, View
from m0quant.consensus import BookParams, Consensus, risk_bps
from m0quant.distribution import rounded
from m0quant.fixed import PPB

from m0domains.crypto import guardrails
from m0domains.crypto.payloads import OUTCOMES, UP


class BookConsensus:
    """See Model. It has no state of its own: the row says everything."""

    name = "book_consensus"
    version = 1
    learns: Sequence[str] = ()
    entities: Mapping[str, type[msgspec.Struct]]

    def __init__(self) -> None:
        self.entities = {}
        self._params = BookParams()

    def artifact(self) -> bytes:
        """The parameters, as text, since some are floats written in source code."""
        return msgspec.msgpack.encode([f"{key}={value!r}" for key, value in sorted(asdict(self._params).items())])

    def learn(self, view: View, body: msgspec.Struct) -> Step:  # noqa: ARG002 - the port has them
        """Nothing to learn."""
        return NOTHING

    def predict(self, view: View, market: MarketOpened, row: Mapping[str, int]) -> Distribution:
        """Blocked without a book, or with one too old to mean anything."""
        if sorted(market.outcomes) != sorted(OUTCOMES) or "book_consensus_ppb" not in row:
            return Distribution.blocked(FLAGS.LOW_COVERAGE)
        age = row["book_age_ms"]
        if guardrails.too_old(view, age):
            return Distribution.blocked(FLAGS.STALE)
        p, lo, hi = (row[f"book_{name}_ppb"] / PPB for name in ("consensus", "lo", "hi"))
        seen = Consensus(p, lo, hi, row["book_spread_ppb"], row["book_depth_milli"], bool(row["book_one_sided"]))
        sides = [(p, lo, hi) if name == UP else (1.0 - p, 1.0 - hi, 1.0 - lo) for name in market.outcomes]
        said = rounded([side[0] for side in sides], [side[1] for side in sides], [side[2] for side in sides])
        risk = risk_bps(seen, age, self._params)
        return Distribution(said, risk, guardrails.flags(view, said, row, seen, age))
