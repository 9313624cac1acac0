"""The request by which marks of transactions get into a partition (Kafka's API 27, version 1; aiokafka has it not).

Its fields are those of WriteTxnMarkersRequest.json and WriteTxnMarkersResponse.json of Apache Kafka.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]
from aiokafka.protocol.types import (  # type: ignore[import-untyped]
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

API_KEY = 27


class MarksAnswer(Response):  # type: ignore[misc]
    """An error code for each partition, 0 for none."""

    API_KEY = API_KEY
    API_VERSION = 1
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                (
                    "topics",
                    CompactArray(
                        ("name", CompactString("utf-8")),
                        (
                            "partitions",
                            CompactArray(("partition_index", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MarksRequest(RequestStruct):  # type: ignore[misc]
    """What is sent."""

    FLEXIBLE_VERSION = True
    API_KEY = API_KEY
    API_VERSION = 1
    RESPONSE_TYPE = MarksAnswer
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("transaction_result", Boolean),
                (
                    "topics",
                    CompactArray(
                        ("name", CompactString("utf-8")),
                        ("partition_indexes", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("coordinator_epoch", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class Mark(NamedTuple):
    """So many marks behind each other in a partition."""

    topic: str
    partition: int
    size: int


class Marks(Request[MarksRequest]):  # type: ignore[misc]
    """Marks of aborted transactions, of a producer that has none, for partitions of one leader."""

    API_KEY = API_KEY

    def __init__(self, producer_id: int, marks: Sequence[Mark]) -> None:
        self._said: list[tuple[object, ...]] = [
            (producer_id, 0, False, [(mark.topic, [mark.partition], {})], 0, {})
            for mark in marks
            for _ in range(mark.size)
        ]

    def build(self, request_struct_class: type[MarksRequest]) -> MarksRequest:
        """The request in the version that the broker takes."""
        return request_struct_class(self._said, {})

    @staticmethod
    def codes(answer: Any) -> Iterator[int]:  # aiokafka is untyped
        """The error code of each partition."""
        for _, topics, _ in answer.markers:
            for _, partitions, _ in topics:
                for _, code, _ in partitions:
                    yield code
