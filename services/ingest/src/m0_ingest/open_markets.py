"""The markets whose opening has been written to `m0.raw`, and not yet their close."""

from collections.abc import Mapping

from m0_ingest import metrics
from m0_ingest.registry_cursors import OpenMarket


class OpenMarkets:
    """What the registry connector has said. Others learn it from the log (`m0_ingest.registry_cursors`)."""

    def __init__(self, markets: Mapping[str, OpenMarket]) -> None:
        self._markets = dict(markets)
        for catalog in sorted({market.catalog for market in markets.values()}):
            self._count(catalog)

    def is_open(self, market_id: str) -> bool:
        """Whether events of this market may be written."""
        return market_id in self._markets

    def opened(self, market_id: str, catalog: str, group: str) -> None:
        """Its opening has been acknowledged."""
        self._markets[market_id] = OpenMarket(catalog, group)
        self._count(catalog)

    def closed(self, market_id: str) -> None:
        """Its close has been acknowledged, or a generation has closed it."""
        found = self._markets.pop(market_id, None)
        if found is not None:
            self._count(found.catalog)

    def get(self, market_id: str) -> OpenMarket:
        """Where an open market belongs."""
        return self._markets[market_id]

    def of(self, catalog: str) -> dict[str, OpenMarket]:
        """Those of one catalog, ascending."""
        return {name: market for name, market in sorted(self._markets.items()) if market.catalog == catalog}

    def _count(self, catalog: str) -> None:
        count = sum(1 for market in self._markets.values() if market.catalog == catalog)
        metrics.OPEN_MARKETS.labels(catalog).set(count)
