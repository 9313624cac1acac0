"""Walking a long list in pages, one a run: what fails at its head holds up nothing behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(slots=True)
class Rotation(Generic[K]):
    """Where the next page begins: behind `behind`, which is `first` at the head of the list."""

    first: K
    behind: K = field(init=False)

    def __post_init__(self) -> None:
        self.behind = self.first

    def turn(self, page: Sequence[T], limit: int, key: Callable[[T], K]) -> None:
        """Go on behind a page of at most `limit` things, from the head again when it was the last one."""
        self.behind = key(page[-1]) if len(page) == limit else self.first
