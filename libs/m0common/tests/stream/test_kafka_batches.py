"""What is delivered of batches in which something is wrong."""

import cramjam
import pytest
from batches import BAD_HEADERS, GOOD_HEADERS, batch, record
from m0common.stream.kafka_batches import ByteReader, FetchedBatches, StoredBatch

FRAMES = bytes(cramjam.lz4.compress(record(0, b"a") + record(1, b"b", BAD_HEADERS) + record(2, b"c")))


def records(fetched):
    """(offset, value) of everything in a fetch."""
    batches = FetchedBatches(fetched)
    found = []
    while batches.has_next():
        stored = batches.next_batch()
        assert isinstance(stored, StoredBatch)
        assert stored.validate_crc()
        found += [(r.offset, r.value) for r in stored]
    return found


def test_batches_follow_one_another_and_a_cut_off_one_is_left():
    first, second = batch(record(0, b"a") + record(1, b"b"), 2, base=7), batch(FRAMES, 3, codec=3, base=9)
    fetched = first + second + first[:50]
    assert records(fetched) == [(7, b"a"), (8, b"b"), (9, b"a"), (10, b"b"), (11, b"c")]
    assert FetchedBatches(fetched).size_in_bytes() == len(fetched)


def test_offsets_that_compaction_took_away_are_no_fault():
    assert records(batch(record(0, b"a", BAD_HEADERS) + record(4, b"b"), 6)) == [(0, b"a"), (4, b"b")]


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(b"\x7e\x00", id="a length beyond the end"),
        pytest.param(b"\xff" * 12, id="a length without an end"),
        pytest.param(b"\x01", id="a negative length"),
        pytest.param(record(0, b"again"), id="an offset that was there"),
        pytest.param(record(9, b"far"), id="an offset behind the batch"),
    ],
)
def test_one_record_stands_for_the_rest_of_a_batch_of_which_nothing_can_be_made(behind):
    assert records(batch(record(0, b"a") + behind, 5, base=3)) == [(3, b"a"), (7, b"")]


def test_damaged_packing_is_one_record_at_the_last_offset():
    assert records(batch(FRAMES[:-9], 3, codec=3, base=3)) == [(5, b"")]


def test_a_record_without_key_and_value_is_read_as_one():
    packed = record(0, None, BAD_HEADERS, key=None) + record(1, b"b", GOOD_HEADERS)
    assert records(batch(packed, 2)) == [(0, None), (1, b"b")]


def test_a_cursor_tells_what_is_missing():
    with pytest.raises(ValueError, match="byte 1: 3 bytes are said to follow, 2 do"):
        ByteReader(b"\x06ab").nullable()
    with pytest.raises(ValueError, match="a number has more than 10 bytes"):
        ByteReader(b"\xff" * 11).varint()
    assert ByteReader(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01").varint() == (1 << 63) - 1
    assert ByteReader(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").varint() == -(1 << 63)
