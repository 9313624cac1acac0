"""Answers kept in memory are never older than the newest change."""

import asyncio
import contextlib
import dataclasses

import psycopg
import pytest
from m0_api import metrics
from m0_api.cache import MAX_AGE_S, AnswerCache, Answers, Kept
from m0common.secret import SecretDsn
from m0common.settings import Postgres
from m0common.store import postgres
from m0index import changes
from m0local.wire import Wire

KEPT = Kept([(b"etag", b'"1"'), (b"cache-control", b"no-cache"), (b"content-type", b"text/plain")], b"body", '"1"', 0.0)


class Ear:
    """What a listener says of itself, and a clock."""

    def __init__(self):
        self.hearing, self.now_s = True, 0.0

    def answers(self, **limits):
        return Answers(lambda: self.hearing, seconds=lambda: self.now_s, **limits)


def test_nothing_is_kept_or_served_while_changes_are_not_heard_of():
    ear = Ear()
    answers = ear.answers()
    answers.put(b"a", KEPT, answers.changes)
    ear.hearing = False
    assert answers.get(b"a") is None
    answers.put(b"b", KEPT, answers.changes)
    ear.hearing = True
    assert answers.get(b"b") is None
    assert answers.get(b"a") is KEPT


def test_an_answer_that_was_begun_before_a_change_is_not_kept():
    answers = Ear().answers()
    begun = answers.changes
    answers.changed()
    answers.put(b"a", KEPT, begun)
    assert answers.get(b"a") is None


def test_nothing_is_served_for_long_whatever_was_heard():
    ear = Ear()
    answers = ear.answers()
    answers.put(b"a", KEPT, answers.changes)
    ear.now_s = MAX_AGE_S
    assert answers.get(b"a") is KEPT
    ear.now_s += 0.1
    assert answers.get(b"a") is None
    fresh = dataclasses.replace(KEPT, made_s=ear.now_s)
    answers.put(b"a", fresh, answers.changes)
    assert answers.get(b"a") is fresh


def test_the_least_recently_used_goes_first():
    answers = Ear().answers(max_bytes=12)
    for key in (b"a", b"b"):
        answers.put(key, KEPT, answers.changes)
    answers.get(b"a")
    answers.put(b"c", KEPT, answers.changes)
    assert [answers.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


async def ask(app, path="/x", headers=()):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": list(headers)}  # fmt: skip
    await app(scope, None, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]), dict(sent[0]["headers"])


