"""How the whole suite is shared between workers: a file stays together, and the end-to-end tests run in their order.

They take longest, so they begin first; everything else fills the other worker.
"""

from pathlib import Path

import pytest

E2E = Path(__file__).parent / "tests" / "e2e"


@pytest.hookimpl(tryfirst=True)  # before the workers read the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        group = "e2e" if item.path.is_relative_to(E2E) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: not item.path.is_relative_to(E2E))
