"""`/epochs`."""

from fastapi import APIRouter, Request, Response
from m0index.queries import epochs
from m0index.shapes import Epoch, EpochStatus

from m0_api import paging
from m0_api.caching import respond
from m0_api.deps import CatalogPath, CatalogQuery, EpochId, PoolDep
from m0_api.problems import EpochNotFound, InvalidCursor, documented

router = APIRouter(prefix="/epochs", tags=["epochs"])


@router.get("", response_model=paging.Page[Epoch], responses=documented(InvalidCursor), operation_id="list_epochs")
async def list_epochs(
    request: Request,
    pool: PoolDep,
    catalog: CatalogQuery = None,
    status: EpochStatus | None = None,
    cursor: paging.Cursor = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
) -> Response:
    """Epochs, newest first."""
    after = paging.decode(cursor, tuple[int, str, int])
    rows = await epochs.listed(pool, catalog, status, after, limit + 1)
    page, last = paging.cut([Epoch(**row) for row in rows], limit)
    following = None if last is None else paging.encode((last.window_end_ms, last.catalog, last.epoch_id))
    return respond(request, paging.Page[Epoch](items=page, next_cursor=following))


@router.get(
    "/{catalog}/{epoch_id}", response_model=Epoch, responses=documented(EpochNotFound), operation_id="get_epoch"
)
async def get_epoch(request: Request, pool: PoolDep, catalog: CatalogPath, epoch_id: EpochId) -> Response:
    """One epoch."""
    row = await epochs.one(pool, catalog, epoch_id)
    if row is None:
        raise EpochNotFound(f"epoch {epoch_id} of {catalog} was never opened on chain")
    return respond(request, Epoch(**row))
