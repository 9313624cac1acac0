"""A database that hangs: nothing waits for it for ever, readiness names it, and all is well once it answers again."""

import asyncio

import pytest
from api_served import served
from m0_api.deadline import Deadline

pytestmark = pytest.mark.postgres


async def becomes(client, path, status):
    async with asyncio.timeout(60):
        while (answer := await client.get(path)).status_code != status:  # noqa: ASYNC110 - what a client would do
            await asyncio.sleep(0.1)
    return answer


async def named(client, wanted):
    """Wait until readiness names all of `wanted`, each with its words."""
    async with asyncio.timeout(60):
        while True:
            problems = (await client.get("/ready")).json()["problems"]
            if all(words in problems.get(name, "") for name, words in wanted.items()):
                return
            await asyncio.sleep(0.1)


@pytest.fixture
async def client(alone):
    _, settings = alone
    hasty = settings.postgres.model_copy(update={"answer_timeout_ms": 2500})
    async with served(settings.model_copy(update={"postgres": hasty})) as (_, opened):
        yield opened


async def test_a_database_that_hangs_costs_a_503_and_readiness_and_nothing_afterwards(client, alone):
    database, _ = alone
    await becomes(client, "/ready", 200)
    await becomes(client, "/v1/markets/EPL_003", 200)
    with database.frozen():
        answer = await becomes(client, "/v1/markets/EPL_004?fresh", 503)
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("unavailable", "1")
        at_once = await asyncio.gather(*(client.get(f"/v1/markets/EPL_00{i}?frozen") for i in range(9)))
        assert {each.status_code for each in at_once} == {503}
        await named(client, {"postgres": "Postgres has not answered for", "changes": "are not heard of"})
        assert (await client.get("/health")).status_code == 200
    await becomes(client, "/ready", 200)
    assert (await becomes(client, "/v1/markets/EPL_004?fresh", 200)).json()["market_id"] == "EPL_004"


async def called(app, path="/x"):
    sent = []

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": path, "headers": []}, None, send)
    return sent


async def test_routes_that_never_answer_are_answered_for_and_cancelled():
    cancelled = asyncio.Event()

    async def hang(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await send({"type": "http.response.start", "status": 200, "headers": []})

    sent = await called(Deadline(hang, 0.01))
    await asyncio.wait_for(cancelled.wait(), 60)
    assert [message.get("status") for message in sent] == [503, None]


async def test_an_answer_that_has_begun_is_left_to_end():
    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"late"})

    assert [message.get("body") for message in await called(Deadline(slow, 0.01))] == [None, b"late"]


async def test_what_routes_raise_is_raised():
    async def fails(scope, receive, send):
        raise KeyError("x")

    with pytest.raises(KeyError):
        await called(Deadline(fails, 60))
