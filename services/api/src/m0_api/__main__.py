"""`python -m m0_api`: serve on M0_BIND until SIGTERM."""

import asyncio

from m0chain import Programs
from m0common.http import HttpServer
from m0common.pooler import refuse_pooler
from m0common.process import run_service
from m0common.settings import Settings
from m0common.store.address import address

from m0_api.app import create_app

NAME = "api"
NEEDS = ("deployment", "postgres", "solana.cluster", "solana.public_rpc_url", "solana.public_ws_url")
DEFAULT_BIND = "127.0.0.1:8080"


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    # refused now, not in the first answer
    Programs.of(settings)
    address(settings.postgres.dsn)
    await refuse_pooler(settings.postgres.dsn, "the API hears of changes by LISTEN")
    server = HttpServer(create_app(settings), settings.bind or DEFAULT_BIND)
    await server.start()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await server.stop()


if __name__ == "__main__":
    run_service(NAME, NEEDS, serve)
