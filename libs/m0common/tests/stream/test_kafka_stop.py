"""Stopping a consumer whose broker is away: whose cancellation is whose."""

import asyncio
import contextlib

import pytest
from aiokafka.errors import KafkaConnectionError
from m0common.stream import kafka_stop
from m0common.stream.kafka_stop import abandon_consumer


class Connections:
    def __init__(self):
        self.closed = asyncio.Event()

    async def close(self):
        self.closed.set()


class Inner:
    """Stops as aiokafka's consumer does: by cancelling tasks of its own and waiting for them."""

    def __init__(self, ends):
        self._client, self._ends, self.stopping = Connections(), ends, asyncio.Event()

    async def stop(self):
        self.stopping.set()
        await self._ends()
        await self._client.close()


async def its_own_cancellation():
    fetch = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    fetch.cancel()
    await fetch


async def takes_any_cancellation_for_its_own():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def hangs():
    await asyncio.Event().wait()


async def refused():
    raise KafkaConnectionError("no broker")


async def broken():
    raise ValueError("a fault of this program")


async def test_a_cancellation_of_its_own_ends_nobody_else_and_leaves_no_connection():
    inner = Inner(its_own_cancellation)
    await abandon_consumer(inner)
    assert inner._client.closed.is_set()


@pytest.mark.parametrize("ends", [hangs, takes_any_cancellation_for_its_own])
async def test_who_waits_for_it_can_be_cancelled(ends):
    inner = Inner(ends)
    waiting = asyncio.ensure_future(abandon_consumer(inner))
    await inner.stopping.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5):
        await inner._client.closed.wait()


async def test_one_that_does_not_stop_is_left_behind(monkeypatch):
    monkeypatch.setattr(kafka_stop, "CONSUMER_MS", 50)
    inner = Inner(hangs)
    async with asyncio.timeout(5):
        await abandon_consumer(inner)
        await inner._client.closed.wait()


async def test_what_kafka_refuses_is_given_up_and_a_fault_is_said():
    await abandon_consumer(Inner(refused))
    with pytest.raises(ValueError, match="a fault of this program"):
        await abandon_consumer(Inner(broken))
