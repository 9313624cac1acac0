"""Batches of records as a fetch brought them, read so that nothing a writer sends can stop a reader.

A broker stores what aiokafka's reader raises at: a header name that is not UTF-8, a few KB that unpack to gigabytes.
Such a record would stop every reader of its topic for as long as it is there. Here what can be read of it is
delivered at its offset, and reading goes on behind it. What is delivered depends on the log alone.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher  # type: ignore[import-untyped]
from aiokafka.record.default_records import (  # type: ignore[import-untyped]
    DefaultRecord,
    DefaultRecordBatch,
)
from aiokafka.record.memory_records import MemoryRecords  # type: ignore[import-untyped]

from m0common.stream.kafka_codecs import UnpackError, unpack

VARINT_BITS = 70
_HEAD = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader epoch, magic, checksum, attributes, ..., number of records."""
_LENGTH = struct.Struct(">i")
_LENGTH_AT, _LENGTH_END = 8, 12
_ATTRIBUTES = struct.Struct(">h")
_ATTRIBUTES_AT = 21


def read_whatever_is_stored() -> None:
    """Make the consumers of aiokafka in this process read with FetchedBatches; it takes no reader as an argument."""
    fetcher.MemoryRecords = FetchedBatches


class FetchedBatches:
    """The batches in the bytes of one partition of a fetch. Takes the place of aiokafka's MemoryRecords."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = memoryview(fetched)
        self._batches: Any = MemoryRecords(fetched)  # untyped
        self._at = 0

    def size_in_bytes(self) -> int:
        """Of the whole fetch, with a batch that is cut off at its end."""
        return len(self._fetched)

    def has_next(self) -> bool:
        """Whether another whole batch is there."""
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        """The next batch; those that only the broker writes (of control), and those of old formats, as aiokafka's."""
        start = self._at
        (length,) = _LENGTH.unpack_from(self._fetched, start + _LENGTH_AT)
        self._at = start + _LENGTH_END + length
        batch = self._batches.next_batch()
        if not isinstance(batch, DefaultRecordBatch) or batch.is_control_batch:
            return batch
        return StoredBatch(batch, bytes(self._fetched[start : self._at]))


class StoredBatch:
    """One batch of a writer, with the attributes that aiokafka's fetcher asks for; iterating it raises nothing.

    The records come with rising offsets from `base_offset` to below `next_offset`. From the first record on that
    aiokafka cannot read, they come without headers (those only carry traces). Where not even key and value of a
    record can be found, or the batch cannot be unpacked, one record with an empty value stands for all the rest,
    at the last offset of the batch.
    """

    is_control_batch = False

    def __init__(self, batch: Any, stored: bytes) -> None:
        self._batch = batch
        self._stored = stored
        self.base_offset: int = batch.base_offset
        self.next_offset: int = batch.next_offset
        self.producer_id: int = batch.producer_id
        self.is_transactional: bool = batch.is_transactional

    def validate_crc(self) -> bool:
        """Whether the bytes are those that the broker stored."""
        return bool(self._batch.validate_crc())

    def __iter__(self) -> Iterator[Any]:
        try:
            records = unpack(self._batch.compression_type, self._stored[_HEAD.size :])
        except UnpackError:
            yield self._record(self.next_offset - 1, self._batch.max_timestamp, None, b"")
            return
        last = self.base_offset - 1
        try:
            for record in self._plain(records):
                if not last < record.offset < self.next_offset:
                    break
                last = record.offset
                yield record
            else:
                return
        except Exception:  # noqa: BLE001, S110 - whatever it makes of hostile bytes; they are read again below
            pass
        for record in self._without_headers(records):
            if record.offset > last:
                last = record.offset
                yield record

    def _plain(self, records: bytes) -> Any:
        """The batch as aiokafka reads it, without compression."""
        if not self._batch.compression_type:
            return self._batch
        head = bytearray(self._stored[: _HEAD.size])
        _LENGTH.pack_into(head, _LENGTH_AT, _HEAD.size - _LENGTH_END + len(records))
        _ATTRIBUTES.pack_into(head, _ATTRIBUTES_AT, self._batch.attributes & ~DefaultRecordBatch.CODEC_MASK)
        return DefaultRecordBatch(bytes(head) + records)

    def _without_headers(self, records: bytes) -> Iterator[Any]:
        rest = ByteReader(records)
        last = self.base_offset - 1
        try:
            while rest.remain:
                record = ByteReader(rest.take(rest.varint()))
                record.take(1)  # attributes, none of which is in use
                written_ms = self._batch.first_timestamp + record.varint()
                offset = self.base_offset + record.varint()
                key, value = record.nullable(), record.nullable()
                if not last < offset < self.next_offset:
                    break
                last = offset
                yield self._record(offset, self._batch.max_timestamp if self._append_time else written_ms, key, value)
            else:
                return
        except ValueError:
            pass
        yield self._record(self.next_offset - 1, self._batch.max_timestamp, None, b"")

    @property
    def _append_time(self) -> bool:
        return bool(self._batch.timestamp_type)

    def _record(self, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None) -> Any:
        return DefaultRecord(offset, timestamp_ms, self._batch.timestamp_type, key, value, [])


class ByteReader:
    """A place in bytes. Its methods go on behind what they return, and raise ValueError where it is not there."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._at = 0

    @property
    def remain(self) -> int:
        """Number of bytes behind the place."""
        return len(self._source) - self._at

    def varint(self) -> int:
        """A number of up to 64 bits in zigzag form."""
        number = shift = 0
        while shift < VARINT_BITS:
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise ValueError(f"byte {self._at}: a number has more than {VARINT_BITS // 7} bytes")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if not 0 <= count <= self.remain:
            raise ValueError(f"byte {self._at}: {count} bytes are said to follow, {self.remain} do")
        start, self._at = self._at, self._at + count
        return self._source[start : self._at]

    def nullable(self) -> bytes | None:
        """Bytes after their number; None when that is negative."""
        count = self.varint()
        return None if count < 0 else self.take(count)
