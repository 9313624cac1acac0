"""Tests of pure code open no sockets to anywhere, loopback included; what they need of the world they are handed."""

import socket
import sys

import pytest

PURE = (
    "libs/m0common/tests/canonical/",
    "libs/m0domains/",
    "libs/m0lanes/",
    "libs/m0lint/",
    "libs/m0quant/",
    "libs/m0replay/",
)
SERVERS = ("e2e", "kafka", "loopback", "postgres", "validator")
"""Marks of tests that have a server of their own."""

_now: list[str] = []
"""The test that runs and may open no socket, if one does."""


def _refuse(event: str, args: tuple[object, ...]) -> None:
    # sockets within the machine's own kernel are how an event loop wakes itself
    if _now and event == "socket.__new__" and args[1] != socket.AF_UNIX:
        pytest.fail(f"{_now[0]} opened a socket: pass it another implementation, or mark it {' or '.join(SERVERS)}")


sys.addaudithook(_refuse)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The guard stands from before the test's fixtures are made."""
    path = item.path.relative_to(item.config.rootpath).as_posix()
    if path.startswith(PURE) and not any(item.get_closest_marker(name) for name in SERVERS):
        _now.append(item.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """The guard ends: a server that other tests had may be taken down behind this one."""
    _now.clear()
