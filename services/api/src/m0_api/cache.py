"""Answers kept ready while the index does not change: an ASGI middleware in front of the routes.

The index tells of every change (`m0index.changes`), which empties the cache. An answer is kept only when no
change arrived while it was made, so what is served is never older than the newest change this process has heard of.
While it is not known that changes are heard of, nothing kept is served; and nothing is for longer than MAX_AGE_S.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from m0_api import metrics
from m0_api.caching import PASSING, matches

MAX_BYTES = 32 << 20
MAX_BODY_BYTES = 256 << 10
MAX_KEY_BYTES = 512
MAX_AGE_S = 15.0
"""What a catalog says anew every 20 seconds is asked for again meanwhile, whatever was heard."""
LABEL = "m0_route"
"""Key of the scope under which metrics find the route of an answer that no route gave."""
NOT_MODIFIED = (b"etag", b"cache-control")


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer with its ETag."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    tag: str
    made_s: float
    """by the clock of the cache"""


class Answers:
    """Least recently used answers within a limit of bytes.

    `hearing` says whether changes are heard of now; `seconds` is a monotonic clock.
    """

    def __init__(
        self,
        hearing: Callable[[], bool],
        max_bytes: int = MAX_BYTES,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hearing = hearing
        self._max_bytes = max_bytes
        self.seconds = seconds
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._bytes = 0
        self.changes = 0

    def get(self, key: bytes) -> Kept | None:
        """The answer for `key`, None when it has to be made."""
        found = self._kept.get(key)
        if found is None or not self._hearing():
            return None
        if self.seconds() - found.made_s > MAX_AGE_S:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, kept: Kept, changes: int) -> None:
        """Keep an answer that was begun after so many `changes`, unless something changed since."""
        if not self._hearing() or changes != self.changes:
            return
        if key in self._kept:
            self._drop(key)
        self._kept[key] = kept
        self._bytes += len(kept.body) + len(key)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self._bytes -= len(self._kept.pop(key).body) + len(key)

    def changed(self) -> None:
        """Forget everything: the index changed, or changes are heard of again."""
        self.changes += 1
        self._kept.clear()
        self._bytes = 0


class AnswerCache:
    """The middleware. Only GET answers with status 200 and an ETag are kept, and none that pass by themselves."""

    def __init__(self, app: ASGIApp, answers: Answers) -> None:
        self._app = app
        self._answers = answers
        self._making: dict[bytes, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Those that arrive while the same answer is being made wait for it, once."""
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        if self._answers.get(key) is None and (making := self._making.get(key)) is not None:
            await making.wait()
        wanted = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"), "")
        kept = self._answers.get(key)
        if kept is not None:
            metrics.HITS.inc()
            scope[LABEL] = "cached"
            await _answer(kept, wanted, send)
            return
        # without the condition, so that the routes give a body to keep
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"if-none-match"]
        made = self._making[key] = asyncio.Event()
        try:
            await self._app(scope, receive, _Keeper(self._answers, key, wanted, send))
        finally:
            made.set()
            if self._making.get(key) is made:
                del self._making[key]


class _Keeper:
    """Takes an answer from the routes, keeps it if it may be kept, and sends what the client asked for."""

    def __init__(self, answers: Answers, key: bytes, wanted: str, send: Send) -> None:
        self._answers = answers
        self._key = key
        self._wanted = wanted
        self._send = send
        self._changes, self._began_s = answers.changes, answers.seconds()
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200 and _tag(message) is not None:
            self._start = message  # our answers come in one piece: wait for it
            return
        if self._start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        start, self._start = self._start, None
        tag = _tag(start)
        if message.get("more_body") or tag is None:
            await self._send(start)
            await self._send(message)
            return
        kept = Kept(list(start["headers"]), message.get("body", b""), tag, self._began_s)
        if len(kept.body) <= MAX_BODY_BYTES and (b"cache-control", PASSING.encode()) not in kept.headers:
            self._answers.put(self._key, kept, self._changes)
        await _answer(kept, self._wanted, self._send)


def _tag(start: Message) -> str | None:
    return next((value.decode() for name, value in start["headers"] if name == b"etag"), None)


async def _answer(kept: Kept, wanted: str, send: Send) -> None:
    if matches(wanted, kept.tag):
        headers = [(name, value) for name, value in kept.headers if name in NOT_MODIFIED]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": list(kept.headers)})
    await send({"type": "http.response.body", "body": kept.body})


def _key(scope: Scope) -> bytes | None:
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    raw_path = scope.get("raw_path") or scope["path"].encode()
    key: bytes = raw_path.partition(b"?")[0] + b"?" + scope["query_string"]
    return key if len(key) <= MAX_KEY_BYTES else None
