"""What holds for all tests: pure code opens no sockets, and servers are shared.

Tests of pure code open no sockets to anywhere, loopback included; what they need of the world they are handed.
"""

import multiprocessing
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import pytest
from _pytest.assertion import rewrite
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

MANY = 50
"""So many tests that are new are rewritten ahead."""

_now: list[str] = []
"""The test that runs and may open no socket, if one does."""


def _refuse(event: str, args: tuple[object, ...]) -> None:
    # sockets within the machine's own kernel are how an event loop wakes itself
    if _now and event == "socket.__new__" and args[1] != socket.AF_UNIX:
        pytest.fail(f"{_now[0]} opened a socket: pass it another implementation, or mark it {' or '.join(SERVERS)}")


sys.addaudithook(_refuse)

# how long an example takes says how busy the machine is: what must not take long is counted, or in a benchmark
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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


def _shared_folder(config: pytest.Config) -> Path:
    """A folder of all processes of this run."""
    made: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # noqa: SLF001 - as fixtures get it
    return made.parent if hasattr(config, "workerinput") else made


def _rewrite(config: pytest.Config, tests: Sequence[Path]) -> None:
    state = config.stash[rewrite.assertstate_key]
    for path in tests:
        rewrite.get_cache_dir(path).mkdir(parents=True, exist_ok=True)
        digest, code = rewrite._rewrite_test(path, config)  # noqa: SLF001 - there is no public way
        rewrite._write_pyc(state, code, digest, _rewritten(path))  # noqa: SLF001 - likewise


def _rewritten(path: Path) -> Path:
    return rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)


def pytest_configure(config: pytest.Config) -> None:
    """In a new checkout tests are rewritten once, by all cores, instead of by each of the processes that run them."""
    if sys.dont_write_bytecode or not getattr(config.option, "numprocesses", None):
        return
    tests = [path for folder in config.getini("testpaths") for path in (config.rootpath / folder).rglob("test_*.py")]
    new = [path for path in tests if not _rewritten(path).exists()]
    if len(new) > MANY:
        cores = os.cpu_count() or 1
        process = multiprocessing.get_context("fork").Process
        started = [process(target=_rewrite, args=(config, new[core::cores])) for core in range(cores)]
        for each in started:
            each.start()
        for each in started:
            each.join()


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> object:
    """One Apache Kafka for the whole run: its tests keep to topics and groups of their own, and do it no harm."""
    from m0local.shared import shared_kafka  # noqa: PLC0415 - not every run needs a server

    return shared_kafka(_shared_folder(pytestconfig))


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> object:
    """One Postgres for the whole run: each of its tests, or files, has a database of its own and does no harm."""
    from m0local.shared import shared_postgres  # noqa: PLC0415 - likewise

    return shared_postgres(_shared_folder(pytestconfig))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The servers of the run end with it."""
    if not hasattr(session.config, "workerinput") and any(_shared_folder(session.config).glob("*.shared")):
        from m0local.shared import end_shared  # noqa: PLC0415 - likewise

        end_shared(_shared_folder(session.config))


STACK = "tests/e2e/"
"""Its tests share one running stack, and mostly wait for it: they run in one process."""


class _ByServer(LoadScopeScheduling):
    """A file runs in one process, for its servers start once; so do all files that share a stack."""

    def _split_scope(self, nodeid: str) -> str:
        return STACK if nodeid.startswith(STACK) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _ByServer:
    config.option.loadscopereorder = False
    return _ByServer(config, log)


def _turn(item: pytest.Item) -> int:
    if item.nodeid.startswith(STACK):
        return 0
    return 1 if any(item.get_closest_marker(name) for name in SERVERS) else 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes what takes longest begins first, then what waits for servers; quick ones fill the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)
