"""`/info`."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from m0common.deployment import program_ids
from m0index.queries import signer_sets

from m0_api.caching import respond
from m0_api.deps import PoolDep, SettingsDep
from m0_api.info.schemas import Info, Programs, SignerSet
from m0_api.problems import documented

router = APIRouter(prefix="/info", tags=["info"])


@router.get("", response_model=Info, responses=documented(), operation_id="get_info")
async def get_info(request: Request, pool: PoolDep, settings: SettingsDep) -> Response:
    """Cluster, addresses, programs, signer sets and version."""
    solana, programs = settings.solana, program_ids(settings)
    found = Info(
        cluster=solana.cluster,
        rpc_url=solana.public_rpc_url or None,
        ws_url=solana.public_ws_url or None,
        programs=Programs(**{name: value or None for name, value in programs.items()}),
        signer_sets=[SignerSet(**row) for row in await signer_sets.every(pool)],
        version=version("m0-api"),
    )
    return respond(request, found)
