"""Takes outcomes from `m0.outcomes` into the database.

The last one said of a market counts, until the chain has resolved it: a later one is a correction, void or not. What
does not fit its market counts nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from m0chain.accounts import VOID
from m0common.clock import Clock
from m0common.errors import DeadLetterError, InvalidValue
from m0common.ids import check_catalog, check_market_id
from m0common.messages import MarketOutcome
from m0common.messages.codec import checked
from m0common.settings import Stage
from m0common.store.postgres import storable
from m0common.stream.broker import Broker
from m0common.stream.consumer_loop import ConsumerLoop
from m0common.stream.door import check_count, check_digest, check_text, decoded
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import OUTCOMES
from m0index.positions import Positions
from m0index.tables import outcomes
from m0index.tables.outcomes import Standing

from m0_jobs import metrics

GROUP = "m0-jobs"

_log = logger(__name__)
_decoder = msgspec.msgpack.Decoder(MarketOutcome)


def read_outcome(value: bytes) -> MarketOutcome:
    """An outcome that can be stored. Raises DeadLetterError `invalid_outcome`."""
    outcome = decoded(_decoder, value, "invalid_outcome")
    with checked("invalid_outcome"):
        check_market_id(outcome.market_id)
        check_catalog(outcome.catalog)
        check_text("source", outcome.source)
        check_count("event_ms", outcome.event_ms)
        check_digest("evidence hash", outcome.evidence_hash)
        if not 0 <= outcome.outcome <= VOID:
            raise InvalidValue(f"outcome {outcome.outcome} of {outcome.market_id}: 0 to {VOID}")
    return outcome


def verdict(outcome: MarketOutcome, known: Standing) -> str:
    """What an outcome is: `new`, `repeated`, `corrected` (the one before it is replaced), `contradicting` (the market
    is resolved otherwise). Raises DeadLetterError `unfit_outcome` when its market cannot have it.
    """
    if known.catalog is not None and outcome.catalog != known.catalog:
        raise DeadLetterError("unfit_outcome", f"{outcome.market_id} is in {known.catalog}, not in {outcome.catalog}")
    if known.outcome_count is not None and outcome.outcome != VOID and outcome.outcome >= known.outcome_count:
        raise DeadLetterError(
            "unfit_outcome", f"outcome {outcome.outcome} of {outcome.market_id}: it has {known.outcome_count}"
        )
    if known.resolution is not None:
        return "repeated" if known.resolution == outcome.outcome else "contradicting"
    if known.outcome is None:
        return "new"
    return "repeated" if known.outcome == outcome.outcome else "corrected"


@dataclass(slots=True)
class OutcomeStore:
    """Writes what is checked, and how far it has been read."""

    positions: Positions
    clock: Clock

    async def take(self, record: Record) -> None:
        """Take in one message. Raises DeadLetterError, Elsewhere, or Unavailable."""
        outcome = read_outcome(record.value)
        with storable():
            async with self.positions.taking(record) as connection:
                known = await outcomes.standing(connection, outcome.market_id)
                kind = verdict(outcome, known)
                if kind in {"new", "corrected"}:
                    await outcomes.store_outcome(connection, outcome, self.clock.now_ms())
        metrics.OUTCOMES.labels(kind).inc()
        if kind == "corrected":
            _log.warning("outcome_corrected", market_id=outcome.market_id, before=known.outcome, now=outcome.outcome)
        elif kind == "contradicting":
            _log.error(
                "outcome_contradicted", market_id=outcome.market_id, resolved=known.resolution, ignored=outcome.outcome
            )


def outcome_loop(store: OutcomeStore, broker: Broker, settings: Stage) -> ConsumerLoop:
    """The loop that feeds `store`; it begins where the database says that it stands."""
    positions = store.positions

    async def handle(records: Sequence[Record]) -> None:
        for record in records:
            if positions.passed(record):
                continue  # by an attempt at this batch that something behind it ended
            try:
                await store.take(record)
            except DeadLetterError as error:
                metrics.DEAD_LETTERS.labels(error.error).inc()
                _log.error("dead_letter", topic=record.topic, offset=record.offset, reason=str(error))
                await loop.dead_letter(record, error, limited=False)
                async with positions.taking(record):
                    pass

    loop = ConsumerLoop("jobs", [OUTCOMES.name], handle, broker, settings, group=GROUP, positions=positions)
    return loop
