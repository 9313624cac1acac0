"""Positions stand and fall with what was made of the log."""

from functools import partial

import pytest
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.stream.broker import TopicPartition
from m0common.stream.consumer_loop import Elsewhere
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Record
from m0index.positions import Positions
from m0local.testing import empty_index

pytestmark = pytest.mark.postgres

ONE, TWO = TopicPartition("m0.one.v1", 0), TopicPartition("m0.one.v1", 1)


@pytest.fixture(scope="module")
def dsn(databases):
    return databases.index()


@pytest.fixture
async def pool(dsn):
    empty_index(dsn)
    async with postgres.opened(Postgres(dsn=dsn), name="test") as opened:
        yield opened


@pytest.fixture
def broker():
    return MemoryBroker()


def reader(pool, broker, name="reader"):
    return Positions(name, broker, partial(postgres.transaction, pool))


def record(offset, where=ONE):
    return Record(*where, offset, b"k", b"v")


async def effect(connection, name):
    await connection.execute("INSERT INTO cursors (name, value, slot, updated_ms) VALUES (%s, '', 0, 0)", (name,))


async def effects(pool):
    return {row["name"] for row in await postgres.fetch(pool, "SELECT name FROM cursors")}


async def test_a_reader_goes_on_behind_what_it_took_in(pool, broker):
    first = reader(pool, broker)
    assert await first.starts([ONE, TWO]) == {}
    for offset in (3, 4, 9):  # offsets have gaps
        assert not first.passed(record(offset))
        async with first.taking(record(offset)) as connection:
            await effect(connection, str(offset))
    assert first.passed(record(9))
    assert not first.passed(record(9, TWO))
    assert await reader(pool, broker).starts([ONE, TWO]) == {ONE: 10}
    assert await reader(pool, broker, "other").starts([ONE]) == {}


async def test_what_fails_leaves_neither_effect_nor_position(pool, broker):
    first = reader(pool, broker)
    await first.starts([ONE])
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
        async with first.taking(record(0)) as connection:
            await effect(connection, "lost")
            raise KeyError
    assert (await effects(pool), first.passed(record(0))) == (set(), False)
    async with first.taking(record(0)) as connection:
        await effect(connection, "kept")
    assert (await effects(pool), await reader(pool, broker).starts([ONE])) == ({"kept"}, {ONE: 1})


async def test_of_two_that_read_the_same_only_one_stores_it(pool, broker):
    first, second = reader(pool, broker), reader(pool, broker)
    for each in (first, second):
        await each.starts([ONE])
    for offset in (0, 1):
        async with first.taking(record(offset)):
            pass
        with pytest.raises(Elsewhere, match="reader does not stand at the beginning"):
            async with second.taking(record(offset)) as connection:
                await effect(connection, "twice")
    with pytest.raises(Elsewhere):
        await second.look()
    await first.look()
    assert await effects(pool) == set()
    assert await second.starts([ONE]) == {ONE: 2}
    async with second.taking(record(2)):
        pass
    with pytest.raises(Elsewhere, match=r"does not stand at offset 2 of m0\.one\.v1 partition 0"):
        await first.look()


async def test_an_emptied_database_is_an_early_one(pool, broker):
    first = reader(pool, broker)
    await first.starts([ONE])
    async with first.taking(record(7)):
        pass
    async with postgres.transaction(pool) as connection:
        await connection.execute("TRUNCATE positions")
    with pytest.raises(Elsewhere):
        await first.look()
    with pytest.raises(Elsewhere):
        async with first.taking(record(8)):
            pass
    assert await first.starts([ONE]) == {}
    async with first.taking(record(0)):
        pass


async def test_another_log_is_begun_anew(pool, broker):
    first = reader(pool, broker)
    await first.starts([ONE])
    async with first.taking(record(7)):
        pass
    other = reader(pool, MemoryBroker())
    assert await other.starts([ONE]) == {}
    async with other.taking(record(0)):
        pass
    with pytest.raises(Elsewhere):
        await first.look()
    assert await other.starts([ONE]) == {ONE: 1}
