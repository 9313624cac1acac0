"""Whether the installed code reads states that another release has written.

It reads an entity when that decodes as what it is here and nothing of it is lost: said again, it holds at least what it
held. Entities of another version of a domain or model are not read by anybody: the generation that names the new
version begins it anew.
"""

from collections.abc import Iterable

import msgspec
from m0common.messages.codec import UNDECODABLE
from m0common.stream.restored import Restored
from m0lanes.kinds import Unreadable, entity_name, read_entity
from m0lanes.packing import pack
from m0lanes.port import Domain


def unread(states: Iterable[Restored], domain: Domain) -> str | None:
    """What the installed code does not read of these states, None when it reads all of them."""
    for found in states:
        stage = found.manifest.stage
        for key, value in sorted(found.entities.items()):
            why = _unread(stage, key, value, domain)
            if why is not None:
                return f"stage {stage}, {entity_name(key)}: {why}"
    return None


def _unread(stage: int, key: bytes, value: bytes, domain: Domain) -> str | None:
    try:
        made = read_entity(stage, key, value, domain, whole=True)
    except Unreadable as error:
        return str(error)
    return _lost(value, made) if isinstance(made, msgspec.Struct | tuple) else None


def _lost(value: bytes, made: msgspec.Struct | tuple[object, ...]) -> str | None:
    again = pack(made)
    try:
        if again == value or _keeps(msgspec.msgpack.decode(value), msgspec.msgpack.decode(again)):
            return None
    except UNDECODABLE as error:  # in what a struct passes over
        return str(error)
    return f"as {type(made).__name__} it would lose what it holds"


def _keeps(before: object, after: object) -> bool:
    """Whether a decoded value is in another one: structs may have grown at their end, or by names."""
    if isinstance(before, list) and isinstance(after, list):
        return len(before) <= len(after) and all(_keeps(*pair) for pair in zip(before, after, strict=False))
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name in after and _keeps(value, after[name]) for name, value in before.items())
    return type(before) is type(after) and before == after
