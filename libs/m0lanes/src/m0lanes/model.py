"""Stage 3: feature rows to probability distributions with intervals, risk and quality flags.

Between markers a market's prediction is emitted, provisional, whenever its row changes; at a marker every open market
gets its final one, computed from its final row. What the rows must contain is up to the model the catalog names.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from m0common.canonical import FLAGS, Outcome
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import (
    Body,
    CatalogSet,
    FeatureRow,
    Marker,
    MarketClosed,
    MarketOpened,
    MatchResult,
    Prediction,
)
from m0common.stream.entities import Entities
from m0quant.errors import QuantError

from m0lanes.codec import pack, unpack
from m0lanes.models.book_consensus import BookConsensus
from m0lanes.models.distribution import Distribution
from m0lanes.models.football import Football
from m0lanes.release import manifest_hash
from m0lanes.settings import NO_CONFIG

STAGE = 3
_TAG = b"M0MODEL1"


class Model(Protocol):
    """A model family in a lane."""

    name: str
    version: int

    def learn(self, body: Body) -> None:
        """Take in what changes the model's state."""
        ...

    def predict(self, market: MarketOpened, row: FeatureRow, config: CatalogSet) -> Distribution:
        """The distribution of one market."""
        ...

    def artifact(self) -> bytes:
        """Canonical bytes of the parameters in use; they are named in the leaf by `model_key`."""
        ...

    def settle(self, entities: Entities) -> None: ...

    def resume(self, entities: Entities) -> None: ...


MODELS: dict[str, Callable[[], Model]] = {"football": Football, "book_consensus": BookConsensus}


def model_key(model: Model) -> bytes:
    """sha256("M0MODEL1" | name | 0x00 | version u32 | artifact)."""
    return hashlib.sha256(
        _TAG + model.name.encode() + b"\0" + model.version.to_bytes(4, "little") + model.artifact()
    ).digest()


class ModelTransition:
    """One lane: the open markets, their latest rows and the catalog's model."""

    def __init__(self, _lane: Lane) -> None:
        self.entities = Entities()
        self.config = NO_CONFIG
        self.markets: dict[str, MarketOpened] = {}
        self._final_rows: dict[str, FeatureRow] = {}
        self._model: Model | None = None
        self._key = bytes(32)

    def step(self, body: Body) -> Sequence[Body]:
        """See Transition."""
        match body:
            case CatalogSet():
                self._configure(body)
                return []
            case MarketOpened():
                self.markets[body.market_id] = body
                self.entities.put(f"market/{body.market_id}", pack(body))
                return []
            case MarketClosed():
                self._drop(body.market_id)
                return []
            case MatchResult():
                if body.market_id is not None:
                    self._drop(body.market_id)
                self._learn(body)
                return []
            case FeatureRow():
                if body.final:
                    self._final_rows[body.market_id] = body
                    return []
                return [self._prediction(self.markets[body.market_id], body, None)]
            case Marker():
                return self._close(body)
            case _:
                raise AssertionError(f"{type(body).__name__} does not come before this stage")

    def _learn(self, body: Body) -> None:
        if self._model is not None:
            try:
                self._model.learn(body)
            except QuantError as error:
                raise DeadLetterError("unusable_event", str(error)) from error

    def _close(self, marker: Marker) -> list[Body]:
        rows, self._final_rows = self._final_rows, {}
        finals: list[Body] = [self._prediction(self.markets[m], rows[m], marker) for m in sorted(self.markets)]
        forwarded = msgspec.structs.replace(marker, model_manifest_hash=manifest_hash(self._key, marker.releases))
        return [*finals, forwarded]

    def _prediction(self, market: MarketOpened, row: FeatureRow, marker: Marker | None) -> Prediction:
        if marker is not None:
            epoch_id, window_end_ms = marker.epoch_id, marker.window_end_ms
        else:
            epoch_ms = max(1, self.config.epoch_ms)
            epoch_id = row.event_ms // epoch_ms
            window_end_ms = (epoch_id + 1) * epoch_ms
        mixed = FLAGS.DEGRADED_MODEL if marker is not None and len(marker.releases) > 1 else FLAGS(0)
        if self._model is None:
            said = Distribution.blocked(FLAGS.DEGRADED_MODEL)
        else:
            said = self._model.predict(market, row, self.config)
        return Prediction(
            market.market_id,
            epoch_id,
            marker is not None,
            row.event_ms,
            window_end_ms,
            market.schema_version,
            tuple(Outcome(*outcome) for outcome in said.outcomes),
            said.risk_bps,
            int(said.flags | mixed),
            self._model.name if self._model is not None else "",
            self._key,
            row.features_hash,
        )

    def _configure(self, config: CatalogSet) -> None:
        self.config = config
        made = MODELS.get(config.model)
        if made is None:
            self._model, self._key = None, bytes(32)
        elif self._model is None or self._model.name != config.model:
            self._model = made()
            self._key = model_key(self._model)

    def _drop(self, market_id: str) -> None:
        self.markets.pop(market_id, None)
        self.entities.drop(f"market/{market_id}")

    def settle(self) -> None:
        """See Transition."""
        self.entities.put("config", pack(self.config))
        if self._model is not None:
            self._model.settle(self.entities)

    def resume(self) -> None:
        """See Transition."""
        self._configure(unpack(self.entities.get("config"), CatalogSet))
        markets = (unpack(value, MarketOpened) for _, value in self.entities.with_prefix("market/"))
        self.markets = {market.market_id: market for market in markets}
        if self._model is not None:
            self._model.resume(self.entities)
