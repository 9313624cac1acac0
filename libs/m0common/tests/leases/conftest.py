"""A store of leases in memory and the same in Postgres."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for pooling_proxy

import psycopg
import pytest
from m0common.clock import ManualClock
from m0common.leases.memory import MemoryLeases
from m0common.leases.rows import PostgresLeases
from m0common.settings import Postgres
from m0common.store import postgres


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    from m0local.testing import index_server

    with index_server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
async def pool(server):
    with psycopg.connect(server.dsn) as connection:
        connection.execute("TRUNCATE leases")
    async with postgres.opened(Postgres(dsn=server.dsn), name="test") as opened:
        yield opened


@pytest.fixture
async def few(server, pool):
    """The pool that leases have."""
    async with postgres.opened(Postgres(dsn=server.dsn), name="test-leases", reading=True, session=False) as opened:
        yield opened


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def leases(request, clock):
    if request.param == "memory":
        return MemoryLeases(clock)
    return PostgresLeases(request.getfixturevalue("few"), answer_s=60)


@pytest.fixture
def expire(request, leases, clock):
    """Let every lease run out."""
    if isinstance(leases, MemoryLeases):
        return lambda: clock.advance(3_600_000)

    def run_out():
        with psycopg.connect(request.getfixturevalue("server").dsn) as connection:
            connection.execute("UPDATE leases SET until = clock_timestamp() - interval '1 ms'")

    return run_out
