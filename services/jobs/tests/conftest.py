import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from jobs_house import BASE_MS, House
from m0common.leases.rows import PostgresLeases
from m0common.settings import Postgres
from m0common.store import postgres
from m0local.testing import empty_index


@pytest.fixture(scope="session")
def dsn(databases):
    return databases.index()


@pytest.fixture
async def pool(dsn):
    empty_index(dsn)
    async with postgres.opened(Postgres(dsn=dsn), name="test") as opened:
        yield opened


@pytest.fixture
async def lease(pool):
    """What a leader writes under."""
    return await PostgresLeases(pool).take("jobs", "test", 600_000)


@pytest.fixture
def house(pool):
    return House(pool, BASE_MS)
