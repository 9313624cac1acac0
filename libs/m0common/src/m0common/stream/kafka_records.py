"""Records that a consumer of aiokafka has fetched, made ours while they are unpacked.

aiokafka makes a record of its own of each one, which costs more than all that a stage loop does with it.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from aiokafka.consumer import fetcher  # type: ignore[import-untyped]

from m0common.stream.append_time import create_time_refused
from m0common.stream.records import Record
from m0common.telemetry.context import trace_of

LOG_APPEND_TIME = 1
"""A record's timestamp_type: the broker's time, not the writer's."""
_Theirs: Any = fetcher.PartitionRecords  # untyped


class Reading:
    """How the records of one consumer are read: with the broker's time where the topic is one of `append_time`, from
    `restored_ends` of its partitions on. What is below was restored with the times it had, and nobody writes there.

    A consumer takes it as its `key_deserializer`, the one argument of aiokafka's that comes with every fetch.
    """

    def __init__(self, append_time: Collection[str], restored_ends: Sequence[int] = ()) -> None:
        self._append_time = append_time
        self._restored_ends = restored_ends

    def stamped_from(self, topic: str, partition: int) -> int | None:
        """From which offset on records must bear the broker's time; None where they need not."""
        if topic not in self._append_time:
            return None
        return self._restored_ends[partition] if partition < len(self._restored_ends) else 0

    def __call__(self, key: bytes | None) -> bytes | None:
        """Keys are bytes."""
        return key


def unpack_as_ours() -> None:
    """Make consumers in this process that have a Reading give Records; others stay aiokafka's."""
    fetcher.PartitionRecords = _unpacked


def _unpacked(where: Any, records: Any, aborted: Any, offset: int, key_deserializer: Any, *rest: Any) -> Any:
    made = Unpacked if isinstance(key_deserializer, Reading) else _Theirs
    return made(where, records, aborted, offset, key_deserializer, *rest)


class Unpacked(_Theirs):  # type: ignore[misc]
    """The records of one partition in a fetch, unpacked one by one. Takes the place of aiokafka's PartitionRecords.

    Iterating raises SettingsError when the topic must bear the broker's times and a record bears another.
    """

    def __init__(self, where: Any, records: Any, aborted: Any, offset: int, reading: Reading, *rest: Any) -> None:
        super().__init__(where, records, aborted, offset, reading, *rest)
        self._topic, self._partition = where
        stamped_from = reading.stamped_from(self._topic, self._partition)
        self._dated = stamped_from is not None
        self._stamped_from = stamped_from or 0

    def __iter__(self) -> Iterator[Record]:
        found: Iterator[Record] = self._records_iterator
        return found

    def _consumer_record(self, _where: Any, record: Any) -> Record:
        if self._dated and record.timestamp_type != LOG_APPEND_TIME and record.offset >= self._stamped_from:
            raise create_time_refused(self._topic)
        headers = record.headers
        return Record(
            self._topic,
            self._partition,
            record.offset,
            record.key,
            record.value or b"",
            trace_of(headers) if headers else (),
            record.timestamp,
        )
