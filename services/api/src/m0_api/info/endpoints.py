"""`/info`."""

from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from m0_api.caching import respond
from m0_api.deps import PoolDep, SettingsDep
from m0_api.info import repository
from m0_api.info.schemas import Info, Programs, SignerSet
from m0_api.problems import documented

router = APIRouter(prefix="/info", tags=["info"])


@router.get("", response_model=Info, responses=documented(), operation_id="get_info")
async def get_info(request: Request, pool: PoolDep, settings: SettingsDep) -> Response:
    """Cluster, addresses, programs, signer sets and version."""
    solana = settings.solana
    found = Info(
        cluster=solana.cluster,
        rpc_url=solana.rpc_url,
        ws_url=solana.ws_url,
        programs=Programs(
            oracle=solana.oracle_program_id or None,
            registry=solana.registry_program_id or None,
            fee_router=solana.fee_router_program_id or None,
            governance=solana.governance_program_id or None,
        ),
        signer_sets=[SignerSet(**row) for row in await repository.signer_sets(pool)],
        version=version("m0-api"),
    )
    return respond(request, found)
