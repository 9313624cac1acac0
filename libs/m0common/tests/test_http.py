"""The address that a process serves on."""

import socket

import pytest
from m0common.errors import SettingsError
from m0common.http import Status, split_bind, status_server

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize(
    ("bind", "pair"),
    [("127.0.0.1:9101", ("127.0.0.1", 9101)), ("[::1]:9101", ("::1", 9101)), ("node.local:1", ("node.local", 1))],
)
def test_an_address_is_a_host_and_a_port(bind, pair):
    assert split_bind(bind) == pair


@pytest.mark.parametrize("bind", ["9101", ":9101", "a:", "a:0", "a:65536", "a:x", "a:²", "a:-1"])
def test_what_is_none_is_refused_by_its_value(bind):
    with pytest.raises(SettingsError, match="write it as host:port"):
        split_bind(bind)


async def test_who_holds_a_port_is_told_from_an_address_that_is_nobodys():
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        for bind, reason in {
            f"127.0.0.1:{port}": "is taken: stop what holds it",
            f"nosuch.invalid:{port}": "nosuch.invalid is not known",
            f"8.8.8.8:{port}": "cannot be bound",
        }.items():
            with pytest.raises(SettingsError, match=reason):
                await status_server(Status("toy"), bind).start()
