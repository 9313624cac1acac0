"""Storage by object_store: a folder of this machine, S3-compatible storage, or memory.

It is asked on threads of Python's, which wait. Its own coroutines are ended by threads that Python does not know: where
the interpreter ends just then, behind the last answer of a command, they abort the process.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from m0common.durable import to_disk
from m0common.errors import SettingsError, Unavailable
from m0common.settings import Archive
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import LocalStore, MemoryStore, S3Store

from m0archive.address import Folder, read_address
from m0archive.store import Stored

if TYPE_CHECKING:
    from obstore.store import ObjectStore, S3Config

T = TypeVar("T")

REQUEST_S = 30
"""For one request; a piece has a few MiB at most."""
LIST_AT_ONCE = 1000
FILE_SYSTEMS = "lost+found"
"""What lies in every volume that was just made, beside names that begin with a dot."""
NO_KEYS = (
    "it was asked under this machine's own role; set M0_ARCHIVE_ACCESS_KEY_ID_FILE and "
    "M0_ARCHIVE_SECRET_ACCESS_KEY_FILE where that may not"
)
REASON_MAX = 300
"""So much of what the storage says of a refusal is passed on."""


class Objects:
    """See Store. `folder` is where a LocalStore keeps its objects: what is written there is brought to the disk.
    `remedy` is said when the storage does not answer, or refuses.
    """

    def __init__(self, store: "ObjectStore", address: str, folder: Path | None = None, remedy: str = "") -> None:
        self._store = store
        self._address = address
        self._folder = folder
        self._remedy = remedy

    @property
    def address(self) -> str:
        """See Store."""
        return self._address

    async def bare(self) -> bool:
        """See Store. Of a folder its own names are looked at, and no further: it may be any."""
        if self._folder is not None:
            folder = self._folder
            return await self._answer("", lambda: _is_bare(folder))
        stream = obstore.list(self._store, chunk_size=1)
        return not await self._answer("", lambda: next(stream, None))

    async def get(self, name: str) -> bytes | None:
        """See Store."""
        return await self._answer(name, lambda: self._get(name))

    async def create(self, name: str, value: bytes) -> bool:
        """See Store."""
        try:
            await self._answer(name, lambda: obstore.put(self._store, name, value, mode="create", use_multipart=False))
        except (AlreadyExistsError, PreconditionError):
            return False
        await self._to_disk(name)
        return True

    async def put(self, name: str, value: bytes) -> None:
        """See Store."""
        await self._answer(name, lambda: obstore.put(self._store, name, value, use_multipart=False))
        await self._to_disk(name)

    async def list(self, prefix: str) -> AsyncIterator[list[Stored]]:
        """See Store."""
        stream = obstore.list(self._store, prefix, chunk_size=LIST_AT_ONCE)
        while batch := await self._answer(prefix, lambda: next(stream, None)):
            yield [Stored(each["path"], each["size"]) for each in batch]

    def _get(self, name: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (NotFoundError, FileNotFoundError):
            return None

    async def _answer(self, name: str, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(ask)
        except (AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            why = " ".join(str(error).partition("\n\nDebug source")[0].split())[:REASON_MAX]
            said = f"archive {self._address}{', ' if name else ''}{name}: {why}"
            raise Unavailable(f"{said}: {self._remedy}" if self._remedy else said) from None

    async def _to_disk(self, name: str) -> None:
        if self._folder is not None:
            await asyncio.to_thread(to_disk, self._folder / name, self._folder)


def _is_bare(folder: Path) -> bool:
    with os.scandir(folder) as found:
        return all(each.name == FILE_SYSTEMS or each.name.startswith(".") for each in found)


def memory() -> Objects:
    """An archive that is gone with the object."""
    return Objects(MemoryStore(), "memory:")


def opened(settings: Archive, url: str | None = None, *, makes: bool = True) -> Objects:
    """The storage that settings name, or `url` in its place; a folder is made where it `makes` one. Raises
    SettingsError, also for credentials that are not there; nothing is asked of the storage yet.
    """
    where = read_address(url or settings.url)
    if isinstance(where, Folder) and not makes and not where.path.is_dir():
        what = "that is no folder" if where.path.exists() else "there is no such folder"
        raise SettingsError(f"archive {where}: {what}: name the one that jobs write to")
    if isinstance(where, Folder):
        try:
            where.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"archive {where}: the folder cannot be made ({error.strerror}): name one that this user may write to"
            ) from error
        return Objects(LocalStore(prefix=where.path), str(where), where.path)
    key, secret = settings.access_key_id.reveal(), settings.secret_access_key.reveal()
    if bool(key) != bool(secret):
        raise SettingsError(
            "of M0_ARCHIVE_ACCESS_KEY_ID and M0_ARCHIVE_SECRET_ACCESS_KEY one is set: set both, or their _FILE twins"
        )
    config: S3Config = {"region": settings.region, "virtual_hosted_style_request": not settings.endpoint}
    if key:
        config |= {"access_key_id": key, "secret_access_key": secret}
    if settings.endpoint:
        config |= {"endpoint": settings.endpoint}
    store = S3Store(
        where.bucket,
        prefix=where.prefix or None,
        config=config,
        client_options={"allow_http": settings.endpoint.startswith("http://"), "timeout": timedelta(seconds=REQUEST_S)},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=REQUEST_S)},
    )
    return Objects(store, str(where), remedy="" if key else NO_KEYS)
