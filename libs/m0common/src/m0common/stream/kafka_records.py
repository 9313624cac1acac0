"""Records as aiokafka fetched them, as ours."""

from collections.abc import Collection, Sequence
from typing import Any

from m0common.stream.append_time import create_time_refused
from m0common.stream.records import Record
from m0common.telemetry.context import trace_of

LOG_APPEND_TIME = 1
"""A record's timestamp_type: the broker's time, not the writer's."""
_new = tuple.__new__


def records_of(topic: str, partition: int, fetched: Sequence[Any], append_time: Collection[str]) -> list[Record]:
    """The records of one partition (aiokafka's are untyped, hence Any).

    Raises SettingsError when `topic` is one of `append_time` and one bears another time.
    """
    if topic in append_time and any(r.timestamp_type != LOG_APPEND_TIME for r in fetched):
        raise create_time_refused(topic)
    # half the cost of Record(...), and this is done for every message
    return [
        _new(
            Record,
            (topic, partition, r.offset, r.key, r.value or b"", trace_of(r.headers) if r.headers else (), r.timestamp),
        )
        for r in fetched
    ]
