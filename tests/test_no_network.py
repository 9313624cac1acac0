"""The guard of the root conftest holds: a test that forgets to bring its server says so at once."""

import asyncio
import os
import socket

import pytest

pytestmark = pytest.mark.skipif("M0_RPC_URL" in os.environ, reason="a node of another machine is used")
ELSEWHERE = ("192.0.2.1", 80)  # RFC 5737: nobody's


def test_a_connection_to_another_machine_is_refused():
    with pytest.raises(ConnectionRefusedError, match="start what it needs on"):
        socket.create_connection(ELSEWHERE, 1)


async def test_from_asyncio_too():
    with pytest.raises(ConnectionRefusedError, match="start what it needs on"):
        await asyncio.open_connection(*ELSEWHERE)


def test_one_to_this_machine_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()
