"""No request waits for ever: one that its dependencies keep waiting is answered with 503; an ASGI middleware."""

import asyncio

from m0common.tasks import leave_behind
from m0common.telemetry.logs import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from m0_api.problems import ServiceUnavailable

SPARE_S = 0.3
"""Over what the database is given, so that its own error comes first."""

_log = logger(__name__)


class Deadline:
    """Answers for the routes when they have not begun to within `within_s`; what they say later is dropped."""

    def __init__(self, app: ASGIApp, within_s: float) -> None:
        self._app = app
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        work = asyncio.create_task(self._run(scope, receive, answer))
        try:
            await asyncio.wait({work}, timeout=self._within_s)
            if not work.done() and not answer.begun:
                answer.over = True
                _log.warning("request_too_slow", path=scope["path"], within_s=self._within_s)
                problem = ServiceUnavailable("the database does not answer; try again in a moment")
                await problem.response({"Retry-After": "1"})(scope, receive, send)
                leave_behind(work, _late)
                return
            await work
        except asyncio.CancelledError:
            leave_behind(work, _late)
            raise

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _late(error: BaseException) -> None:
    _log.warning("late_request_failed", error=str(error))


class _Answer:
    """Passes on what the routes say, until it is over."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.over = False

    async def __call__(self, message: Message) -> None:
        if not self.over:
            self.begun = True
            await self._send(message)
