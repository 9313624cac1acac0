import asyncio
from functools import partial

import msgspec
import pytest
from jobs_house import BASE_MS
from m0_jobs.outcomes import OutcomeStore, outcome_loop
from m0_jobs.resolve import BATCH, Resolver
from m0chain import RpcUnavailable
from m0chain.accounts import MarketState
from m0common.clock import ManualClock
from m0common.leases.rows import PostgresLeases, fenced
from m0common.messages import DeadLetter, MarketOutcome, encode
from m0common.settings import Stage
from m0common.store.postgres import transaction
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import DLQ, OUTCOMES, TOPICS
from m0index.positions import Positions
from m0index.tables import outcomes
from prometheus_client import REGISTRY


@pytest.fixture
async def broker():
    made = MemoryBroker()
    await made.create_topics(TOPICS, 1)
    return made


def outcome(market_id, index=0, **changes):
    fields = {"market_id": market_id, "catalog": "sports", "outcome": index, "evidence_hash": b"e" * 32}
    return MarketOutcome(**{**fields, "event_ms": BASE_MS, "source": "test", **changes})


async def take(house, broker, *values):
    """Publish and consume; the consumer then stops."""
    lease = await PostgresLeases(house.pool).take("jobs", "test", 600_000)
    await broker.producer().send(
        [Produce(OUTCOMES.name, 0, b"k", v if isinstance(v, bytes) else encode(v)) for v in values]
    )
    wanted = len(broker.log(OUTCOMES.name, 0))
    settings = Stage(poll_timeout_ms=10, commit_interval_ms=0)
    positions = Positions("m0-jobs", broker, partial(fenced, house.pool, lease))
    loop = outcome_loop(OutcomeStore(positions, ManualClock(5)), broker, settings)
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(60):
        while sum(broker.committed("m0-jobs").values()) < wanted:  # noqa: ASYNC110 - the broker is asked
            await asyncio.sleep(0.01)
    loop.stop()
    await task


def letters(broker):
    return [msgspec.msgpack.decode(r.value, type=DeadLetter) for r in broker.log(DLQ.name, 0)]


def resolver(house, clock=None, wait_ms=0):
    return Resolver(house.pool, house.chain, house.registry, clock or ManualClock(5), wait_ms)


async def listed(house, market_id, resolves_after_ms=BASE_MS, **changes):
    house.create_market(market_id, resolves_after_ms)
    await house.index_market(market_id, resolves_after_ms, **changes)


async def test_a_known_outcome_resolves_its_market_once(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 2))
    assert await resolver(house).run() == 1
    market = house.market("M1")
    assert (market.resolved, market.resolution, market.evidence_hash) == (True, 2, b"e" * 32)
    assert market.state is MarketState.DEPRECATED
    sent = house.chain.sent
    assert await resolver(house).run() == 0  # the index does not show it yet: the chain is asked instead
    assert house.chain.sent == sent


async def test_a_market_is_not_resolved_before_its_time(house, broker):
    await listed(house, "M1", BASE_MS + 5000)
    await take(house, broker, outcome("M1"))
    assert await resolver(house).run() == 0
    house.set_time(BASE_MS + 5000)
    assert await resolver(house).run() == 1


async def test_a_correction_that_comes_in_time_is_what_is_resolved(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 1))  # at 5 ms
    clock = ManualClock(5 + 999)
    waits = resolver(house, clock, 1000)
    assert await waits.run() == 0
    await take(house, broker, outcome("M1", 2))
    async with transaction(house.pool) as connection:
        await connection.execute("UPDATE outcomes SET received_ms = 900 WHERE outcome = 2")
    clock.advance(1)
    assert await waits.run() == 0  # the correction is what waits now
    clock.advance(895)
    assert await waits.run() == 1
    assert house.market("M1").resolution == 2


async def test_what_is_due_and_not_resolved_is_counted(house, broker):
    for market_id in ("M1", "M2", "M3"):
        await listed(house, market_id)
    await listed(house, "LATER", BASE_MS + 5000)
    await take(house, broker, outcome("M1"))
    await resolver(house, wait_ms=1000).run()

    def counted(outcome):
        return REGISTRY.get_sample_value("m0_jobs_unresolved_markets", {"outcome": outcome})

    assert (counted("unknown"), counted("known")) == (2, 1)


async def test_markets_that_always_fail_hold_up_nothing_behind_them(house, broker):
    """A page of markets that the index knows and the chain does not is at the head of the list."""
    for number in range(BATCH):
        await house.index_market(f"A{number:03}", BASE_MS)
    await listed(house, "M1")
    await take(house, broker, *(outcome(f"A{number:03}") for number in range(BATCH)), outcome("M1"))
    job = resolver(house)
    assert [await job.run() for _ in range(3)] == [0, 1, 0]


