"""What aiokafka raises while a broker is away, its slips included: it is Unavailable, and the client goes on."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.metadata import MetadataRequest
from m0common.errors import Unavailable
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.kafka_call import call

TIMEOUT_S = 0.1


class Silent:
    """A connection that a broker has stopped answering on: every request on it runs out of time at the same moment."""

    def __init__(self, connections):
        self._connections = connections

    def connected(self):
        return True

    def send(self, request, *, expect_response=True):
        del request, expect_response
        return asyncio.wait_for(asyncio.Event().wait(), TIMEOUT_S)

    def close(self, reason=None, exc=None):
        del reason, exc
        self._connections.clear()


async def test_two_requests_that_run_out_of_time_at_once_are_both_unavailable():
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    place = (1, ConnectionGroup.COORDINATION)
    client._conns[place] = Silent(client._conns)
    asks = [client.send(1, MetadataRequest([]), group=ConnectionGroup.COORDINATION) for _ in range(2)]
    answers = await asyncio.gather(*(call("ask", 60_000, ask) for ask in asks), return_exceptions=True)
    assert [str(said) for said in answers] == [
        "ask: [Error 7] RequestTimedOutError",
        "ask: a request was not answered in time on a connection that is closed already",
    ]
    assert all(isinstance(said, Unavailable) for said in answers)


class Heartbeat:
    """A consumer in a group whose heartbeat was the second of two such requests: aiokafka says so to the next poll."""

    def __init__(self):
        self._client = contextlib.AsyncExitStack()
        self._subscription = SimpleNamespace(subscription=None)

    async def getmany(self, **_):
        raise KeyError((1, ConnectionGroup.COORDINATION))

    async def stop(self):
        return None


async def test_a_heartbeat_that_was_the_second_of_them_costs_a_connection_and_no_reader():
    consumer = KafkaBroker(KafkaOptions("127.0.0.1:1")).consumer()
    consumer._inner = Heartbeat()
    with pytest.raises(Unavailable, match="read: a request was not answered in time"):
        await consumer.getmany(1, 0)
    assert consumer._inner is None, "the next poll opens another"
