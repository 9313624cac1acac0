"""The listening socket: `/ws` for WebSockets, and `/health`, `/ready`, `/metrics` on the same port."""

import logging
from collections import Counter

import msgspec
from m0common.errors import SettingsError
from m0common.forwarded import client_address
from m0common.http import Check, Status, split_bind
from m0common.settings import Realtime
from m0common.telemetry.metrics import exposition
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from m0_realtime import limits, metrics
from m0_realtime.connection import Client
from m0_realtime.hub import Hub

_REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests", 503: "Service Unavailable"}


class _Quiet(logging.Filter):
    """Health checks and port probes are no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(("connection rejected", "opening handshake failed", "connection open"))


_log = logging.getLogger(f"{__name__}.websockets")
_log.addFilter(_Quiet())


class Server:
    """Accepts clients of `hub` on `bind` once every readiness check holds."""

    def __init__(self, bind: str, hub: Hub, status: Status, settings: Realtime) -> None:
        self._bind = bind
        self._hub = hub
        self._status = status
        self._settings = settings
        self._addresses: Counter[str] = Counter()
        self._server: WebSocketServer | None = None

    async def start(self) -> None:
        """Bind; SettingsError when the address cannot be had."""
        host, port = split_bind(self._bind)
        try:
            self._server = await serve(
                self._client,
                host,
                port,
                process_request=self._request,
                compression=None,  # costs more than it saves on small frames
                max_size=limits.MAX_MESSAGE_BYTES,
                server_header=None,
                logger=_log,
                close_timeout=2,
            )
        except OSError as error:
            raise SettingsError(f"{self._bind} cannot be bound: {error.strerror or error}") from error
        metrics.SUBSCRIPTIONS.set_function(lambda: self._hub.subscriptions)

    async def stop(self) -> None:
        """Tell every client to come back, and stop."""
        if self._server is not None:
            self._server.close(code=1001, reason="restarting: connect again and resume")
            await self._server.wait_closed()

    async def _client(self, socket: ServerConnection) -> None:
        address = self._address(socket, socket.request)
        client = Client(socket, self._hub, address)
        self._addresses[address] += 1
        metrics.CONNECTIONS.inc()
        try:
            await client.serve()
        finally:
            metrics.CONNECTIONS.dec()
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def _request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP; None lets a WebSocket in."""
        match request.path.partition("?")[0]:
            case "/health":
                return self._checked(self._status.health)
            case "/ready":
                return self._checked(self._status.health | self._status.ready)
            case "/metrics":
                return _response(200, *exposition())
            case "/ws":
                return self._admit(self._address(socket, request))
            case _:
                return _problem(404, "not_found", "this server has /ws, /health, /ready and /metrics")

    def _checked(self, checks: dict[str, Check]) -> Response:
        answer = self._status.respond(checks)
        return _response(answer.status_code, bytes(answer.body), "application/json")

    def _address(self, socket: ServerConnection, request: Request | None) -> str:
        """Who connects: behind a trusted proxy, whom that proxy names."""
        peer = str(socket.remote_address[0]) if socket.remote_address else "?"
        forwarded = request.headers.get_all("X-Forwarded-For") if request is not None else []
        return client_address(peer, forwarded, self._settings.trusted_proxies)

    def _admit(self, address: str) -> Response | None:
        if any(check() for check in (self._status.health | self._status.ready).values()):
            return _refused(503, "not_ready", "channels are being rebuilt from the log: try again in a moment")
        if self._addresses.total() >= self._settings.connections_max:
            return _refused(503, "full", "this server holds all the connections it may: try another or later")
        if self._addresses[address] >= self._settings.connections_per_address_max:
            return _refused(
                429, "too_many_connections", f"{address} holds {self._settings.connections_per_address_max} connections"
            )
        return None


def _refused(status: int, code: str, detail: str) -> Response:
    metrics.REFUSED.labels(code).inc()
    return _problem(status, code, detail)


def _problem(status: int, code: str, detail: str) -> Response:
    body = msgspec.json.encode({"type": "about:blank", "status": status, "code": code, "detail": detail})
    return _response(status, body, "application/problem+json")


def _response(status: int, body: bytes, content_type: str) -> Response:
    headers = Headers([("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")])
    return Response(status, _REASONS[status], headers, body)
