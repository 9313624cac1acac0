"""In what two messages of one place in a lane differ, in words: what is recorded and what replay says."""

from hashlib import sha256
from typing import NamedTuple

import msgspec
from m0common.messages import LaneMessage
from m0common.messages.codec import UNDECODABLE
from m0lanes.bodies import KINDS

SHOWN = 160
"""So many characters of a value are shown."""

_decode = msgspec.msgpack.Decoder(LaneMessage).decode


class _Differs(NamedTuple):
    path: tuple[object, ...]
    was: object
    says: object


def explain(recorded: bytes | None, said: bytes) -> str:
    """A clause that tells a lane message as recorded, None when it is not, from another one that replay says.

    Kind and cause come first; where they are the same it is the first field of the bodies that differs, by the name
    that the heart gives it, or its number in a body of a domain.
    """
    new = _decode(said)
    if recorded is None:
        return f"nothing is recorded, replay says {_brief(new)}"
    old = _decode(recorded)
    if old.kind != new.kind or (old.cause != new.cause and old.kind != "marker"):
        return f"recorded {_brief(old)}, replay says {_brief(new)}"
    what, was, says = _first(old, new) or ("hash", sha256(recorded).digest(), sha256(said).digest())
    return f"{_brief(old)}: its {what} is {_show(was)}, replay says {_show(says)}"


def _brief(message: LaneMessage) -> str:
    return f"{message.kind} caused by raw offset {message.cause}"


def _first(old: LaneMessage, new: LaneMessage) -> tuple[str, object, object] | None:
    """The first field that differs, and both values; None when only the bytes do, or a body cannot be read."""
    if old.release != new.release:
        return "release", old.release, new.release
    kind = KINDS.get(old.kind)
    names = () if kind is None else kind.__struct_fields__
    try:
        found = _differing(msgspec.msgpack.decode(old.body), msgspec.msgpack.decode(new.body), ())
    except UNDECODABLE:
        return None
    if found is None:
        return None
    head, *rest = found.path or ("body",)
    if isinstance(head, int):
        head = names[head] if head < len(names) else f"field {head}"
    return f"{head}{''.join(f'[{step}]' for step in rest)}", found.was, found.says


def _differing(was: object, says: object, path: tuple[object, ...]) -> _Differs | None:
    """The first place at which two values differ, lists item by item."""
    if isinstance(was, list) and isinstance(says, list) and len(was) == len(says):
        inside = (_differing(old, new, (*path, at)) for at, (old, new) in enumerate(zip(was, says, strict=True)))
    elif isinstance(was, dict) and isinstance(says, dict) and was.keys() == says.keys():
        inside = (_differing(old, says[key], (*path, key)) for key, old in was.items())
    else:
        return None if was == says else _Differs(path, was, says)
    return next((found for found in inside if found is not None), None)


def _show(value: object) -> str:
    text = _whole(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _whole(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return "(" + ", ".join(_whole(each) for each in value) + ")"
    return str(value)
