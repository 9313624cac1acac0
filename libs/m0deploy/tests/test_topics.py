"""Topics and catalogs of a deployment on a real broker."""

import pytest
from catalog_world import CONTROL, World
from m0common.errors import M0Error
from m0common.settings import Settings
from m0common.stream.kafka_options import KafkaOptions
from m0common.topics import RAW, TOPICS
from m0deploy import topics
from m0deploy.catalogs import define
from m0deploy.changes import Changes
from m0deploy.site import Site
from m0local.testing import TestBroker, kafka_server
from m0replay.control_keys import ControlKeys

pytestmark = [pytest.mark.kafka]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server.bootstrap


@pytest.fixture(scope="module")
def broker(kafka):
    return TestBroker(KafkaOptions(bootstrap=kafka))


async def provision(kafka, tmp_path, partitions=8, apply=True):
    """The step; what it changed."""
    site = Site(tmp_path / "keys", tmp_path / "control", tmp_path / "record.json", tmp_path)
    changes = Changes(lambda _: None, apply=apply)
    settings = Settings(kafka={"bootstrap": kafka, "partitions": partitions})
    await topics.provision(site, settings, changes)
    return changes.said


async def test_every_topic_has_the_count_of_the_deployment_or_one(kafka, broker, tmp_path):
    due = await provision(kafka, tmp_path, apply=False)
    assert len(due) == len(TOPICS)
    assert await provision(kafka, tmp_path) == due
    assert await provision(kafka, tmp_path) == []
    counts = {topic.name: await broker.partitions(topic.name) for topic in TOPICS}
    assert counts == {topic.name: topic.partitions(8) for topic in TOPICS}
    assert set(counts.values()) == {1, 8}


async def test_another_count_than_the_logs_is_refused(kafka, tmp_path):
    await provision(kafka, tmp_path)
    with pytest.raises(M0Error, match="8"):
        await provision(kafka, tmp_path, partitions=16)


async def test_catalogs_are_defined_in_a_real_log_and_put_in_force_by_a_marker(kafka, broker, tmp_path):
    await provision(kafka, tmp_path)
    world = World(tmp_path / "world")
    world.broker = broker

    async def start():
        changes = Changes(lambda _: None, apply=True)
        await define(await world.desk(), ["sports"], ControlKeys(world.control(CONTROL)), True, changes)
        return changes.said

    assert await start() == ["sports: generation 1 defines it"]
    desk = await world.desk()
    await world.mark("sports", 7)
    await desk.log.wait_in_force(desk.log.standing("sports").newest, 20)
    assert await start() == []
    assert await broker.partitions(RAW.name) == 8
