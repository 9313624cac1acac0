"""A real Postgres filled through the indexer's own code paths, and the application in process."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for api_served
sys.path.insert(0, str(Path(__file__).parents[2] / "indexer/tests"))  # for memory_chain
sys.path.insert(0, str(Path(__file__).parents[3] / "libs/m0index/tests"))  # for index_scene

import httpx2
import pytest
from api_served import served
from index_scene import EPOCH_MS, Scene
from m0_indexer.consume import BundleStore
from m0_indexer.follow import ProgramFollower
from m0_indexer.provisional import ProvisionalStore
from m0chain.idl import ORACLE, REGISTRY
from m0common.canonical import Outcome
from m0common.clock import ManualClock
from m0common.messages import ProvisionalPrediction, encode
from m0common.settings import Identity, Postgres, Settings
from m0common.store import postgres
from m0local.ports import free_port
from m0local.testing import index_server
from memory_chain import MemoryChain

SPLIT = [500_000_001, 300_000_000, 199_999_999]
EPOCHS = range(100, 107)
MARKETS = [f"EPL_{i:03}" for i in range(9)]


class World:
    """What was put into the index."""

    def __init__(self):
        self.scene = Scene(MemoryChain())
        self.bundles = {}


async def fill(world: World, dsn: str) -> None:
    """Epochs 100 to 106 of sports are final, 107 is final but not rooted, 108 is revealing, 109 expired, 110 only
    bundled; epoch 50 of crypto is final and its bundle did not arrive.
    """
    scene, clock = world.scene, ManualClock()
    scene.set_up(["sports", "crypto"])
    for market_id in MARKETS:
        scene.market(market_id)
    scene.market("BTC_UP", "crypto", ["up", "down"])
    scene.market("FRESH")
    scene.resolve(MARKETS[0], 2)

    def bundle(epoch_id, markets=MARKETS):
        probabilities = {m: SPLIT if m != MARKETS[1] else [] for m in markets}
        world.bundles[epoch_id] = scene.bundle(epoch_id, probabilities)
        return world.bundles[epoch_id]

    for epoch_id in EPOCHS:
        scene.whole_epoch(bundle(epoch_id))
    for epoch_id in (107, 108, 109):
        scene.open(epoch_id, "crypto")  # their windows end together with those of sports
    world.lost = scene.bundle(50, {"BTC_UP": [PPB_HALF, PPB_HALF]}, "crypto")
    scene.whole_epoch(world.lost)
    scene.chain.finalize()
    scene.whole_epoch(bundle(107))
    revealing = bundle(108)
    scene.open(108)
    for signer in (0, 1):
        scene.commit(revealing, signer)
    scene.reveal(revealing, 0)
    bundle(109)
    scene.open(109)
    scene.expire(109)
    bundle(110, [*MARKETS, "FRESH"])
    world.live = [
        provisional("EPL_002", NOW_EPOCH, 7),
        provisional("EPL_002", NOW_EPOCH, 6, model="older"),
        provisional("EPL_003", NOW_EPOCH - 2, 7),  # its window has long been over
        provisional("EPL_004", 106, 7, window_end_ms=1 << 50),  # that epoch is final
        provisional("FRESH", NOW_EPOCH, 8),
        provisional("EPL_000", NOW_EPOCH, 9),  # resolved
    ]
    async with postgres.opened(Postgres(dsn=dsn), name="fill") as pool:
        store = BundleStore(clock, lambda: None)
        for each in world.bundles.values():
            async with postgres.transaction(pool) as connection:
                for piece in each.pieces:
                    await store.add_piece(connection, piece)
                await store.add_header(connection, encode(each.message))
        live = ProvisionalStore(pool)
        for each in world.live:
            live.take(encode(each))
        await live.write()
        for name, program in ((REGISTRY, scene.programs.registry), (ORACLE, scene.programs.oracle)):
            await ProgramFollower(name, program, scene.programs, scene.chain, pool, clock, lambda: None).once()


PPB_HALF = 500_000_000
NOW_EPOCH = 111
"""The epoch that is open by the application's clock."""


def provisional(market_id, epoch_id, cause, **changes):
    """What the model says of a market now."""
    fields = {
        "catalog": "sports", "partition": 0, "life": 0, "cause": cause, "market_id": market_id, "epoch_id": epoch_id,
        "event_ms": 1, "window_end_ms": (epoch_id + 1) * EPOCH_MS, "schema_version": 1,
        "outcomes": (Outcome(600_000_000, 5, 700_000_000), Outcome(400_000_000, 4, 500_000_000), Outcome(0, 0, 6)),
        "risk_bps": 77, "quality_flags": 1, "model": "live", "model_key": b"k" * 32,
    }  # fmt: skip
    return ProvisionalPrediction(**fields | changes)


assert EPOCH_MS == 20_000


@pytest.fixture(scope="session")
def dsn(databases):
    return databases.index()


@pytest.fixture(scope="session")
def world(dsn):
    made = World()
    asyncio.run(fill(made, dsn))
    return made


def settings_of(world: World, dsn: str) -> Settings:
    programs = world.scene.programs
    deployed = Identity(oracle_program_id=str(programs.oracle), registry_program_id=str(programs.registry))
    return Settings(postgres=Postgres(dsn=dsn, answer_timeout_ms=60_000), deployment=deployed)


@pytest.fixture(scope="session")
def settings(dsn, world):
    return settings_of(world, dsn)


@pytest.fixture
def alone(tmp_path):
    """A server of its own, filled likewise, and settings with it: it may be frozen."""
    with index_server(tmp_path / "postgres") as server:
        made = World()
        asyncio.run(fill(made, server.dsn))
        yield server, settings_of(made, server.dsn)


@pytest.fixture
def clock():
    return ManualClock(NOW_EPOCH * EPOCH_MS)


@pytest.fixture
async def client(settings, clock):
    async with served(settings, clock) as (_, opened):
        yield opened


@pytest.fixture(scope="session")
def address(settings, tmp_path_factory):
    """The service as a process of its own; it must stop cleanly."""
    file = tmp_path_factory.mktemp("config") / "test.toml"
    file.write_text("")
    bind = f"127.0.0.1:{free_port()}"
    environ = os.environ | {
        "M0_CONFIG_PATH": str(file),
        "M0_BIND": bind,
        "M0_PG_DSN": settings.postgres.dsn.reveal(),
        "M0_ORACLE_PROGRAM_ID": settings.deployment.oracle_program_id,
        "M0_REGISTRY_PROGRAM_ID": settings.deployment.registry_program_id,
    }
    process = subprocess.Popen([sys.executable, "-m", "m0_api"], env=environ)
    for _ in range(300):
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"http://{bind}/ready").status_code == 200:
                break
        assert process.poll() is None
        time.sleep(0.1)
    yield f"http://{bind}"
    process.terminate()
    assert process.wait(10) == 0
