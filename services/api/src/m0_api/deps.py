"""What endpoints get from the application, and the limits of what they take from clients."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request
from m0common.clock import Clock
from m0common.settings import Settings
from m0common.store.postgres import Pool

INT64_MAX = (1 << 63) - 1
MARKET_ID = r"^[A-Z0-9_]{1,64}$"
CATALOG = r"^[a-z0-9_\-]{1,16}$"
HASH = r"^[0-9a-f]{64}$"

MarketId = Annotated[str, Path(pattern=MARKET_ID, description="A market", examples=["EPL_2016_001"])]
CatalogPath = Annotated[str, Path(pattern=CATALOG, description="A catalog", examples=["sports"])]
CatalogQuery = Annotated[str | None, Query(pattern=CATALOG, description="Only this catalog")]
EpochId = Annotated[int, Path(ge=0, le=INT64_MAX, description="An epoch of the catalog")]
EpochQuery = Annotated[int | None, Query(ge=0, le=INT64_MAX, description="This epoch instead of the newest")]
BundleHash = Annotated[str, Path(pattern=HASH, description="sha256 of the bundle's header, lower-case hex")]


def _pool(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _clock(request: Request) -> Clock:
    clock: Clock = request.app.state.clock
    return clock


PoolDep = Annotated[Pool, Depends(_pool)]
SettingsDep = Annotated[Settings, Depends(_settings)]
ClockDep = Annotated[Clock, Depends(_clock)]
