"""The markets whose opening has been written to `m0.raw`, and not yet their close."""

from m0_ingest import metrics


class OpenMarkets:
    """Shared between the registry connector, which fills it, and the replays, which wait for it."""

    def __init__(self) -> None:
        self._catalogs: dict[str, str] = {}

    def is_open(self, market_id: str) -> bool:
        """Whether events of this market may be written."""
        return market_id in self._catalogs

    def opened(self, market_id: str, catalog: str) -> None:
        """Its opening has been acknowledged."""
        self._catalogs[market_id] = catalog
        self._count(catalog)

    def closed(self, market_id: str) -> None:
        """Its close has been acknowledged."""
        catalog = self._catalogs.pop(market_id, None)
        if catalog is not None:
            self._count(catalog)

    def snapshot(self) -> dict[str, str]:
        """Market id to catalog, ascending."""
        return dict(sorted(self._catalogs.items()))

    def restore(self, catalogs: dict[str, str]) -> None:
        """Become what `snapshot` returned."""
        self._catalogs = dict(catalogs)
        for catalog in sorted(set(catalogs.values())):
            self._count(catalog)

    def _count(self, catalog: str) -> None:
        metrics.OPEN_MARKETS.labels(catalog).set(sum(1 for name in self._catalogs.values() if name == catalog))
