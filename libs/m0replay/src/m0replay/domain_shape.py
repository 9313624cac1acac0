"""Whether the parts of a domain are what the port says: asked before anything else is, since all else takes it so."""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple, final

import msgspec
from m0common.messages.types import Kind
from m0common.told import Raised, asked, in_words
from m0lanes.control import Name
from msgspec import inspect

DOMAIN_VERSION_MAX = (1 << 31) - 2
MODEL_VERSION_MAX = (1 << 32) - 2
"""The highest versions that have a next one: what sets name and what leaves are marked with take no more."""


@final
class _Missing:
    def __repr__(self) -> str:
        return "missing"


class _Form(NamedTuple):
    """A type that a value is of, and the same in words."""

    type: Any  # what msgspec converts to
    wanted: str

    def fits(self, value: object) -> bool:
        """Whether a value is one."""
        try:
            asked(lambda: (msgspec.convert(value, self.type), str(value).encode()))
        except Raised:
            return False
        return True


_NAME = _Form(Name, "a text: a small letter, and behind it up to 63 of a-z, 0-9, '_', '.', '-'")
_KIND = _Form(Kind, "a text: a small letter, and behind it up to 31 of a-z, 0-9, '_'")
_TEXT = _Form(str, "a text")
_DOMAIN_VERSION = _Form(
    Annotated[int, msgspec.Meta(ge=1, le=DOMAIN_VERSION_MAX)], f"a whole number from 1 to {DOMAIN_VERSION_MAX}"
)
_MODEL_VERSION = _Form(
    Annotated[int, msgspec.Meta(ge=0, le=MODEL_VERSION_MAX)], f"a whole number from 0 to {MODEL_VERSION_MAX}"
)
Check = Callable[[str, object], Iterator[str]]


def misshapen(domain: object) -> list[str]:
    """What of a domain is not what the port says it is, a sentence each; whatever its own code raises is one."""
    try:
        return asked(lambda: list(_domain(domain)))
    except Raised as error:
        return [f"its parts cannot be read: {error}"]


def _domain(domain: object) -> Iterator[str]:
    if isinstance(domain, type):
        yield f"its entry point names the class {domain.__name__}: name an object made of it"
        return
    if getattr(sys.modules.get(type(domain).__module__), "__file__", None) is None:
        yield f"its entry point names {in_words(domain)}: name an object whose class is in a file of the domain's"
        return
    yield from _parts("", domain, _OF_DOMAIN, ("check", "outcome", "normalize", "observe", "features", "forget"))


def _parts(where: str, owner: object, checks: Mapping[str, Check], methods: Collection[str]) -> Iterator[str]:
    for part in (*checks, *methods):
        try:
            value = asked(partial(getattr, owner, part, _Missing()))
        except Raised as error:
            yield f"{where}{part} cannot be read: it raises {error}"
            continue
        if part in checks:
            yield from checks[part](f"{where}{part}", value)
        elif not callable(value):
            yield f"{where}{part} is {in_words(value)}: it must be a method"


def _one(form: _Form) -> Check:
    def check(where: str, value: object) -> Iterator[str]:
        if not form.fits(value):
            yield f"{where} is {in_words(value)}: it must be {form.wanted}"

    return check


def _several(form: _Form) -> Check:
    def check(where: str, value: object) -> Iterator[str]:
        if not isinstance(value, Collection) or isinstance(value, str | bytes | Mapping):
            yield f"{where} is {in_words(value)}: it must be a tuple of texts, as in ('one',)"
            return
        for each in value:
            if not form.fits(each):
                yield f"{where} has {in_words(each)}: it must be {form.wanted}"

    return check


def _files(where: str, value: object) -> Iterator[str]:
    found = list(_several(_TEXT)(where, value))
    yield from found
    if not found and isinstance(value, Collection):
        for each in value:
            if PurePath(each).is_absolute() or ".." in PurePath(each).parts:
                yield f"{where} names {each!r}, which is not inside the domain's folder: name it relative to that"


def _mapping(form: _Form, entry: Check) -> Check:
    def check(where: str, value: object) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield f"{where} is {in_words(value)}: it must be a dict"
            return
        for key, each in value.items():
            if form.fits(key):
                yield from entry(f"{where} {key}", each)
            else:
                yield f"{where} has the key {in_words(key)}: it must be {form.wanted}"

    return check


def _struct(where: str, made: object) -> Iterator[str]:
    if not isinstance(made, type) or not issubclass(made, msgspec.Struct):
        yield f"{where} is {in_words(made)}: it must be a class made of msgspec.Struct"
        return
    try:
        asked(lambda: (inspect.type_info(made), msgspec.json.Decoder(made), msgspec.msgpack.Decoder(made)))
    except Raised as error:
        yield f"{where}: {made.__name__} has a type that cannot be decoded: {error}"


def _model(where: str, model: object) -> Iterator[str]:
    yield from _parts(f"{where}: ", model, _OF_MODEL, ("artifact", "learn", "predict"))


_OF_MODEL: Mapping[str, Check] = {
    "name": _one(_NAME),
    "version": _one(_MODEL_VERSION),
    "entities": _mapping(_TEXT, _struct),
    "learns": _several(_TEXT),
}
_OF_DOMAIN: Mapping[str, Check] = {
    "name": _one(_NAME),
    "version": _one(_DOMAIN_VERSION),
    "payloads": _mapping(_KIND, _struct),
    "bodies": _mapping(_TEXT, _struct),
    "normalize_entities": _mapping(_TEXT, _struct),
    "feature_entities": _mapping(_TEXT, _struct),
    "models": _mapping(_NAME, _model),
    "deciding": _files,
}
