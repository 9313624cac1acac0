"""What `m0.cursors` holds: how far connectors are, by key.

The newest record of a key counts, and an empty one takes the key away.
Values are MessagePack. All but season requests and sets in force are private to the connector whose key it is.
"""

from collections.abc import Iterator
from typing import Annotated, TypeVar

import msgspec

from m0common.errors import DeadLetterError, InvalidValue
from m0common.messages.types import CatalogName, Group
from m0common.stream.door import decoded
from m0common.stream.records import Produce, Record
from m0common.topics import CURSORS

T = TypeVar("T")

SEASON = "season:"
"""Begins the keys of season requests; the catalog follows."""
IN_FORCE = "in_force:"
"""Begins the keys of sets in force; the catalog follows."""
GROUPS_MAX = 1_000


class SeasonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What whoever holds the control key is asked for: that the set in force of `catalog` names these groups, those of
    a season of a recorded history.
    """

    catalog: CatalogName
    season: Annotated[int, msgspec.Meta(ge=2)]
    groups: Annotated[tuple[Group, ...], msgspec.Meta(min_length=1, max_length=GROUPS_MAX)]


class InForce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the set of a record (`set`, its value in `m0.raw`, signed) was in force in `catalog` behind the marker of an
    epoch: the log forgets both, the lanes do not.
    """

    catalog: CatalogName
    set: bytes
    epoch_id: Annotated[int, msgspec.Meta(ge=0)]


class Cursors:
    """The newest value of every key, as far as the topic has been read."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def take(self, record: Record) -> None:
        """Take one record of the topic, in order; one whose key is no text is nobody's."""
        try:
            key = (record.key or b"").decode()
        except UnicodeDecodeError:
            return
        if record.value:
            self._values[key] = record.value
        else:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Forget everything: the topic is read anew."""
        self._values.clear()

    def has(self, key: str) -> bool:
        """Whether there is anything under a key."""
        return key in self._values

    def get(self, key: str, kind: type[T]) -> T | None:
        """The value of a key, None without one. Raises InvalidValue when it is none of `kind`."""
        value = self._values.get(key)
        return None if value is None else _read(key, value, kind)

    def under(self, prefix: str, kind: type[T]) -> Iterator[tuple[str, T]]:
        """What follows `prefix` in each key that begins with it, and its value; ascending. Raises as `get`."""
        for key in sorted(key for key in self._values if key.startswith(prefix)):
            yield key.removeprefix(prefix), _read(key, self._values[key], kind)


def cursor(key: str, value: object | None) -> Produce:
    """The record that makes `value` the newest of a key; None takes the key away."""
    return Produce(CURSORS.name, 0, key.encode(), b"" if value is None else msgspec.msgpack.encode(value))


def in_force_of(record: Record) -> InForce | None:
    """The set in force that a record of the topic names, None for any other. Raises DeadLetterError."""
    if not (record.key or b"").startswith(IN_FORCE.encode()) or not record.value:
        return None
    return _decoded(record.value, InForce)


def _decoded(value: bytes, kind: type[T]) -> T:
    return decoded(msgspec.msgpack.Decoder(kind), value, "not_a_cursor")


def _read(key: str, value: bytes, kind: type[T]) -> T:
    try:
        return _decoded(value, kind)
    except DeadLetterError as error:
        raise InvalidValue(
            f"{CURSORS.name} holds under key {key} what is no cursor ({error.reason}): write the right value, or an "
            "empty one to begin this connector anew"
        ) from error
