"""The settings and open markets of a lane behind normalize: what feature and model know alike."""

import msgspec
from m0common.canonical import ZERO
from m0common.messages.types import CountOrNone

from m0lanes import tags
from m0lanes.bodies import Generation, MarketOpened
from m0lanes.entities import Entities, entity_key
from m0lanes.packing import pack, unpack


class LaneEntity(msgspec.Struct, frozen=True, array_like=True):
    """The generation in force and the newest epoch closed."""

    generation: Generation
    last_epoch: CountOrNone


NONE = Generation(0, ZERO, 0, "", 0, ZERO, "", (), False)


class Known:
    """Made from the lane's entities."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._key = entity_key(tags.LANE)
        found = entities.get(self._key)
        state = LaneEntity(NONE, -1) if found is None else unpack(found, LaneEntity)
        self.generation = state.generation
        self.last_epoch = state.last_epoch
        self.markets: dict[str, MarketOpened] = {}
        for _, value in entities.each(entity_key(tags.MARKET)):
            market = unpack(value, MarketOpened)
            self.markets[market.market_id] = market

    def use(self, generation: Generation) -> None:
        """Another generation is in force."""
        self.generation = generation
        self._save()

    def close_epoch(self, epoch_id: int) -> None:
        """An epoch is closed."""
        self.last_epoch = epoch_id
        self._save()

    def open(self, market: MarketOpened) -> None:
        """A market takes predictions from here on."""
        self.markets[market.market_id] = market
        self._entities.put(entity_key(tags.MARKET, market.market_id), pack(market))

    def close(self, market_id: str) -> MarketOpened | None:
        """A market takes none any more; returns it, None when it was not open."""
        market = self.markets.pop(market_id, None)
        self._entities.drop(entity_key(tags.MARKET, market_id))
        return market

    def _save(self) -> None:
        self._entities.put(self._key, pack(LaneEntity(self.generation, self.last_epoch)))
