"""`/predictions`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from m0chain import Programs
from m0common.store.postgres import Pool
from m0common.stream.door import PROVISIONAL_GRACE_MS
from m0index import shapes
from m0index.queries import predictions
from m0index.shapes import Prediction, PredictionStatus, Proof

from m0_api import paging
from m0_api.caching import CHANGING, FOREVER, PASSING, respond
from m0_api.deps import ClockDep, EpochQuery, MarketId, PoolDep, SettingsDep
from m0_api.predictions import service
from m0_api.problems import (
    BundleNotStored,
    EpochNotFinal,
    InvalidCursor,
    MarketNotFound,
    PredictionNotFound,
    documented,
)

router = APIRouter(prefix="/predictions/{market_id}", tags=["predictions"])

Wanted = Annotated[
    PredictionStatus | None,
    Query(
        description="Only this status; by default a provisional one of an epoch that is open, else the newest final one"
    ),
]


async def _absent(pool: Pool, market_id: str, what: str) -> MarketNotFound | PredictionNotFound:
    if await predictions.market_exists(pool, market_id):
        return PredictionNotFound(f"{market_id} has no {what}")
    return MarketNotFound(f"{market_id} is not in the registry; /v1/markets lists what is")


@router.get(
    "/latest",
    response_model=Prediction,
    responses=documented(MarketNotFound, PredictionNotFound),
    operation_id="latest_prediction",
)
async def latest(
    request: Request, pool: PoolDep, clock: ClockDep, market_id: MarketId, status: Wanted = None
) -> Response:
    """The newest prediction."""
    if status is not PredictionStatus.FINALIZED:
        live = await predictions.provisional(pool, market_id, clock.now_ms() - PROVISIONAL_GRACE_MS)
        if live is not None:
            return respond(request, shapes.provisional(live, live.names), PASSING)
    if status is not PredictionStatus.PROVISIONAL:
        for row in await predictions.finalized(pool, market_id, None, 1):
            return respond(request, shapes.finalized(row, row.names))
    raise await _absent(pool, market_id, f"{status or 'published'} prediction yet")


@router.get(
    "/history",
    response_model=paging.Page[Prediction],
    responses=documented(InvalidCursor, MarketNotFound),
    operation_id="prediction_history",
)
async def history(
    request: Request,
    pool: PoolDep,
    market_id: MarketId,
    cursor: paging.Cursor = None,
    limit: paging.Limit = paging.DEFAULT_LIMIT,
) -> Response:
    """Final predictions, newest first."""
    before = paging.decode(cursor, tuple[int])
    rows = await predictions.finalized(pool, market_id, before[0] if before else None, limit + 1)
    if not rows and not await predictions.market_exists(pool, market_id):
        raise MarketNotFound(f"{market_id} is not in the registry; /v1/markets lists what is")
    page, last = paging.cut([shapes.finalized(row, row.names) for row in rows], limit)
    following = None if last is None else paging.encode((last.epoch_id,))
    return respond(request, paging.Page[Prediction](items=page, next_cursor=following))


@router.get(
    "/proof",
    response_model=Proof,
    responses=documented(MarketNotFound, PredictionNotFound, EpochNotFinal, BundleNotStored),
    operation_id="prediction_proof",
)
async def proof(
    request: Request, pool: PoolDep, settings: SettingsDep, market_id: MarketId, epoch_id: EpochQuery = None
) -> Response:
    """The proof of the newest final prediction, or of the one in `epoch_id`."""
    row = await predictions.to_prove(pool, market_id, epoch_id)
    if row is None:
        if epoch_id is not None and await predictions.epoch_awaits_bundle(pool, market_id, epoch_id):
            raise BundleNotStored(f"epoch {epoch_id} is final on chain; its bundle is on its way, try again")
        where = "final prediction yet" if epoch_id is None else f"prediction in epoch {epoch_id}"
        raise await _absent(pool, market_id, where)
    if not row["settled"]:
        status = row["public_status"] or "not open yet"
        raise EpochNotFinal(f"epoch {row['epoch_id']} of {row['catalog']} is {status}: only final epochs have proofs")
    if not row["chosen"]:
        raise EpochNotFinal(
            f"epoch {row['epoch_id']} of {row['catalog']} was finalized with another bundle than the one of {market_id}"
        )
    oracle = Programs.of(settings).oracle
    found = await service.proof(pool, request.app.state.trees, row, settings.solana.cluster, oracle)
    return respond(request, found, CHANGING if epoch_id is None else FOREVER)
