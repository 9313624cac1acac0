"""How the whole suite is shared between workers: a file stays together, and the end-to-end tests run in their order.

They take longest, so they begin first; everything else fills the other worker.
"""

from pathlib import Path

import pytest

E2E = Path(__file__).parent / "tests" / "e2e"


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.xdist_group("e2e" if item.path.is_relative_to(E2E) else str(item.path)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.is_relative_to(E2E))
