"""The guard of the tests themselves: see conftest.py at the root."""

import asyncio
import socket

import pytest


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_test_of_pure_code_opens_no_socket(family):
    with pytest.raises(pytest.fail.Exception, match="opened a socket"):
        socket.socket(family)
    with pytest.raises(pytest.fail.Exception, match="opened a socket"):
        socket.create_connection(("127.0.0.1", 9), timeout=1)


async def test_nor_does_an_event_loop_for_it():
    with pytest.raises(pytest.fail.Exception, match="opened a socket"):
        await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)


def test_the_sockets_that_an_event_loop_wakes_itself_by_are_its_own():
    one, other = socket.socketpair()
    with one, other:
        one.send(b"!")
        assert other.recv(1) == b"!"
