"""A chain of numbered objects that only grows: how an archive knows what it holds, and in which order.

`NAME/000000000000.json` and so on; each names the sha256 of the one before, so nothing in the middle can be changed,
left out or put in without its successors saying so. An object is written unless one of its number exists: of two
writers one is refused, and a crash leaves it there or not. `NAME/head.json` says number and sha256 of the newest and is
written behind it: it saves a listing, and shows when the end of a chain is missing; it may be one behind.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec
from m0common.errors import Fenced
from m0common.messages.codec import UNDECODABLE

from m0archive.errors import NEWER, Damaged
from m0archive.store import Store

_DIGITS = 12


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every object of a chain begins with."""

    format: int = 1
    number: int
    previous: str
    """sha256 of the object before; of the first link that of what says whose archive it is"""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest link, or the one before it."""

    number: int
    sha256: str


L = TypeVar("L", bound=Link)


class Found(NamedTuple, Generic[L]):
    """A link as it lies in the storage."""

    link: L
    sha256: str


def behind(newest: Found[L] | None, root: str) -> tuple[int, str]:
    """Number and `previous` of the link behind the newest; `root` is what the first link of a chain follows."""
    return (0, root) if newest is None else (newest.link.number + 1, newest.sha256)


class Chain(Generic[L]):
    """The chain `name` of an archive, of links of one kind."""

    def __init__(self, store: Store, name: str, kind: type[L]) -> None:
        self.name = name
        self._store = store
        self._decode: Callable[[bytes], L] = msgspec.json.Decoder(kind).decode

    def object_name(self, number: int) -> str:
        """The object of a link."""
        return f"{self.name}/{number:0{_DIGITS}}.json"

    @property
    def head_name(self) -> str:
        """The object of the head."""
        return f"{self.name}/head.json"

    async def get(self, number: int) -> Found[L] | None:
        """A link, None beyond the end. Raises Damaged for one that is not of this number, Unavailable."""
        name = self.object_name(number)
        value = await self._store.get(name)
        if value is None:
            return None
        try:
            link = self._decode(value)
        except UNDECODABLE as error:
            raise Damaged(name, f"it cannot be read: {error}") from error
        if link.format != 1:
            raise Damaged(name, f"it has format {link.format}, this version knows 1", NEWER)
        if link.number != number:
            raise Damaged(name, f"it says that it is number {link.number}")
        return Found(link, hashlib.sha256(value).hexdigest())

    async def expected(self, number: int) -> Found[L]:
        """A link that must be there. Raises Damaged, Unavailable."""
        found = await self.get(number)
        if found is None:
            raise Damaged(self.object_name(number), "it is missing")
        return found

    async def newest(self) -> Found[L] | None:
        """The last link, None of an empty chain. Raises Damaged, also when what the head names is not there."""
        head = await self.head()
        if head is None:
            found = await self._last_listed()
        else:
            found = await self.expected(head.number)
            if found.sha256 != head.sha256:
                raise Damaged(self.object_name(head.number), f"its sha256 is {found.sha256}, not that of the head")
        if found is None:
            return None
        while (behind := await self.get(found.link.number + 1)) is not None:
            found = behind
        return found

    async def back(self, newest: Found[L] | None) -> AsyncIterator[L]:
        """The newest link and all before it, the newest first. Raises Damaged, Unavailable."""
        if newest is not None:
            yield newest.link
            for number in range(newest.link.number - 1, -1, -1):
                yield (await self.expected(number)).link

    async def head(self) -> Head | None:
        """What the head says, None without one. Raises Damaged, Unavailable."""
        value = await self._store.get(self.head_name)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value, type=Head)
        except UNDECODABLE as error:
            raise Damaged(self.head_name, f"it cannot be read: {error}", "delete it to have it made again") from error

    async def count(self) -> int:
        """How many links there are, as a listing shows them, whatever the head says. Raises Unavailable."""
        last = -1
        async for batch in self._store.list(self.name):
            for each in batch:
                digits = each.name.rpartition("/")[2].removesuffix(".json")
                last = max(last, int(digits)) if digits.isdecimal() else last
        return last + 1

    async def faults(self, root: str) -> list[str]:
        """What of the chain does not hold, each naming an object. `root` is what its first link names as the sha256 of
        the one before. Raises Unavailable.
        """
        count = await self.count()
        faults = await self.faults_of_head(count)
        before: str | None = root
        for number in range(count):
            try:
                found = await self.expected(number)
            except Damaged as error:
                faults.append(str(error))
                before = None
                continue
            faults += [] if before is None else self.faults_between(found, before)
            before = found.sha256
        return faults

    def faults_between(self, found: Found[L], before: str) -> list[str]:
        """Whether a link names the one before it, which has this sha256."""
        number, previous = found.link.number, found.link.previous
        if previous == before:
            return []
        one_before = "archive.json" if number == 0 else self.object_name(number - 1)
        said = f"{self.object_name(number)}: it follows sha256 {previous}, and {one_before} has {before}"
        return [f"{said}: one of the two was changed"]

    async def faults_of_head(self, count: int) -> list[str]:
        """What is wrong with the head of a chain of so many links. Raises Unavailable."""
        try:
            head = await self.head()
            if head is None:
                return [f"{self.head_name}: it is missing"] if count else []
            found = await self.get(head.number)
        except Damaged as error:
            return [str(error)]
        name = self.object_name(head.number)
        if found is None:
            return [f"{name}: it is missing, and {self.head_name} names it"]
        if found.sha256 != head.sha256:
            return [f"{name}: its sha256 is not the one in {self.head_name}: one of the two was changed"]
        if head.number < count - 2:
            return [f"{self.head_name}: it names number {head.number}, and the last is {count - 1}"]
        return []

    async def append(self, link: L) -> Found[L]:
        """Write a link behind the last. Raises Fenced when another one has its number, Unavailable: it may be there."""
        value = msgspec.json.format(msgspec.json.encode(link), indent=1)
        made = Found(link, hashlib.sha256(value).hexdigest())
        name = self.object_name(link.number)
        if not await self._store.create(name, value) and await self._store.get(name) != value:
            raise Fenced(f"archive {self._store.address}: another process has written {name}: this one writes no more")
        await self._store.put(self.head_name, msgspec.json.encode(Head(link.number, made.sha256)))
        return made

    async def _last_listed(self) -> Found[L] | None:
        count = await self.count()
        return await self.expected(count - 1) if count else None
