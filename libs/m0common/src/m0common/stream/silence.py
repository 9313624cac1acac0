"""A broker that keeps a connection open and says nothing: how long a reader has waited for it, for readiness."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from m0common.stream.broker import Consumer, Heard, TopicPartition

SILENT_S = 4.0
"""So long a reader waits without an answer before it says so. Brokers answer every half second, records or none."""


class Silence:
    """By partition, the time in polls since the last answer about it. Only waiting counts, not what is done between."""

    def __init__(self) -> None:
        self._heard: dict[TopicPartition, Heard | None] = {}
        self._waited_s: dict[TopicPartition, float] = {}
        self._since_s: float | None = None

    @contextmanager
    def poll(self, consumer: Consumer, places: Collection[TopicPartition]) -> Iterator[None]:
        """Around a poll of these partitions. A poll shorter than SILENT_S is no silence by itself."""
        self._waited_s = {place: self._waited_s.get(place, 0.0) for place in places}
        self._since_s = since_s = _now_s()
        try:
            yield
        finally:
            self._since_s = None
            for place in places:
                heard = consumer.heard(place)
                if heard is not None and heard != self._heard.get(place):
                    self._heard[place] = heard
                    self._waited_s[place] = 0.0
                else:
                    self._waited_s[place] += _now_s() - since_s

    def problem(self) -> str | None:
        """The partition that has been waited for longest, once that is too long."""
        now_s = 0.0 if self._since_s is None else _now_s() - self._since_s
        place, waited_s = max(self._waited_s.items(), key=lambda item: item[1], default=(None, 0.0))
        if place is None or waited_s + now_s < SILENT_S:
            return None
        return f"no broker has answered about {place.topic} partition {place.partition} for {waited_s + now_s:.0f} s"


def _now_s() -> float:
    return asyncio.get_running_loop().time()
