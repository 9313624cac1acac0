"""`python -m m0_api`: serve on M0_BIND until SIGTERM."""

from m0chain import Programs
from m0common.http import HttpServer
from m0common.pooler import refuse_pooler
from m0common.process import Process, run
from m0common.store.address import address

from m0_api.service import Api

NAME = "api"
NEEDS = ("deployment", "postgres", "solana.cluster", "solana.public_rpc_url", "solana.public_ws_url")
DEFAULT_BIND = "127.0.0.1:8080"


async def compose(process: Process) -> None:
    """The application on Postgres."""
    settings = process.settings
    # refused now, not in the first answer
    Programs.of(settings)
    address(settings.postgres.dsn)
    api = Api(process)
    await api.begin(process)
    server = HttpServer(api.app, settings.bind or DEFAULT_BIND)
    await server.start()
    process.task("requests", server.run, stop=server.stop)
    with process.waits("Postgres"):
        await refuse_pooler(settings.postgres.dsn, "the API hears of changes by LISTEN")


if __name__ == "__main__":
    run(NAME, NEEDS, compose, own_status=True)
