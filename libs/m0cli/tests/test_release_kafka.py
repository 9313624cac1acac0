"""`m0 release` on a real Kafka: who runs is whoever is a member of a stage's consumer group."""

import asyncio
import json
from pathlib import Path

import pytest
from catalog_world import CLOCK, CONTROL, GENESIS, REGISTRY
from m0cli import catalog, release
from m0common.stream.groups import StageGroup
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.topics import RAW, TOPICS
from m0lanes.domains import load_domains
from m0lanes.release import build_of
from m0local.testing import kafka_server, make_topics
from m0replay.builds import installed_build
from m0replay.lanes import STAGES
from typer.testing import CliRunner

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
PARTITIONS = 4
NEW = "cd" * 32


class Deployment:
    """A Kafka with our topics, and commands of somebody who has the control key."""

    def __init__(self, bootstrap: str, home: Path) -> None:
        self.options = KafkaOptions(bootstrap, "test")
        for name, key in (("clock", CLOCK), ("registry", REGISTRY), ("control", CONTROL)):
            (home / f"{name}.json").write_text(json.dumps(list(bytes(key))))
        (home / "config.toml").write_text(f'env = "dev"\n[kafka]\npartitions = {PARTITIONS}\n')
        self._env = {
            "M0_HOME": str(home / "no-stack"),
            "M0_CONFIG_PATH": str(home / "config.toml"),
            "M0_CATALOGS_DIR": str(Path(__file__).parents[3] / "config"),
            "M0_KEYS_DIR": str(home),
            "M0_CONTROL_KEY_FILE": str(home / "control.json"),
            "M0_CONTROL_KEY": bytes(CONTROL.pubkey()).hex(),
            "M0_GENESIS_HASH": GENESIS.hex(),
            "M0_KAFKA_BOOTSTRAP": bootstrap,
        }

    def m0(self, app, *arguments):
        return CliRunner().invoke(app, arguments, env=self._env)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        made = Deployment(server.bootstrap, tmp_path_factory.mktemp("home"))
        make_topics(made.options, TOPICS, PARTITIONS)
        done = made.m0(catalog.app, "set", "sports", "--yes", "--timeout", "0")
        assert done.exit_code == 0, done.output
        yield made


async def assigned(_partitions):
    return {}


async def revoked(_partitions):
    return None


async def test_what_runs_is_named_only_when_it_runs_in_all_stages(deployment):
    here, installed = installed_build()
    said = json.loads((await asyncio.to_thread(deployment.m0, release.app, "plan", "--json")).stdout)
    assert said["builds"] == []
    assert [(c["catalog"], c["release"], c["waits"], c["due"]) for c in said["catalogs"]] == [
        ("sports", installed["sports"], True, False)
    ]
    other = await asyncio.to_thread(
        deployment.m0, catalog.app, "set", "sports", "--release", NEW, "--yes", "--timeout", "0"
    )
    assert other.exit_code == 0, other.output
    refused = await asyncio.to_thread(deployment.m0, release.app, "switch", "--yes")
    assert refused.exit_code == 1
    assert (
        f"release {installed['sports']} of catalog sports runs in normalize, feature, model, bundle" in refused.stderr
    )
    broker = KafkaBroker(deployment.options)
    consumers = [
        broker.consumer(group=str(StageGroup.of(stage, build_of(load_domains())))) for stage in STAGES.values()
    ]
    try:
        for consumer in consumers:
            await consumer.start()
            await consumer.subscribe([RAW.name], assigned, revoked)
            await consumer.getmany(1, 100)
        async with asyncio.timeout(60):
            while True:
                done = await asyncio.to_thread(deployment.m0, release.app, "plan", "--json")
                said = json.loads(done.stdout)
                if said["builds"] == [
                    {"id": here, "stages": list(STAGES.values()), "releases": sorted(installed.values())}
                ]:
                    break
                await asyncio.gather(*(consumer.getmany(1, 100) for consumer in consumers))
        assert [(c["release"], c["due"], c["builds"]) for c in said["catalogs"]] == [(NEW, True, [])]
        # nobody runs what the log names
        assert f"their release {NEW} runs in no normalize" in said["catalogs"][0]["fault"]
        alone = await asyncio.to_thread(deployment.m0, release.app, "finish")
        assert (alone.exit_code, alone.stdout) == (0, f"build {here} runs alone: nothing is left to remove\n")
        unknown = await asyncio.to_thread(deployment.m0, release.app, "finish", "0123456789")
        assert (unknown.exit_code, f"build 0123456789 runs in no stage, {here} does" in unknown.stderr) == (1, True)
    finally:
        for consumer in consumers:
            await consumer.stop()
        await broker.close()
