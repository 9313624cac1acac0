"""Stage 3: rows to probability distributions with intervals, risk and quality flags.

A final row is answered by the final prediction of its market. Rows beside the lanes are questions: the answer changes
no state.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec
from m0common.canonical import FLAGS, ZERO, Outcome, PredictionLeaf
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError, InvalidValue
from m0common.ids import Lane
from m0common.messages import ProvisionalPrediction, ProvisionalRow, encode
from m0common.messages.codec import UNDECODABLE
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce, Record
from m0common.topics import FEATURES, PREDICTIONS, PROVISIONAL, PROVISIONAL_ROWS

from m0lanes import tags
from m0lanes.bodies import FeatureRow, Generation, Marker, MarketClosed, MarketOpened, Prediction, decode_body
from m0lanes.entities import Entities
from m0lanes.laned import LanedCore, Said
from m0lanes.markets import Known
from m0lanes.packing import pack
from m0lanes.port import Distribution, Domain, Model, Refused
from m0lanes.view import Bodies, Owner, Space, asked, forget_others, owner_of

STAGE = 3
_TAG = b"M0MODEL1"
_row_decoder = msgspec.msgpack.Decoder(ProvisionalRow)


def model_key(model: Model) -> bytes:
    """sha256("M0MODEL1" | name | 0x00 | version u32 | artifact)."""
    head = _TAG + model.name.encode() + b"\0" + model.version.to_bytes(4, "little")
    return hashlib.sha256(head + model.artifact()).digest()


class ModelState:
    """One lane: the open markets and the catalog's model."""

    def __init__(self, _lane: Lane, entities: Entities, domains: Mapping[bytes, Domain], release: bytes) -> None:
        self.entities = entities
        self.known = Known(entities)
        self._model: Model | None = None
        self._key = ZERO
        self._owner: Owner | None = None
        self._use(domains.get(release))

    def _use(self, domain: Domain | None) -> None:
        settings = self.known.generation
        self._model = None if domain is None else domain.models.get(settings.model)
        self._key, self._owner = ZERO, None
        if domain is None or self._model is None:
            return
        self._key = model_key(self._model)
        self._owner = owner_of(domain, self._model)
        params = dict(settings.params)
        self._space = Space(self.entities, tags.MODEL, self._owner, self._model.entities, self.known.markets, params)
        self._bodies = Bodies(domain.bodies)

    @property
    def generation(self) -> int:
        """See State."""
        return self.known.generation.generation

    @property
    def last_epoch(self) -> int:
        """See State."""
        return self.known.last_epoch

    def generation_said(self, body: Generation, domain: Domain) -> Iterable[Said]:
        """See LaneState."""
        if body.reopened:
            for market_id in sorted(self.known.markets):
                self.known.close(market_id)
        self.known.use(body)
        self._use(domain)
        self.forget_others()
        return ()

    def forget_others(self) -> None:
        """See LaneState."""
        forget_others(self.entities, tags.MODEL, self._owner)

    def step(self, kind: str, raw: msgspec.Raw) -> Iterable[Said]:
        """See LaneState."""
        if kind == "feature_row":
            return [("prediction", pack(self._final(decode_body(raw, FeatureRow))))]
        if kind == "market_opened":
            self.known.open(decode_body(raw, MarketOpened))
            return ()
        if kind == "market_closed":
            self.known.close(decode_body(raw, MarketClosed).market_id)
            return ()
        model = self._model
        if model is None or not self._bodies.knows(kind):
            raise DeadLetterError("unknown_body", f"{kind!r} is nothing that this lane's domain says")
        body = self._bodies.decode(kind, raw)
        self._space.apply(asked(self._space, lambda: self._space.checked(model.learn(self._space, body))))
        return ()

    def _final(self, row: FeatureRow) -> Prediction:
        market = self.known.markets.get(row.market_id)
        if market is None:
            raise DeadLetterError("unknown_market", f"{row.market_id} is not open here")
        said = Distribution.blocked(FLAGS.DEGRADED_MODEL) if row.failed else self.predicted(market, row.values)
        return Prediction(
            row.market_id,
            row.epoch_id,
            row.window_end_ms,
            *self._told(market, said),
            row.features_hash,
        )

    def _told(self, market: MarketOpened, said: Distribution) -> tuple[int, tuple[Outcome, ...], int, int, str, bytes]:
        """What a final prediction and a provisional one tell alike, from `schema_version` to `model_key`."""
        outcomes = tuple(Outcome(*outcome) for outcome in said.outcomes)
        name = "" if self._model is None else self._model.name
        return market.schema_version, outcomes, said.risk_bps, int(said.flags), name, self._key

    def predicted(self, market: MarketOpened, values: Iterable[tuple[str, int]]) -> Distribution:
        """What the model says of a market; blocked and flagged when it cannot."""
        model = self._model
        if model is None:
            return Distribution.blocked(FLAGS.DEGRADED_MODEL)
        try:
            return asked(
                self._space, lambda: checked_distribution(model.predict(self._space, market, dict(values)), market)
            )
        except DeadLetterError:
            return Distribution.blocked(FLAGS.DEGRADED_MODEL)

    def finals(self, marker: Marker) -> Iterable[Said]:
        """See LaneState. Every row was answered as it came."""
        del marker
        return ()

    def forward(self, marker: Marker) -> Marker:
        """See LaneState."""
        self.known.close_epoch(marker.epoch_id)
        return msgspec.structs.replace(marker, model_key=self._key)

    def answer(self, row: ProvisionalRow) -> ProvisionalPrediction | None:
        """What the model says of a market now; None when it is not open here."""
        market, epoch_ms = self.known.markets.get(row.market_id), self.known.generation.epoch_ms
        if market is None or epoch_ms <= 0:
            return None
        said = self.predicted(market, row.values)
        epoch_id = row.event_ms // epoch_ms
        return ProvisionalPrediction(
            row.catalog,
            row.partition,
            row.life,
            row.cause,
            row.market_id,
            epoch_id,
            row.event_ms,
            (epoch_id + 1) * epoch_ms,
            *self._told(market, said),
        )


