"""A node that is not well is named within five seconds, and forgotten as soon as it is well again."""

import asyncio

import pytest
from m0chain import RpcRejected, RpcUnavailable
from m0chain.pulse import Pulse
from m0chain.rpc import ChainTime


class World:
    """A node, and both clocks; `answer` is what the node does when it is asked."""

    def __init__(self):
        self.s = 100.0
        self.slot = 7
        self.behind_ms = 0
        self.answer = self.well
        self.pulse = Pulse(self.ask, lambda: int(self.s * 1000), lambda: self.s)

    async def ask(self):
        return await self.answer()

    async def well(self):
        return ChainTime(self.slot, int(self.s * 1000) - self.behind_ms)

    async def second(self, slots=2):
        self.s += 1
        self.slot += slots
        await self.pulse.beat()
        return self.pulse.problem()


@pytest.fixture
async def world():
    made = World()
    assert made.pulse.problem() == "the chain's node has not answered yet"
    assert await made.second() is None
    return made


async def refuses():
    raise RpcRejected("the node refuses getAccountInfo: no", -32010)


async def answers_nothing_of_use():
    raise RpcUnavailable("getAccountInfo: HTTP 502")


async def hangs():
    raise TimeoutError


@pytest.mark.parametrize(
    ("answer", "cause"), [(refuses, "getAccountInfo: no"), (answers_nothing_of_use, "HTTP 502"), (hangs, "within 2 s")]
)
async def test_a_node_without_an_answer_is_a_problem_within_five_seconds_and_none_when_it_is_back(world, answer, cause):
    world.answer = answer
    said = [await world.second() for _ in range(5)]
    assert said[0] is None, "one lost answer is no outage"
    assert cause in said[3]
    world.answer = world.well
    assert await world.second() is None


async def test_a_chain_that_stands_still_is_a_problem_within_five_seconds(world):
    said = [await world.second(slots=0) for _ in range(5)]
    assert said[0] is None
    assert "stands at slot" in said[3]
    assert await world.second() is None


async def test_a_node_of_a_pool_that_is_a_little_behind_is_none(world):
    for step in range(20):
        assert await world.second(slots=(4, -2)[step % 2]) is None


async def test_a_process_that_stood_still_itself_blames_no_node(world):
    world.s += 60
    assert world.pulse.problem() is None
    assert await world.second() is None


async def test_a_node_that_lags_is_a_problem_at_once(world):
    world.behind_ms = 20_000
    assert "20 s behind" in await world.second()
    world.behind_ms = 3_000
    assert await world.second() is None


async def test_a_node_that_is_away_from_the_start_is_named():
    world = World()
    world.answer = answers_nothing_of_use
    assert "HTTP 502" in await world.second()


async def test_an_answer_that_never_comes_does_not_hold_up_the_next_question():
    world = World()

    async def never():
        await asyncio.Event().wait()

    world.answer = never
    async with asyncio.timeout(60):
        assert "has not answered" in await world.second()