async def test_void_is_an_outcome(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 255))
    assert await resolver(house).run() == 1
    assert house.market("M1").resolution == 255


async def in_force(house, market_id="M1"):
    """The outcome that would be resolved."""
    async with transaction(house.pool) as connection:
        return (await outcomes.standing(connection, market_id)).outcome


async def test_an_emptied_database_takes_all_outcomes_in_again(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 2), outcome("M1", 1))
    async with transaction(house.pool) as connection:
        await connection.execute("TRUNCATE outcomes, positions")
    await take(house, broker, outcome("M2", 0))
    assert await in_force(house) == 1


@pytest.mark.parametrize(
    ("said", "counts"),
    [((1, 1), 1), ((1, 2), 2), ((1, 2, 1), 1), ((255, 1), 1), ((1, 255), 255), ((2, 1, 1), 1)],
)
async def test_the_last_outcome_said_counts_until_the_market_is_resolved(house, broker, said, counts):
    await listed(house, "M1")
    await take(house, broker, *(outcome("M1", index) for index in said))
    assert await in_force(house) == counts
    assert await resolver(house).run() == 1
    assert house.market("M1").resolution == counts


async def test_a_repeat_changes_nothing(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 1), outcome("M1", 1, source="another"))
    (row,) = await house.rows("SELECT outcome, source, received_ms FROM outcomes")
    assert (row["outcome"], row["source"], row["received_ms"]) == (1, "test", 5)


def contradictions():
    return REGISTRY.get_sample_value("m0_jobs_outcomes_total", {"kind": "contradicting"}) or 0


async def test_what_contradicts_a_resolved_market_is_counted_and_not_kept(house, broker):
    await listed(house, "M1", resolution=1, resolved_ms=BASE_MS)
    before = contradictions()
    await take(house, broker, outcome("M1", 1), outcome("M1", 2))
    assert contradictions() == before + 1
    assert await house.rows("SELECT * FROM outcomes") == []


async def test_an_outcome_that_is_none_of_its_market_never_takes_its_place(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 7), outcome("M1", 2), outcome("M1", 3), outcome("M1", 1, catalog="crypto"))
    assert [(letter.offset, letter.error) for letter in letters(broker)] == [
        (0, "unfit_outcome"), (2, "unfit_outcome"), (3, "unfit_outcome"),
    ]  # fmt: skip
    assert await in_force(house) == 2
    assert await resolver(house).run() == 1


async def test_an_impossible_outcome_takes_no_place_although_its_market_was_not_known_yet(house, broker):
    await take(house, broker, outcome("M1", 2), outcome("M1", 7), outcome("M1", 1, catalog="crypto"))
    await listed(house, "M1")
    assert await in_force(house) == 2
    assert await resolver(house).run() == 1
    assert house.market("M1").resolution == 2


async def test_an_outcome_may_come_before_its_market(house, broker):
    await take(house, broker, outcome("M1"))
    assert await resolver(house).run() == 0
    await listed(house, "M1")
    assert await resolver(house).run() == 1


async def test_what_is_no_outcome_becomes_a_dead_letter_and_the_rest_goes_on(house, broker):
    await listed(house, "M1")
    bad = [
        b"",
        b"\xc1",
        b"\x91\xa1\xff",
        b"\x91" * 50_000,
        encode(outcome("bad id")),
        encode(outcome("M1\0")),
        encode(outcome("M1", 256)),
        encode(outcome("M1", -1)),
        encode(outcome("M1", evidence_hash=b"x")),
        encode(outcome("M1", source="feed\0")),
        encode(outcome("M1", source="é" * 129)),
        encode(outcome("M1", catalog="sports\0")),
        encode(outcome("M1", event_ms=1 << 63)),
        encode(outcome("M1", event_ms=-1)),
    ] * 10
    await take(house, broker, *bad, outcome("M1"))
    assert [(x.offset, x.error) for x in letters(broker)] == [(i, "invalid_outcome") for i in range(len(bad))]
    assert await resolver(house).run() == 1


async def test_many_markets_are_resolved_in_one_run(house, broker):
    for i in range(20):
        await listed(house, f"M{i}")
    await take(house, broker, *(outcome(f"M{i}", i % 3) for i in range(20)))
    assert await resolver(house).run() == 20
    assert [house.market(f"M{i}").resolution for i in range(20)] == [i % 3 for i in range(20)]


async def test_a_node_that_is_away_is_an_error_the_next_run_forgets(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1"))
    house.down = True
    with pytest.raises(RpcUnavailable):
        await resolver(house).run()
    house.down = False
    assert await resolver(house).run() == 1