def checked_distribution(said: Distribution, market: MarketOpened) -> Distribution:
    """A distribution that makes a leaf of this market. Raises Refused."""
    if said.outcomes and len(said.outcomes) != len(market.outcomes):
        raise Refused(f"{len(said.outcomes)} probabilities for {len(market.outcomes)} outcomes of {market.market_id}")
    if not said.outcomes and not said.flags & FLAGS.BLOCKED:
        raise Refused(f"no probabilities of {market.market_id}, which is not blocked")
    outcomes = tuple(Outcome(*outcome) for outcome in said.outcomes)
    try:
        PredictionLeaf(ZERO, 0, 0, market.schema_version, outcomes, said.risk_bps, int(said.flags), ZERO, ZERO).encode()
    except InvalidValue as error:
        raise Refused(str(error)) from error
    return said


class ModelCore(LanedCore[ModelState]):
    """m0.features to m0.predictions, which is partitioned by catalog. Answers rows said beside the lanes."""

    name = "model"
    stage = STAGE
    input_topic = FEATURES.name
    queries: str | None = PROVISIONAL_ROWS.name

    def __init__(self, deployment: Deployment, domains: Mapping[bytes, Domain], build: bytes) -> None:
        def output(lane: Lane) -> tuple[str, int]:
            return PREDICTIONS.name, partition_for(lane.catalog.encode(), deployment.partitions)

        super().__init__(ModelState, output, domains, deployment, build)

    def answer(self, record: Record) -> Iterable[Produce]:
        """See StageCore."""
        try:
            row = _row_decoder.decode(record.value)
        except UNDECODABLE as error:
            raise DeadLetterError("not_a_row", str(error)) from error
        slot = self._slots.get(Lane(row.catalog, row.partition))
        if slot is None or not slot.follows or slot.life != row.life:
            return ()
        said = slot.state.answer(row)
        if said is None:
            return ()
        return [Produce(PROVISIONAL.name, record.partition, row.market_id.encode(), encode(said), record.headers)]
