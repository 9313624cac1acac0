"""How the whole suite is shared between workers: a file stays together, and the end-to-end tests run in their order.

They take longest, so they begin first; everything else fills the other worker.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

E2E = "tests/e2e/"
TOGETHER = (E2E, "programs/toolchain/")
"""Folders whose files share what is made once: a running stack, a compiler's standard library."""


class ByFile(LoadScopeScheduling):
    """One unit of work per test file, or per folder that belongs together."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(E2E))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    config.option.loadscopereorder = False
    return ByFile(config, log)
