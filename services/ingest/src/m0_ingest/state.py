"""What a connector remembers between two lives: one small JSON file each, replaced and fsynced in one step."""

import asyncio
import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from m0common.errors import M0Error
from m0common.stream.door import UNDECODABLE

T = TypeVar("T", bound=msgspec.Struct)


class StateError(M0Error):
    """A state file cannot be read; the message names it and the remedy."""


class StateFile(Generic[T]):
    """The file at `path` holding one struct of type `kind`."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self.path = path
        self._kind = kind
        self._lock = asyncio.Lock()

    def load(self) -> T | None:
        """What was saved last, None before the first save. Raises StateError when the file is not ours."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return None
        except (OSError, *UNDECODABLE) as error:
            raise StateError(
                f"state file {self.path}: {error}; restore it, or delete it to begin this connector anew"
            ) from error

    async def save(self, value: T) -> None:
        """Make `value` what a restart finds, even after a power cut."""
        data = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
        async with self._lock:
            await asyncio.to_thread(self._write, data)

    def discard(self) -> None:
        """Forget what was saved, if anything was."""
        self.path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
