"""Lane state as entities: `(key, canonical bytes)` in key order, which is what is hashed and checkpointed."""

from collections.abc import Iterable

from m0common.canonical.roots import state_digest


class Entities:
    """A keyed store of canonical bytes. Only what changed needs to be encoded again before a digest."""

    def __init__(self) -> None:
        self._items: dict[bytes, bytes] = {}

    def put(self, key: str, value: bytes) -> None:
        """Set the canonical state of one entity."""
        self._items[key.encode()] = value

    def drop(self, key: str) -> None:
        """Remove an entity; removing one that is not there is no error."""
        self._items.pop(key.encode(), None)

    def digest(self) -> bytes:
        """The state digest of docs/protocol.md."""
        return state_digest(self.snapshot())

    def snapshot(self) -> tuple[tuple[bytes, bytes], ...]:
        """All entities in ascending key order."""
        return tuple(sorted(self._items.items()))

    def load(self, entities: Iterable[tuple[bytes, bytes]]) -> None:
        """Replace everything by `entities`."""
        self._items = dict(entities)

    def with_prefix(self, prefix: str) -> list[tuple[str, bytes]]:
        """`(rest of key, value)` of the entities whose key starts with `prefix`, in key order."""
        start = prefix.encode()
        return [(k[len(start) :].decode(), v) for k, v in sorted(self._items.items()) if k.startswith(start)]

    def get(self, key: str) -> bytes | None:
        """One entity's bytes, or None."""
        return self._items.get(key.encode())
