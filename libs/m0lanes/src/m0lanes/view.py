"""What a domain sees of a lane's state in one stage, and how what it returns becomes state: whole, or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages.codec import UNDECODABLE

from m0lanes.bodies import MarketOpened
from m0lanes.entities import Entities, entity_key, key_part, key_parts
from m0lanes.packing import pack, unpack
from m0lanes.port import (
    BODIES_MAX,
    BODY_MAX_BYTES,
    CHANGES_MAX,
    ENTITY_MAX_BYTES,
    KEY_PART_MAX_BYTES,
    Domain,
    Drop,
    Model,
    Parts,
    Refused,
    Step,
)

E = TypeVar("E", bound=msgspec.Struct)
R = TypeVar("R")
KNOWN_MAX = 50_000
"""So many decoded entities are kept at hand."""
Owner = tuple[str, ...]
"""Whose entities they are: the parts that their keys begin with."""
Place = tuple[type[msgspec.Struct], Parts]
"""What a domain calls an entity: its kind and its parts."""
Change = tuple[Place, bytes, bytes | None, Any]
"""A place, its key, the bytes there and the entity that is read from them; None and None: it is no more."""


class LaneFull(Exception):
    """A domain would remember more than it may in one lane."""


class Space:
    """The entities of one domain or model in one lane and stage. It is the View that the domain is given.

    `most` bounds them: at that many a step may change and drop some, and add none. None but its own count, for what
    the heart keeps beside them may be an entity already, or still, when a checkpoint was written and not otherwise.
    """

    def __init__(
        self,
        entities: Entities,
        tag: int,
        owner: Owner,
        kinds: Mapping[str, type[msgspec.Struct]],
        markets: Mapping[str, MarketOpened],
        params: Mapping[str, int],
        most: int | None = None,
    ) -> None:
        self._entities = entities
        self._most = most
        own = entity_key(tag, *owner)
        # counted where it is asked for, since this reads all keys
        self._count = 0 if most is None else len(entities.each(own))
        self._head = len(owner) + 1
        """So many parts of a key are not the domain's: its owner and its kind."""
        self._prefixes = {made: own + key_part(kind.encode()) for kind, made in sorted(kinds.items())}
        self._known: dict[Place, tuple[bytes, Any]] = {}
        """The key of a place and the entity there, None when there is none: nobody else writes them."""
        self.params = MappingProxyType(dict(params))
        self.market = markets.get
        self.cache: dict[Any, Any] = {}

    def get(self, kind: type[E], *parts: str) -> E | None:
        """See View."""
        place = kind, parts
        known = self._known.get(place) or self._read(place)
        found: E | None = known[1]
        return found

    def each(self, kind: type[E], *first: str) -> Iterator[tuple[Parts, E]]:
        """See View."""
        for key, value in self._entities.each(self._key((kind, first))):
            yield tuple(part.decode() for part in key_parts(key)[self._head :]), unpack(value, kind)

    def checked(self, step: Step) -> list[Change]:
        """The changes of a step. Raises Refused when one breaks a bound, LaneFull when all of them together do."""
        if len(step.changes) > CHANGES_MAX:
            raise Refused(f"{len(step.changes)} entities change at once: at most {CHANGES_MAX}")
        changes: list[Change] = []
        for change in step.changes:
            if isinstance(change, Drop):
                gone = change.kind, change.parts
                changes.append((gone, self._key(gone), None, None))
                continue
            kind = type(change.value)
            value = pack(change.value)
            if len(value) > ENTITY_MAX_BYTES:
                raise Refused(f"an entity {kind.__name__} of {len(value)} bytes: at most {ENTITY_MAX_BYTES}")
            place = kind, change.parts
            # what is kept at hand is what a restart would read, whatever the domain does to its object later
            changes.append((place, self._key(place), value, unpack(value, kind)))
        if self._most is not None and self._count + len(changes) > self._most:
            self._check_room(changes, self._most)
        return changes

    def _check_room(self, changes: Sequence[Change], most: int) -> None:
        new = {key for _, key, value, _ in changes if value is not None and self._entities.get(key) is None}
        if new and self._count + len(new) > most:
            raise LaneFull(
                f"{self._count} things are remembered in this lane, {len(new)} more would be over {most}: "
                "give some of its groups to another catalog"
            )

    def apply(self, changes: Sequence[Change]) -> None:
        """Make checked changes the state."""
        before = self._entities.count
        for place, key, value, made in changes:
            if value is None:
                self._entities.drop(key)
            else:
                self._entities.put(key, value)
            self._remember(place, (key, made))
        self._count += self._entities.count - before

    def refuse(self) -> None:
        """A step was refused: whatever the domain keeps at hand may have seen half of it."""
        self.cache.clear()

    def _read(self, place: Place) -> tuple[bytes, Any]:
        key = self._made_key(*place)
        value = self._entities.get(key)
        return self._remember(place, (key, None if value is None else unpack(value, place[0])))

    def _remember(self, place: Place, known: tuple[bytes, Any]) -> tuple[bytes, Any]:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[place] = known
        return known

    def _key(self, place: Place) -> bytes:
        known = self._known.get(place)
        return self._made_key(*place) if known is None else known[0]

    def _made_key(self, kind: type[msgspec.Struct], parts: Parts) -> bytes:
        prefix = self._prefixes.get(kind)
        if prefix is None:
            raise Refused(f"{kind.__name__} is no entity of this stage: name it in the domain")
        return prefix + b"".join(map(_packed, parts))


