"""Request ids in logs and responses, and request metrics; a plain ASGI middleware, so bodies are not copied."""

import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from m0_api import metrics
from m0_api.cache import LABEL

HEADER = b"x-request-id"
MAX_ID_BYTES = 64


class Observe:
    """Wraps the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (HEADER, request_id.encode())]
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, observed)
            finally:
                route = str(scope.get(LABEL) or getattr(scope.get("route"), "path", "none"))
                metrics.REQUESTS.labels(route, str(status)).inc()
                metrics.SECONDS.labels(route).observe(time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    text: str = given[:MAX_ID_BYTES].decode("latin-1")
    return text if text.isascii() and text.replace("-", "").isalnum() else uuid.uuid4().hex
