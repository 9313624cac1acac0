"""Which markets a log has opened: those of whom the set in force lets open them, whatever others write."""

import tracemalloc

import lanes_world as world
import msgspec
import pytest
from m0common.messages import RawEvent, encode_raw
from m0lanes.generations import partition_of
from m0replay.control_log import ControlLog
from m0replay.open_markets import HELD_MAX, OpenMarkets

GROUP = world.GROUPS[0]
_event = msgspec.json.Decoder(RawEvent).decode


class Reading:
    """A log, and what is read of it."""

    def __init__(self) -> None:
        self.log = world.World()
        self.control = ControlLog(world.DEPLOYMENT)
        self.markets = OpenMarkets(world.DEPLOYMENT, self._in_force)

    def _in_force(self, catalog: str):
        now = self.control.in_force(catalog)
        return None if now is None else now.payload

    def open(self, records=None) -> dict[str, str]:
        for record in self.log.records if records is None else records:
            self.control.take(record)
            self.markets.take(record)
        return self.markets.of("coins")


@pytest.fixture
def reading() -> Reading:
    made = Reading()
    made.log.begin()
    return made


def test_what_the_registry_opened_and_did_not_close_is_open(reading: Reading):
    log = reading.log
    log.open(GROUP, "ONE", 1)
    log.open(world.GROUPS[1], "TWO", 2)
    log.open(GROUP, "THREE", 3)
    log.close(GROUP, "ONE", 4)
    assert reading.open() == {"TWO": world.GROUPS[1], "THREE": GROUP}


def unsigned(value: bytes) -> bytes:
    return encode_raw(msgspec.structs.replace(_event(value), signature=None))


def of_nobody(value: bytes) -> bytes:
    return encode_raw(msgspec.structs.replace(_event(value), source="nobody"))


def another(value: bytes) -> bytes:
    return encode_raw(msgspec.structs.replace(_event(value), market_id="OTHER", source_seq=99))


@pytest.mark.parametrize("forged", [unsigned, of_nobody, another])
@pytest.mark.parametrize("is_known", [True, False], ids=["the set is known", "before the set"])
def test_of_thousands_that_the_registry_did_not_sign_none_is_open_and_none_is_kept(forged, is_known: bool):
    reading = Reading()
    log = reading.log
    if is_known:
        log.begin()
    value = forged(log.open(GROUP, "REAL", 1).value)
    for _ in range(2_000):
        log.raw(partition_of(GROUP, world.PARTITIONS), value)
    if not is_known:
        log.begin()
    assert reading.open() == {"REAL": GROUP}
    assert reading.markets.held == 0


def test_a_stranger_closes_nothing(reading: Reading):
    reading.log.open(GROUP, "ONE", 1)
    forged = unsigned(reading.log.close(GROUP, "ONE", 2).value)
    reading.log.records.pop()
    reading.log.raw(partition_of(GROUP, world.PARTITIONS), forged)
    assert reading.open() == {"ONE": GROUP}


def test_a_copy_of_an_opening_opens_nothing_again(reading: Reading):
    opened = reading.log.open(GROUP, "ONE", 1)
    reading.log.close(GROUP, "ONE", 2)
    for partition in range(world.PARTITIONS):
        reading.log.raw(partition, opened.value)
    assert reading.open() == {}


def test_a_copy_in_another_partition_changes_nothing(reading: Reading):
    closed = reading.log.close(GROUP, "ONE", 2, seq=7)
    reading.log.records.pop()
    reading.log.open(GROUP, "ONE", 1, seq=6)
    reading.log.raw((partition_of(GROUP, world.PARTITIONS) + 1) % world.PARTITIONS, closed.value)
    assert reading.open() == {"ONE": GROUP}


def test_what_comes_before_the_set_is_heard_once_that_is_known_and_not_without_end():
    reading = Reading()
    log = reading.log
    log.open(GROUP, "ONE", 1)
    log.open(GROUP, "TWO", 2)
    log.close(GROUP, "ONE", 3)
    assert reading.open() == {}
    for number in range(HELD_MAX + 100):
        log.open(GROUP, f"MORE_{number}", 4)
    reading.open(log.records[3:])
    assert reading.markets.held == HELD_MAX
    since = len(log.records)
    log.begin()
    log.open(GROUP, "THREE", 5)
    found = reading.open(log.records[since:])
    assert {"TWO", "THREE"} <= found.keys()
    assert "ONE" not in found
    assert reading.markets.held == 0


def test_what_is_held_costs_little_however_large_it_was_written():
    reading = Reading()
    value = reading.log.open(GROUP, "ONE", 1).value
    large = value.replace(b'"catalog":', b" " * 100_000 + b'"catalog":')
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(500):
        reading.log.records.clear()
        reading.open([reading.log.raw(partition_of(GROUP, world.PARTITIONS), bytes(bytearray(large)))])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.markets.held == 500
    assert after - before < 2_000_000
