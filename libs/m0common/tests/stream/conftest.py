"""Fixtures of the stream tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for broken_bytes, stream_run and stream_world

from stream_world import SESSION_S, KafkaWorld, World


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory):
    """An Apache Kafka for those tests of a file in which it dies or says nothing."""
    from m0local.testing import kafka_server

    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def world(request):
    """The same test on both brokers."""
    if request.param == "memory":
        yield World()
        return
    world = KafkaWorld(
        request.getfixturevalue("own_kafka" if request.node.get_closest_marker("outage") else "kafka"),
        session_timeout_ms=int(SESSION_S * 1000),
        request_timeout_ms=5000,
        send_timeout_ms=3000,
    )
    yield world
    await world.end()


@pytest.fixture
def memory():
    """The memory broker alone, for what only it can do on purpose."""
    return World(session_timeout_s=0.3)


@pytest.fixture
async def kafka_world(kafka):
    """Apache Kafka alone, with the time-outs of a service."""
    world = KafkaWorld(kafka)
    yield world
    await world.end()
