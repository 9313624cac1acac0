"""Payloads made of their types: valid ones, most of them at a bound, and ones with something wrong in one place."""

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

Json = Any  # plain values: of a recursive union mypy cannot tell what an index into it gives
Place = tuple[Any, int | str]
"""A list or dict, and an index into it."""

I64 = 1 << 63
DEEP = 6
"""Deeper than this nothing is put into a collection."""
FEW = 4
"""So many items a collection has, when it is not as long as it may be."""
LONG_MAX = 512
TEXTS = (
    "a",
    "A",
    "1",
    "0",
    "x_1",
    "2026-01-01",
    "2025-26",
    "é",
    "😀",
    "a b",
    "\u0000",
    "\u202eabc",
    "a\u0301",
    "ﬁ",
    "/",
)
WRONG: tuple[Json, ...] = (
    None, True, -1, 0, 1, 1 << 31, 1 << 53, I64 - 1, -I64, I64, 1 << 70, 0.5, 1e308, "", "x", "😀" * 300, "x" * 300,
    [], [[]], {}, {"a": 1},
)  # fmt: skip


class Maker:
    """Deterministic for the state of `rng`. `texts` are words that mean something where texts are asked for."""

    def __init__(self, rng: random.Random, texts: Sequence[str] = ()) -> None:
        self._rng = rng
        self._texts = (*texts, *TEXTS)

    def valid(self, kind: type[msgspec.Struct]) -> Json:
        """A payload that its type takes, whatever the domain says to it."""
        return self._value(inspect.type_info(kind), 0)

    def wrong(self, payload: Json) -> Json:
        """The payload with one place of it changed: another value, a neighbour's, one too many or too few."""
        changed = json.loads(json.dumps(payload))
        places = list(_places(changed))
        if not places:
            return self._rng.choice(WRONG)
        inside, key = self._rng.choice(places)
        match self._rng.randrange(5):
            case 0:
                del inside[key]
            case 1 if isinstance(inside, list):
                inside.append(self._rng.choice(WRONG))
            case 1:
                inside["more"] = self._rng.choice(WRONG)
            case 2:
                other, at = self._rng.choice(places)
                if not isinstance(inside[key], list | dict) and not isinstance(other[at], list | dict):
                    inside[key], other[at] = other[at], inside[key]
            case 3 if isinstance(inside[key], int):
                inside[key] += self._rng.choice((-1, 1))
            case _:
                inside[key] = self._rng.choice(WRONG)
        return changed

    def _value(self, kind: inspect.Type, depth: int) -> Json:
        match kind:
            case inspect.Metadata():
                return self._value(kind.type, depth)
            case inspect.StructType():
                return self._struct(kind, depth)
            case inspect.UnionType():
                simple = [each for each in kind.types if isinstance(each, inspect.NoneType)]
                return self._value(self._rng.choice(simple if simple and depth > DEEP else list(kind.types)), depth)
            case inspect.TupleType():
                return [self._value(each, depth + 1) for each in kind.item_types]
            case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
                length = self._length(kind.min_length, kind.max_length, depth)
                return [self._value(kind.item_type, depth + 1) for _ in range(length)]
            case inspect.DictType():
                return self._dict(kind, depth)
            case inspect.IntType():
                return self._integer(kind)
            case inspect.StrType():
                return self._text(kind)
            case inspect.BoolType():
                return self._rng.random() < 0.5
            case inspect.LiteralType():
                return self._rng.choice(kind.values)
            case inspect.EnumType():
                plain: Json = msgspec.to_builtins(self._rng.choice(list(kind.cls)))
                return plain
            case inspect.NoneType():
                return None
            case _:
                return self._rng.choice(WRONG)  # dates, decimals, anything: seldom right, which samples are for

    def _struct(self, kind: inspect.StructType, depth: int) -> Json:
        fields: dict[str, Json] = {} if kind.tag_field is None else {kind.tag_field: kind.tag}
        for each in kind.fields:
            if each.required or self._rng.random() < 0.5 or kind.array_like:
                fields[each.encode_name] = self._value(each.type, depth + 1)
        return list(fields.values()) if kind.array_like else fields

    def _dict(self, kind: inspect.DictType, depth: int) -> Json:
        length = self._length(kind.min_length, kind.max_length, depth)
        made: dict[str, Json] = {}
        for _ in range(4 * length):
            if len(made) < length:
                key = self._value(kind.key_type, depth + 1)
                made[key if isinstance(key, str) else json.dumps(key)] = self._value(kind.value_type, depth + 1)
        return made

    def _length(self, least: int | None, most: int | None, depth: int) -> int:
        least = least or 0
        most = least + FEW if most is None else most
        if depth > DEEP:
            return least
        few = min(most, least + FEW)
        return min(self._rng.choice((least, few, most, self._rng.randrange(least, few + 1))), LONG_MAX)

    def _integer(self, kind: inspect.IntType) -> int:
        low = kind.ge if kind.ge is not None else -I64 if kind.gt is None else kind.gt + 1
        high = kind.le if kind.le is not None else I64 - 1 if kind.lt is None else kind.lt - 1
        near = low + self._rng.randrange(min(high - low, 10 ** self._rng.randrange(1, 19)) + 1)
        made = self._rng.choice((low, high, near, near, near))
        return made if kind.multiple_of is None else made - made % kind.multiple_of

    def _text(self, kind: inspect.StrType) -> str:
        least, most = kind.min_length or 0, min(LONG_MAX, LONG_MAX if kind.max_length is None else kind.max_length)
        tried = [*self._rng.sample(self._texts, len(self._texts)), "x" * least, "x" * most, "1" * most]
        for text in [self._rng.choice(tried), *tried]:
            if least <= len(text) <= most and (kind.pattern is None or re.search(kind.pattern, text)):
                return text
        return "x" * least


def _places(value: Json) -> Iterator[Place]:
    inside = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, each in list(inside):
        yield value, key
        yield from _places(each)
