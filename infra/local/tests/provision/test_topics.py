"""Topics and catalogs of a deployment on a real broker."""

import asyncio
import dataclasses

import pytest
from catalog_world import CONTROL, World
from m0common.errors import M0Error
from m0common.stream.kafka_options import KafkaOptions
from m0common.topics import RAW, TOPICS
from m0local.control_keys import ControlKeys
from m0local.provision.catalogs import define
from m0local.provision.topics import provision
from m0local.settings import load
from m0local.testing import TestBroker, kafka_server

pytestmark = [pytest.mark.kafka]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    (folder / "config.toml").write_text("[kafka]\npartitions = 8\n")
    with kafka_server(folder / "kafka") as kafka:
        env = {"M0_HOME": str(folder), "M0_KAFKA_BOOTSTRAP": kafka.bootstrap}
        yield load({**env, "M0_CONFIG_PATH": str(folder / "config.toml")})


@pytest.fixture(scope="module")
def broker(stack):
    return TestBroker(KafkaOptions(bootstrap=stack.kafka_bootstrap))


def test_every_topic_has_the_count_of_the_deployment_or_one(stack, broker):
    provision(stack, print)
    provision(stack, print)
    counts = {topic.name: asyncio.run(broker.partitions(topic.name)) for topic in TOPICS}
    assert counts == {topic.name: topic.partitions(8) for topic in TOPICS}
    assert set(counts.values()) == {1, 8}


def test_another_count_than_the_logs_is_refused(stack, tmp_path):
    (tmp_path / "config.toml").write_text("[kafka]\npartitions = 16\n")
    provision(stack, print)
    with pytest.raises(M0Error, match="8"):
        provision(dataclasses.replace(stack, config_path=tmp_path / "config.toml"), print)


async def test_catalogs_are_defined_in_a_real_log_and_put_in_force_by_a_marker(stack, broker, tmp_path):
    await asyncio.to_thread(provision, stack, print)
    world = World(tmp_path)
    world.broker = broker
    said = []
    await define(await world.desk(), ["sports"], ControlKeys(world.control(CONTROL)), True, said.append)
    assert said == ["sports: generation 1 defines it"]
    desk = await world.desk()
    await world.mark("sports", 7)
    await desk.log.wait_in_force(desk.log.standing("sports").newest, 20)
    said.clear()
    await define(await world.desk(), ["sports"], ControlKeys(world.control(CONTROL)), True, said.append)
    assert said == []
    assert await broker.partitions(RAW.name) == 8
