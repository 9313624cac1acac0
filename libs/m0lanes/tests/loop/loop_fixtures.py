"""The four stages on every broker, for the tests here and for those of the tools over them."""

import pytest
from loop_world import Stages
from stream_world import SESSION_S, KafkaWorld, World


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory):
    """An Apache Kafka for those tests of a file in which it dies."""
    from m0local.testing import kafka_server

    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
async def memory_stages():
    """The four stages on the memory broker, for what only it can do on purpose."""
    async with Stages(World(session_timeout_s=0.3)) as stages:
        yield stages


@pytest.fixture
async def kafka_stages(request):
    """The four stages on Apache Kafka."""
    server = request.getfixturevalue("own_kafka" if request.node.get_closest_marker("outage") else "kafka")
    world = KafkaWorld(server, session_timeout_ms=int(SESSION_S * 1000), request_timeout_ms=5000, send_timeout_ms=3000)
    async with Stages(world) as stages:
        yield stages


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def stages(request):
    """The same test on both brokers."""
    return request.getfixturevalue(f"{request.param}_stages")