@lru_cache(4_096)
def _packed(part: str) -> bytes:
    """A part of a key, which many keys may have in common. Raises Refused."""
    raw = part.encode()
    if len(raw) > KEY_PART_MAX_BYTES:
        raise Refused(f"a key part of {len(raw)} bytes: at most {KEY_PART_MAX_BYTES}")
    return key_part(raw)


class Bodies:
    """The kinds of a domain's bodies and their encoding."""

    def __init__(self, kinds: Mapping[str, type[msgspec.Struct]]) -> None:
        self._kinds = dict(kinds)
        self._names = {kind: name for name, kind in sorted(kinds.items())}

    def said(self, bodies: Sequence[msgspec.Struct]) -> list[tuple[str, bytes]]:
        """`(kind, bytes)` of each. Raises Refused when one breaks a bound."""
        if len(bodies) > BODIES_MAX:
            raise Refused(f"{len(bodies)} messages at once: at most {BODIES_MAX}")
        said = []
        for body in bodies:
            name = self._names.get(type(body))
            if name is None:
                raise Refused(f"{type(body).__name__} is no body of the domain: name it there")
            raw = pack(body)
            if len(raw) > BODY_MAX_BYTES:
                raise Refused(f"a message {name} of {len(raw)} bytes: at most {BODY_MAX_BYTES}")
            said.append((name, raw))
        return said

    def knows(self, kind: str) -> bool:
        """Whether this kind is the domain's."""
        return kind in self._kinds

    def decode(self, kind: str, raw: msgspec.Raw) -> msgspec.Struct:
        """A body of the domain. Raises DeadLetterError."""
        try:
            return unpack(raw, self._kinds[kind])
        except UNDECODABLE as error:
            raise DeadLetterError("not_a_lane_body", f"{kind}: {error}") from error
        except Exception as error:
            raise DeadLetterError("domain_raised", f"{kind}: {raised(error)}") from error


def owner_of(domain: Domain, model: Model | None = None) -> Owner:
    """Whose the entities of a domain are, or of its model. What a model has learned is what this version of the domain
    said, so it is worth nothing to another one.
    """
    said = (domain.name, str(domain.version))
    return said if model is None else (*said, model.name, str(model.version))


def forget_others(entities: Entities, tag: int, keep: Owner | None) -> None:
    """Drop every domain's or model's entities but the one's that is in use: should another return, it begins anew."""
    own = None if keep is None else entity_key(tag, *keep)
    for key, _ in entities.each(bytes((tag,))):
        if own is None or not key.startswith(own):
            entities.drop(key)


def asked(space: Space, call: Callable[[], R]) -> R:
    """What the domain answers. Whatever it raises is one dead letter, the state untouched."""
    try:
        return call()
    except Exception as error:
        raise letter_about(space, error) from error


def letter_about(space: Space, error: Exception) -> DeadLetterError:
    """The dead letter about what a domain raised; see `raised`."""
    said = raised(error)
    space.refuse()
    if isinstance(error, Refused):
        return DeadLetterError("refused", _cut(error))
    if isinstance(error, LaneFull):
        return DeadLetterError("lane_full", _cut(error))
    return DeadLetterError("domain_raised", said)


def raised(error: Exception) -> str:
    """What a domain's code raised, in words. Raises a MemoryError on: it says something of this machine, and others may
    have gone on.
    """
    if isinstance(error, MemoryError):
        raise error
    return f"{type(error).__name__}: {_cut(error)}"


def _cut(error: Exception) -> str:
    try:
        return str(error)[:1_000]
    except Exception:  # noqa: BLE001 - an error of a domain that cannot say what it is
        return "it cannot be put in words"
