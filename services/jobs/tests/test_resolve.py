import asyncio

import msgspec
import pytest
from jobs_house import BASE_MS
from m0_jobs.outcomes import OutcomeConsumer
from m0_jobs.resolve import Resolver
from m0common.chain import RpcUnavailable
from m0common.chain.accounts import MarketState
from m0common.clock import ManualClock
from m0common.messages import DeadLetter, MarketOutcome, encode
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import DLQ, OUTCOMES, TOPICS


@pytest.fixture
async def broker():
    made = MemoryBroker()
    await made.create_topics(TOPICS, 1, 1)
    return made


def outcome(market_id, index=0, **changes):
    fields = {"market_id": market_id, "catalog": "sports", "outcome": index, "evidence_hash": b"e" * 32}
    return MarketOutcome(**{**fields, "event_ms": BASE_MS, "source": "test", **changes})


async def take(house, broker, *values):
    """Publish and consume; the consumer then stops."""
    await broker.producer().send(
        [Produce(OUTCOMES.name, 0, b"k", v if isinstance(v, bytes) else encode(v)) for v in values]
    )
    wanted = len(broker.log(OUTCOMES.name, 0))
    task = asyncio.create_task(OutcomeConsumer(house.pool, broker, ManualClock(5)).run())
    async with asyncio.timeout(10):
        while sum(broker.committed("m0-jobs").values()) < wanted:  # noqa: ASYNC110 - the broker is asked
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def resolver(house):
    return Resolver(house.pool, house.chain, house.registry)


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


async def test_void_is_an_outcome(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 255))
    assert await resolver(house).run() == 1
    assert house.market("M1").resolution == 255


async def test_the_first_outcome_counts_and_repeats_change_nothing(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 1), outcome("M1", 1), outcome("M1", 2))
    rows = await house.rows("SELECT outcome, received_ms FROM outcomes")
    assert [(r["outcome"], r["received_ms"]) for r in rows] == [(1, 5)]


async def test_an_outcome_that_is_none_of_the_market_is_kept_but_never_sent(house, broker):
    await listed(house, "M1")
    await take(house, broker, outcome("M1", 9))
    assert await resolver(house).run() == 0
    assert house.chain.sent == 0


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
        encode(outcome("bad id")),
        encode(outcome("M1", 256)),
        encode(outcome("M1", evidence_hash=b"x")),
    ]
    await take(house, broker, *bad, outcome("M1"))
    letters = [msgspec.msgpack.decode(r.value, type=DeadLetter) for r in broker.log(DLQ.name, 0)]
    assert [(x.offset, x.error) for x in letters] == [(i, "invalid_outcome") for i in range(5)]
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
