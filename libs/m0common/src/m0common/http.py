"""The small HTTP server beside every service: `/health`, `/ready`, `/metrics`.

Health says the process works; readiness says it can do its job now. A check returns None when all is well, else one
sentence that says what is not.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from m0common.errors import SettingsError
from m0common.telemetry.metrics import exposition

Check = Callable[[], str | None]


class Status:
    """Named checks behind `/health` and `/ready`."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.health: dict[str, Check] = {}
        self.ready: dict[str, Check] = {}
        self.notes: dict[str, Check] = {}
        """What is not well although the work goes on: it makes a service `degraded`, not unready."""
        self.facts: dict[str, Check] = {}
        """What is neither well nor ill, as who leads: said, and no more."""

    def respond(self, checks: dict[str, Check]) -> JSONResponse:
        """200 with `{"status":"ok"}` or `degraded`, or 503 naming what is wrong."""
        problems = _found(checks)
        notes = _found(self.notes)
        status = "unavailable" if problems else "degraded" if notes else "ok"
        facts = _found(self.facts)
        body = {"status": status, "service": self.service, "problems": problems, "notes": notes, "facts": facts}
        return JSONResponse(body, 200 if not problems else 503)


def _found(checks: dict[str, Check]) -> dict[str, str]:
    return {name: problem for name, check in checks.items() if (problem := check()) is not None}


def routes(status: Status) -> list[Route]:
    """The three routes, for services that have an HTTP application of their own."""

    async def health(_: Request) -> Response:
        return status.respond(status.health)

    async def ready(_: Request) -> Response:
        return status.respond(status.health | status.ready)

    async def metrics(_: Request) -> Response:
        body, kind = exposition()
        return Response(body, media_type=kind)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]


def split_bind(bind: str) -> tuple[str, int]:
    """`host:port` or `[host]:port` as a pair; SettingsError when it is neither."""
    host, _, port = bind.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise SettingsError(f"bind address {bind!r}: write it as host:port, for example 127.0.0.1:9101 or [::1]:9101")
    return host, int(port)


def _bound(host: str, port: int) -> socket.socket:
    """A socket on this address. Raises SettingsError, with the reason."""
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(
            f"bind address {host}:{port}: {host} is not known ({error.strerror}): write an address of this machine"
        ) from error
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"{host}:{port} is taken: stop what holds it or choose another address") from error
        raise SettingsError(
            f"{host}:{port} cannot be bound ({error.strerror}): write an address of this machine"
        ) from error
    return made


class HttpServer:
    """Uvicorn inside this process's event loop, without its signal handlers."""

    def __init__(self, app: object, bind: str) -> None:
        host, port = split_bind(bind)
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # any ASGI application
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._server.config.load()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind and begin to serve; SettingsError when the port is taken."""
        self._task = asyncio.create_task(self._serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise SettingsError(f"{self._server.config.host}:{self._server.config.port} cannot be bound")
            await asyncio.sleep(0.01)

    async def run(self) -> None:
        """Until `stop`, and until open requests are finished. Raises what ended the server otherwise."""
        if self._task is not None:
            await self._task

    def stop(self) -> None:
        """Take no more requests, finish the open ones, and end `run`."""
        self._server.should_exit = True

    async def _serve(self) -> None:
        host, port = self._server.config.host, self._server.config.port
        with _bound(host, port) as listening:
            try:
                await self._server._serve([listening])  # noqa: SLF001 - serve() would take over the signal handlers
            except SystemExit as error:
                raise SettingsError(f"{host}:{port} cannot be served: choose another address") from error


def status_server(status: Status, bind: str) -> HttpServer:
    """A server with the three routes and nothing else."""
    return HttpServer(Starlette(routes=routes(status)), bind)
