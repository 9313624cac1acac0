"""The storage port: objects by name, written whole.

Implementations: `m0archive.objects` (a folder, S3-compatible storage, and memory for tests); all pass one contract
suite.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    """An object as a listing shows it."""

    name: str
    size_bytes: int


class Store(Protocol):
    """Every method raises Unavailable when the storage does not answer, or refuses.

    Whoever reads an object while it is written finds all of it or nothing.
    """

    @property
    def address(self) -> str:
        """Where it is, in words that hold no secret."""
        ...

    async def bare(self) -> bool:
        """Whether nothing of anybody's lies there."""
        ...

    async def get(self, name: str) -> bytes | None:
        """The bytes of an object, None when there is none of this name."""
        ...

    async def create(self, name: str, value: bytes) -> bool:
        """Write an object unless there is one of this name; whether it was written. Of several who create one name at
        once, one succeeds. When it returns the object survives the end of this machine.
        """
        ...

    async def put(self, name: str, value: bytes) -> None:
        """Write an object, in the place of one of this name."""
        ...

    def list(self, prefix: str) -> AsyncIterator[list[Stored]]:
        """The objects whose names begin with the folder `prefix`, in no order, a batch at a time."""
        ...
