"""A broker that keeps a connection open and says nothing: how long a reader has waited for it, for readiness."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from m0common.stream.broker import Consumer, Heard, TopicPartition

SILENT_S = 4.0
"""So long a reader waits without an answer before it says so. Brokers answer every half second, records or none."""
INSTANT_S = 0.01
"""A poll that was over so soon did not wait."""
POLL_S = 1.0
"""No poll counts for more: what takes longer in one is other work, such as loading state in a rebalance."""


class Silence:
    """By partition, the time in polls since the last answer about it, and how long a question besides has waited. Only
    waiting counts, not what is done between.
    """

    def __init__(self) -> None:
        self._asking: tuple[str, float] | None = None
        self._heard: dict[TopicPartition, Heard] = {}
        self._waited_s: dict[TopicPartition, float] = {}

    @contextmanager
    def poll(self, consumer: Consumer) -> Iterator[None]:
        """Around a poll."""
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        try:
            yield
        finally:
            waited_s = loop.time() - since_s
            if waited_s >= INSTANT_S:
                self._waited(consumer, min(waited_s, POLL_S))

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Around a call that a broker answers at once when it is well. It waits on top of the polls before it."""
        self._asking = what, asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self._asking = None

    def _waited(self, consumer: Consumer, waited_s: float) -> None:
        before, self._waited_s = self._waited_s, {}
        for place in consumer.reading():
            heard = consumer.heard(place)
            if heard is not None and heard != self._heard.get(place):
                self._heard[place] = heard
                self._waited_s[place] = 0.0
            else:
                self._waited_s[place] = before.get(place, 0.0) + waited_s

    def problem(self) -> str | None:
        """What has been waited for longest, once that is too long."""
        place, waited_s = max(self._waited_s.items(), key=lambda item: item[1], default=(None, 0.0))
        if self._asking is not None:
            what, since_s = self._asking
            asked_s = waited_s + asyncio.get_running_loop().time() - since_s
            if asked_s >= SILENT_S:
                return f"no broker has answered for {asked_s:.0f} s: {what}"
        if place is None or waited_s < SILENT_S:
            return None
        return f"no broker has answered about {place.topic} partition {place.partition} for {waited_s:.0f} s"
