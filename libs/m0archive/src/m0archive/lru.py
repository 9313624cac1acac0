"""What was read last, up to a budget."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps the values used last whose costs come to at most `budget`, and always the newest."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._cost = 0
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """A value, None when it is not kept."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Keep a value that was not kept."""
        self._kept[key] = value, cost
        self._cost += cost
        while self._cost > self._budget and len(self._kept) > 1:
            _, (_, gone) = self._kept.popitem(last=False)
            self._cost -= gone
