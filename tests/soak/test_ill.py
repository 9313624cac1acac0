"""The chain's node is ill for a minute in each way there is: who stands on it says so, nothing is lost or doubled."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import e2e_log as log
import pytest
from e2e_stack import CATALOGS, Stack
from e2e_stops import watched
from m0local.ill_node import ILLNESSES, Illness, IllNode, short_pages
from m0local.ports import free_port

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]
SECONDS = float(os.environ.get("M0_HANG_S", "60"))


class Node:
    """A chain in a process of its own behind a proxy in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.ws_url = ""
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._proxy: IllNode | None = None

    @property
    def url(self) -> str:
        assert self._proxy is not None
        return self._proxy.url

    def ill(self, illness: Illness | None) -> None:
        assert self._proxy is not None
        self._proxy.illness = illness

    @contextmanager
    def running(self) -> Iterator["Node"]:
        rpc, ws = free_port(), free_port()
        self.ws_url = f"ws://127.0.0.1:{ws}"
        command = [
            sys.executable, "-m", "m0localnet", "--rpc-port", str(rpc), "--ws-port", str(ws),
            "--ledger", str(self._folder / "ledger"), "--allow-admin",
        ]  # fmt: skip
        with (self._folder / "localnet.log").open("ab") as out:
            chain = subprocess.Popen(command, stdout=out, stderr=out)
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            self._proxy = self._do(IllNode(f"http://127.0.0.1:{rpc}").__aenter__())
            yield self
        finally:
            if self._proxy is not None:
                self._do(self._proxy.__aexit__())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()
            chain.kill()
            chain.wait()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("node")).running() as made:
        yield made


@pytest.fixture(scope="module")
def told(node: Node) -> dict[str, str]:
    return {"M0_RPC_URL": node.url, "M0_WS_URL": node.ws_url}


def test_every_illness_of_the_node_is_named_and_costs_nothing_afterwards(stack: Stack, node: Node):
    for name, illness in ILLNESSES.items():
        node.ill(illness())
        answered = watched(stack, "localnet", f"was ill ({name})", SECONDS)
        node.ill(None)
        assert answered is not None
        assert answered[1] == {200}
        stack.all_ready(180)
        stack.goes_on(epochs=1)


def test_short_pages_of_history_cost_nothing_at_all(stack: Stack, node: Node):
    node.ill(short_pages)
    stack.goes_on(epochs=3)
    node.ill(None)
    newest = stack.goes_on()
    for catalog in CATALOGS:
        stack.replays(catalog, newest[catalog])
    log.agree(stack.kafka, stack.finals())
