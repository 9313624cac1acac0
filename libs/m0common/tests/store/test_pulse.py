"""Whether the database answers, as readiness sees it."""

import asyncio

import psycopg
import pytest
from m0common.pulse import PATIENCE_S
from m0common.secret import SecretDsn
from m0common.store.bounded import connected
from m0common.store.pulse import Pulse, database_pulse
from m0local.testing import postgres_server, taken

NOWHERE = SecretDsn("postgresql://m0:hidden@127.0.0.1:1/m0")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres_server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what readiness would see
            await asyncio.sleep(0.02)


@pytest.mark.postgres
async def test_a_database_that_hangs_is_named_and_well_again_once_it_answers(server):
    async with taken(database_pulse(SecretDsn(server.dsn), "test")) as pulse:
        assert pulse.problem() == "Postgres was not asked yet"
        await until(lambda: pulse.problem() is None)
        with server.frozen():
            await until(lambda: "Postgres has not answered for" in (pulse.problem() or ""))
            assert "no answer within 2 s" in pulse.problem() or "timeout" in pulse.problem()
        await until(lambda: pulse.problem() is None)


@pytest.mark.postgres
async def test_what_is_wrong_with_the_answer_is_said_as_it_is(server):
    says = ["the schema is foreign"]

    async def ask(connection):
        await connection.execute("SELECT 1")
        return says[0]

    async with taken(database_pulse(SecretDsn(server.dsn), "test", ask)) as pulse:
        await until(lambda: pulse.problem() == "the schema is foreign")
        says[0] = None
        await until(lambda: pulse.problem() is None)


async def test_a_lost_answer_is_no_problem_yet_and_the_reason_bears_no_password():
    now = [100.0]
    pulse = Pulse(NOWHERE, "test", seconds=lambda: now[0])
    await pulse.beat()
    assert pulse.problem() == "Postgres was not asked yet"
    now[0] += PATIENCE_S + 1
    await pulse.beat()
    assert pulse.problem().startswith("Postgres has not answered for 4 s: ")
    assert pulse.problem().endswith("; check M0_PG_DSN")
    assert "hidden" not in pulse.problem()


async def test_a_process_that_does_not_come_to_ask_says_nothing_of_the_database():
    now = [100.0]
    pulse = Pulse(NOWHERE, "test", seconds=lambda: now[0])
    await pulse.beat()
    now[0] += 1000
    assert "for 5 s" in pulse.problem()


@pytest.mark.postgres
async def test_a_statement_that_gets_no_answer_ends_and_so_does_its_connection(server):
    connection = await connected(SecretDsn(server.dsn), "test", 2)
    async with connection:
        with server.frozen(), pytest.raises(psycopg.OperationalError, match="no answer within 2 s"):
            await connection.execute("SELECT 1")
        assert connection.closed


@pytest.mark.postgres
async def test_a_wait_that_is_cancelled_asks_nobody_and_closes_the_connection(server):
    connection = await connected(SecretDsn(server.dsn), "test", 60)
    async with connection:
        with server.frozen():
            asking = asyncio.create_task(connection.execute("SELECT 1"))
            await asyncio.sleep(0.1)
            asking.cancel()
            await asyncio.wait({asking}, timeout=30)
            assert asking.cancelled()
        assert connection.closed
