"""Trying again until the broker answers: nothing is ever skipped because it was away."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from m0common.errors import Unavailable
from m0common.stream.broker import Producer, TopicPartition, Written
from m0common.stream.records import Produce
from m0common.stream.silence import Silence
from m0common.telemetry.logs import logger

log = logger(__name__)

T = TypeVar("T")

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 5.0


class Retry:
    """Runs operations until they succeed; `problem` says why they do not, for readiness."""

    def __init__(self, name: str, on_unavailable: Callable[[], None], silence: Silence | None = None) -> None:
        """Args: `silence` is of whoever polls beside these operations."""
        self._name = name
        self._on_unavailable = on_unavailable
        self._failure: str | None = None
        self._silence = silence or Silence()

    @property
    def problem(self) -> str | None:
        """Why the broker is taken to be away, None while it is not."""
        return self._failure or self._silence.problem()

    def failed(self, error: Unavailable) -> None:
        """Note that the broker did not answer."""
        if self._failure is None:
            log.warning("unavailable", stage=self._name, reason=str(error))
        self._failure = str(error)
        self._on_unavailable()

    def succeeded(self) -> None:
        """Note that the broker answered."""
        if self._failure is not None:
            log.info("available_again", stage=self._name, was=self._failure)
            self._failure = None

    async def send(self, producer: Producer, messages: Sequence[Produce]) -> dict[TopicPartition, Written]:
        """Write `messages`, however often it takes."""
        return await self.run(lambda: self.send_once(producer, messages))

    async def send_once(self, producer: Producer, messages: Sequence[Produce]) -> dict[TopicPartition, Written]:
        """Write `messages`. Raises Unavailable; that it is not acknowledged is a problem before that."""
        with self._silence.asking("a send is not acknowledged"):
            return await producer.send(messages)

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """The result of `operation`, however often it takes."""
        delay_s = FIRST_DELAY_S
        while True:
            try:
                result = await operation()
            except Unavailable as error:
                self.failed(error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, MAX_DELAY_S)
            else:
                self.succeeded()
                return result
