"""A process that dies before or after any one of its writes and commits: what comes out is the same."""

import asyncio

import lanes_world as lanes
import pytest
from loop_world import NAMES


class Killed(BaseException):
    """The process was killed at this point."""


class Deadly:
    """A broker that kills its user before or after its n-th write or commit."""

    def __init__(self, inner, kill_at: int, *, after: bool) -> None:
        self._inner = inner
        self._left = kill_at
        self._after = after

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def call(self, operation, what):
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Killed
        done = await operation(what)
        if self._left < 0:
            raise Killed
        return done

    def producer(self):
        return _Watched(self, self._inner.producer(), "send")

    def consumer(self, **names):
        return _Watched(self, self._inner.consumer(**names), "commit")


class _Watched:
    def __init__(self, owner: Deadly, inner, method: str) -> None:
        self._inner = inner
        setattr(self, method, lambda what: owner.call(getattr(inner, method), what))

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_around_any_write_or_commit_loses_nothing_and_says_one_thing(memory_stages, after):
    stages = memory_stages
    await stages.write(lanes.season(4, first=stages.first).records)
    expected = await stages.expected()
    died = dict.fromkeys(NAMES, 0)
    settings = stages.settings.model_copy(update={"batch_records": 20})
    for name in NAMES:
        stages.start(name, broker=Deadly(stages.broker, 0, after=after), settings=settings)

    async def said() -> bool:
        for name in NAMES:
            if stages.tasks[name].done():
                assert isinstance(stages.tasks[name].exception(), Killed)
                died[name] += 1
                # lives grow longer: what a death makes its neighbour repeat must be passed to come to a marker
                at = died[name] % 9 + died[name] // 20
                stages.start(name, broker=Deadly(stages.broker, at, after=after), settings=settings)
        return await stages.headers() == expected

    await stages.until(said, 60)
    assert min(died.values()) > 3, died
    assert await stages.letters() == []
    for name in NAMES:
        stages.tasks[name].cancel()
    await asyncio.gather(*stages.tasks.values(), return_exceptions=True)
    stages.tasks.clear()
