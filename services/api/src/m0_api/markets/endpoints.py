"""`/markets`."""

from fastapi import APIRouter, Request, Response
from m0index.queries import markets
from m0index.shapes import Market, MarketState

from m0_api import paging
from m0_api.caching import respond
from m0_api.deps import CatalogQuery, MarketId, PoolDep
from m0_api.problems import InvalidCursor, MarketNotFound, documented

router = APIRouter(prefix="/markets", tags=["markets"])


@router.get("", response_model=paging.Page[Market], responses=documented(InvalidCursor), operation_id="list_markets")
async def list_markets(
    request: Request,
    pool: PoolDep,
    catalog: CatalogQuery = None,
    state: MarketState | None = None,
    cursor: paging.Cursor = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
) -> Response:
    """Markets by id."""
    after = paging.decode(cursor, tuple[str])
    rows = await markets.listed(pool, catalog, state, after[0] if after else None, limit + 1)
    page, last = paging.cut([Market(**row) for row in rows], limit)
    following = None if last is None else paging.encode((last.market_id,))
    return respond(request, paging.Page[Market](items=page, next_cursor=following))


@router.get("/{market_id}", response_model=Market, responses=documented(MarketNotFound), operation_id="get_market")
async def get_market(request: Request, pool: PoolDep, market_id: MarketId) -> Response:
    """One market."""
    row = await markets.one(pool, market_id)
    if row is None:
        raise MarketNotFound(f"{market_id} is not in the registry; /v1/markets lists what is")
    return respond(request, Market(**row))