class Routes:
    """An application that counts what it is asked."""

    def __init__(self, status=200, tagged=True, pieces=(b"body",), cache_control=b"no-cache"):
        self.asked = 0
        self.status = status
        tag, _, kind = KEPT.headers
        self.headers = [*([tag] if tagged else []), (b"cache-control", cache_control), kind]
        self.pieces = pieces

    async def __call__(self, scope, receive, send):
        self.asked += 1
        assert b"if-none-match" not in dict(scope["headers"])
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        for i, piece in enumerate(self.pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": i < len(self.pieces) - 1})


async def test_an_answer_that_passes_by_itself_is_made_anew_every_time():
    answers = Ear().answers()
    routes = Routes(cache_control=b"no-store")
    app = AnswerCache(routes, answers)
    for _ in range(2):
        assert (await ask(app))[:2] == (200, b"body")
    assert routes.asked == 2


async def test_the_second_answer_comes_from_memory_and_conditions_hold_for_both():
    answers = Ear().answers()
    routes = Routes()
    app = AnswerCache(routes, answers)
    condition = [(b"if-none-match", b'"1"')]
    assert (await ask(app, headers=condition))[:2] == (304, b"")
    assert (await ask(app))[:2] == (200, b"body")
    status, body, headers = await ask(app, headers=condition)
    assert (status, body, headers) == (304, b"", {b"etag": b'"1"', b"cache-control": b"no-cache"})
    assert routes.asked == 1
    answers.changed()
    await ask(app)
    assert routes.asked == 2


async def test_the_same_answer_is_made_once_for_all_who_ask_meanwhile():
    answers, routes, gate = Ear().answers(), Routes(), asyncio.Event()

    async def slow(scope, receive, send):
        await gate.wait()
        await routes(scope, receive, send)

    app = AnswerCache(slow, answers)
    asking = [asyncio.create_task(ask(app)) for _ in range(10)]
    await asyncio.sleep(0.01)
    gate.set()
    assert {(status, body) for status, body, _ in await asyncio.gather(*asking)} == {(200, b"body")}
    assert routes.asked == 1


async def test_who_waited_for_an_answer_that_failed_asks_again():
    answers, gate, asked = Ear().answers(), asyncio.Event(), []

    async def fails(scope, receive, send):
        asked.append(1)
        await gate.wait()
        raise KeyError

    app = AnswerCache(fails, answers)
    asking = [asyncio.create_task(ask(app)) for _ in range(3)]
    await asyncio.sleep(0.01)
    gate.set()
    assert [type(e) for e in await asyncio.gather(*asking, return_exceptions=True)] == [KeyError] * 3
    assert len(asked) == 3


@pytest.mark.parametrize(
    "routes",
    [Routes(status=404), Routes(tagged=False), Routes(pieces=(b"bo", b"dy"))],
    ids=["error", "untagged", "parts"],
)
async def test_what_may_not_be_kept_passes_through_unchanged(routes):
    answers = Ear().answers()
    app = AnswerCache(routes, answers)
    for _ in range(2):
        status, body, _ = await ask(app)
        assert (status, body) == (routes.status, b"body")
    assert routes.asked == 2


def cache_hits():
    return sum(value for _, value in metrics.HITS.values())


@pytest.mark.postgres
async def test_a_change_of_the_index_is_seen_in_the_next_answer(client, dsn, world):
    async def title():
        return (await client.get("/v1/markets/EPL_005")).json()["title"]

    async def becomes(wanted):
        async with asyncio.timeout(60):
            while await title() != wanted:  # noqa: ASYNC110 - what a client would do
                await asyncio.sleep(0.02)

    hits = cache_hits()
    async with asyncio.timeout(60):
        while cache_hits() == hits:
            await becomes("Title of EPL_005")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        update = "UPDATE markets SET title = %s WHERE market_id = 'EPL_005'"
        async with connection.transaction():
            await connection.execute(update, ("New",))
            await changes.notify(connection)
        await becomes("New")
        async with connection.transaction():
            await connection.execute(update, ("Title of EPL_005",))
            await changes.notify(connection)
        await becomes("Title of EPL_005")


@contextlib.asynccontextmanager
async def listening(dsn, pool):
    """A listener at `dsn` whose voice goes through `pool`, and what it told of."""
    listener, heard, stop = changes.Listener(SecretDsn(dsn), "test"), [], asyncio.Event()
    work = asyncio.create_task(listener.run(pool, lambda: heard.append("change"), stop))
    try:
        yield listener, heard
    finally:
        stop.set()
        await work


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what readiness would see
            await asyncio.sleep(0.02)


@pytest.mark.postgres
async def test_a_listener_that_loses_its_connection_says_so_and_hears_again(dsn):
    async with (
        postgres.opened(Postgres(dsn=dsn), name="voice", reading=True) as pool,
        listening(dsn, pool) as (listener, heard),
    ):
        assert "not listened yet" in listener.problem()
        await until(lambda: heard == ["change"] and listener.problem() is None)
        await postgres.fetch(
            pool,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test-listener'",
        )
        await until(lambda: listener.problem() is not None)
        await until(lambda: heard == ["change"] * 2 and listener.problem() is None)


@pytest.mark.postgres
async def test_a_listener_on_a_dead_wire_says_so_while_everything_else_goes_on(dsn):
    there = psycopg.conninfo.conninfo_to_dict(dsn)
    async with (
        Wire(there["host"], int(there["port"])) as wire,
        postgres.opened(Postgres(dsn=dsn), name="voice", reading=True) as pool,
        listening(psycopg.conninfo.make_conninfo(dsn, host="127.0.0.1", port=wire.port), pool) as (listener, heard),
    ):
        await until(listener.hearing)
        wire.cut()
        await until(lambda: listener.problem() is not None)
        assert "has not heard what the process itself says" in listener.problem()
        await until(lambda: "timeout" in listener.problem() or "no answer" in listener.problem())
        before = len(heard)
        wire.mend()
        await until(lambda: listener.hearing() and len(heard) > before)
