"""What a partition is written as, piece by piece, and where it begins."""

import pytest
from m0archive.entries import Gap
from m0archive.incarnation import Stretch
from m0common.errors import OffsetsGone
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Record
from m0common.topics import CURSORS, RAW
from m0deploy.refill import Held, Refill, begin_of, runs

WHERE = TopicPartition(RAW.name, 0)


def record(offset, topic=RAW.name):
    return Record(topic, 0, offset, b"k", b"%d" % offset, (), 1000 * offset)


class Log:
    """An archived partition in stretches of ten offsets."""

    def __init__(self, offsets, begin, end, topic=RAW.name):
        self.first, self.last = begin, end
        self.records = [record(offset, topic) for offset in offsets]

    def begin(self, _where):
        return self.first

    def end(self, _where):
        return self.last

    async def read(self, where, offset):
        end = min(offset - offset % 10 + 10, self.last)
        found = [each for each in self.records if offset <= each.offset < end]
        if not self.first <= offset < self.last or (not found and offset >= 50):
            raise OffsetsGone(*where, offset, self.first, self.last)
        return Stretch(found, end)


class Written:
    """A partition that is written, and what of it was deleted."""

    def __init__(self, end=0):
        self.log, self.at, self.begin = {}, end, 0

    async def write(self, _where, at, records):
        assert at == self.at
        assert [each.offset for each in records] == list(range(at, at + len(records)))
        self.log |= {each.offset: each for each in records}
        self.at += len(records)

    async def fill(self, _where, at, count):
        assert at == self.at
        self.log |= dict.fromkeys(range(at, at + count))
        self.at += count

    async def skip(self, _where, count):
        self.at += count

    async def delete_before(self, offsets):
        self.begin = offsets[WHERE]
        self.log = {at: each for at, each in self.log.items() if at >= self.begin}


def test_records_come_in_runs_with_the_offsets_behind_them_that_have_none():
    found = list(runs(Stretch([record(n) for n in (3, 4, 6, 9)], 12), 1))
    assert [([each.offset for each in run], hole) for run, hole in found] == [
        ([], 2),
        ([3, 4], 1),
        ([6], 2),
        ([9], 2),
    ]
    assert list(runs(Stretch([], 12), 10)) == [([], 2)]


@pytest.mark.parametrize("end", [0, 4, 12, 20, 29, 35, 60, 75])
async def test_a_partition_is_gone_on_with_wherever_it_ends(end):
    offsets = [*range(12, 20), 22, 25, *range(30, 41), *range(60, 71)]
    log, written = Log(offsets, 12, 75), Written(end)
    await Refill(log, WHERE, 12, [Gap(*WHERE, 50, 60)]).run(written, written, Held(0, end))
    assert written.at == 75
    assert written.begin == 12
    assert written.log == {each.offset: each for each in log.records if each.offset >= end}


async def test_nothing_is_deleted_of_a_compacted_topic_so_its_beginning_holds_nothing():
    where, written = TopicPartition(CURSORS.name, 0), Written()
    await Refill(Log([7], 5, 9, CURSORS.name), where, 5, ()).run(written, written, Held(0, 0))
    assert (written.at, list(written.log), written.begin) == (9, [7], 0)


@pytest.mark.parametrize(("since_ms", "begin"), [(0, 3), (9000, 3), (19_001, 20), (25_000, 20), (99_000, 49)])
async def test_a_partition_begins_with_what_its_topic_still_keeps(since_ms, begin):
    found = await begin_of(Log(range(3, 49), 3, 49), WHERE, since_ms)
    assert found <= begin
    assert all(each.append_ms < since_ms for each in Log(range(3, 49), 3, 49).records if each.offset < found)
    assert begin - found < 10


async def test_a_stretch_without_records_hides_nothing():
    assert await begin_of(Log([], 3, 49), WHERE, 1) == 3
