"""What holds for all tests: pure code opens no sockets, and tests that share a server run in one process.

Tests of pure code open no sockets to anywhere, loopback included; what they need of the world they are handed.
"""

import socket
import sys

import pytest
from xdist.scheduler import LoadScopeScheduling

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


STACK = "tests/e2e/"
"""Its tests share one running stack, and mostly wait for it."""
SHARED = (STACK, "programs/toolchain/")
"""Folders whose tests share what takes long to make: they run in one process."""


def _shared(nodeid: str) -> str | None:
    return next((folder for folder in SHARED if nodeid.startswith(folder)), None)


class _ByServer(LoadScopeScheduling):
    """A file runs in one process, for its servers start once; so do the files of a folder that shares more."""

    def _split_scope(self, nodeid: str) -> str:
        return _shared(nodeid) or nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _ByServer:
    config.option.loadscopereorder = False
    return _ByServer(config, log)


def _turn(item: pytest.Item) -> int:
    if folder := _shared(item.nodeid):
        return SHARED.index(folder)
    waits = any(item.get_closest_marker(name) for name in SERVERS)
    return len(SHARED) if waits else len(SHARED) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes what takes longest begins first, then what waits for servers; quick ones fill the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)
