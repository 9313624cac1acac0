"""What the entities of each stage are: how their bytes are read, and the keys that they stand at."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from m0common.errors import InvalidValue
from m0common.ids import market_key
from m0common.messages.codec import UNDECODABLE
from m0common.messages.types import U32, Digest, Partition

from m0lanes import applied, bundle_state, markets, normalize_state, open_epochs, tags
from m0lanes.bodies import MarketOpened, Prediction
from m0lanes.control import CatalogSetPayload
from m0lanes.dedupe import CHUNK, ID_BYTES, IDS_CHUNK
from m0lanes.entities import entity_key, key_parts
from m0lanes.generations import Generation
from m0lanes.leaves import leaf_of
from m0lanes.packing import unpack
from m0lanes.port import Domain
from m0lanes.view import Owner, owner_of, raised

COUNT_MAX = (1 << 63) - 1


class Unreadable(Exception):
    """An entity is none of its stage's. The message says why."""


class Kind(NamedTuple):
    """An entity of the heart: `read` makes it of its bytes, `key` says where it stands, from the entity and the parts
    of its key. Either raises what UNDECODABLE names, InvalidValue or OverflowError.
    """

    read: Callable[[bytes], Any]
    key: Callable[[Any, tuple[bytes, ...]], bytes]


def _packed(kind: Any, key: Callable[[Any], bytes]) -> Kind:
    return Kind(lambda value: unpack(value, kind), lambda made, _: key(made))


def _set(value: bytes) -> Generation:
    return Generation.of(msgspec.json.decode(value, type=CatalogSetPayload), value)


def _number(value: bytes) -> int:
    number = int.from_bytes(value, "big")
    if len(value) != 8 or number > COUNT_MAX:
        raise InvalidValue(f"{len(value)} bytes are no number of 8 bytes up to {COUNT_MAX}")
    return number


def _chunk(least: int, most: int) -> Callable[[bytes], bytes]:
    def read(value: bytes) -> bytes:
        if not least <= len(value) <= most or len(value) % least:
            raise InvalidValue(f"{len(value)} bytes: a multiple of {least}, {most} at most")
        return value

    return read


def _of_group(tag: int) -> Callable[[Any, tuple[bytes, ...]], bytes]:
    def key(_: Any, parts: tuple[bytes, ...]) -> bytes:
        source, group = parts
        return entity_key(tag, source, group)

    return key


def _chunk_of_group(tag: int) -> Callable[[Any, tuple[bytes, ...]], bytes]:
    def key(_: Any, parts: tuple[bytes, ...]) -> bytes:
        source, group, number = parts
        return entity_key(tag, source, group, _number(number).to_bytes(8, "big"))

    return key


def _of_source(key: Callable[[int], bytes]) -> Callable[[Any, tuple[bytes, ...]], bytes]:
    def at(_: Any, parts: tuple[bytes, ...]) -> bytes:
        (partition,) = parts
        return key(int.from_bytes(partition, "big"))

    return at


def _leaf(value: bytes) -> tuple[int, Prediction]:
    partition, said = unpack(value, tuple[Partition, Prediction])
    leaf_of(said).encode()
    return partition, said


def _leaf_key(made: tuple[int, Prediction], _: tuple[bytes, ...]) -> bytes:
    partition, said = made
    return bundle_state.leaf_key(said.epoch_id, market_key(said.market_id), partition)


_market = _packed(MarketOpened, lambda made: entity_key(tags.MARKET, made.market_id))


def _lane(kind: Any) -> Kind:
    return _packed(kind, lambda _: entity_key(tags.LANE))


HEART: dict[int, dict[int, Kind]] = {
    1: {
        tags.LANE: _lane(normalize_state.LaneEntity),
        tags.JOINS: _packed(tuple[U32, Digest], lambda _: entity_key(tags.JOINS)),
        tags.SET: Kind(_set, lambda made, _: normalize_state.set_key(made.number, made.hash)),
        tags.MARKET: _packed(applied.MarketState, lambda made: entity_key(tags.MARKET, made.market.market_id)),
        tags.SEQ_HIGH: Kind(_number, _of_group(tags.SEQ_HIGH)),
        tags.SEQ_SEEN: Kind(_chunk(CHUNK // 8, CHUNK // 8), _chunk_of_group(tags.SEQ_SEEN)),
        tags.ID_NEXT: Kind(_number, _of_group(tags.ID_NEXT)),
        tags.ID_SEEN: Kind(_chunk(ID_BYTES, ID_BYTES * IDS_CHUNK), _chunk_of_group(tags.ID_SEEN)),
    },
    2: {tags.LANE: _lane(markets.LaneEntity), tags.MARKET: _market},
    3: {tags.LANE: _lane(markets.LaneEntity), tags.MARKET: _market},
    4: {
        tags.LANE: _lane(bundle_state.CatalogEntity),
        tags.CLOSING: _packed(
            tuple[Partition, open_epochs.Passed],
            lambda made: bundle_state.closing_key(made[1].marker.epoch_id, made[0]),
        ),
        tags.LEAF: Kind(_leaf, _leaf_key),
        tags.SOURCE: Kind(lambda value: unpack(value, bundle_state.SourceEntity), _of_source(bundle_state.source_key)),
        tags.BORN: Kind(lambda value: value, _of_source(bundle_state.born_key)),
    },
}
"""The heart's own entities, by stage and tag."""
_PLUGINS = {1: tags.DOMAIN, 2: tags.DOMAIN, 3: tags.MODEL}
"""The tag of a plugin's entities, by stage."""
_HEADS = {tags.DOMAIN: 3, tags.MODEL: 5}
"""So many parts of their keys say whose they are and what, by tag."""


def read_entity(stage: int, key: bytes, value: bytes, domain: Domain | None, *, whole: bool) -> Any:  # of any kind
    """An entity of a stage; None for one that nobody here reads: of a domain or model, or a version of one, that is not
    `domain`, and unless `whole` of a kind that is not known here either.

    Raises Unreadable.
    """
    try:
        parts = key_parts(key)
        if stage in _PLUGINS and key[0] == _PLUGINS[stage]:
            return _of_plugin(stage, parts, value, domain, whole=whole)
        kind = HEART[stage].get(key[0])
        if kind is None:
            if whole:
                raise Unreadable("the heart knows no such entity")
            return None
        made = kind.read(value)
        if kind.key(made, parts) != key:
            raise Unreadable("it stands at another one's key")
    except (*UNDECODABLE, InvalidValue, ValueError, OverflowError) as error:
        raise Unreadable(str(error)) from error
    return made


def _of_plugin(
    stage: int, parts: tuple[bytes, ...], value: bytes, domain: Domain | None, *, whole: bool
) -> msgspec.Struct | None:
    said, head = [part.decode() for part in parts], _HEADS[_PLUGINS[stage]]
    if len(said) < head:
        raise Unreadable(f"{len(said)} parts of a key say not whose it is: at least {head}")
    *owner, kind = said[:head]
    for version in owner[1::2]:
        if str(int(version)) != version:
            raise Unreadable(f"{version!r} is no version")
    kinds = None if domain is None else _kinds(stage, tuple(owner), domain)
    if kinds is None:
        return None
    if kind not in kinds:
        if whole:
            raise Unreadable(f"no entity {kind!r} any more")
        return None
    try:
        made = unpack(value, kinds[kind])
    except UNDECODABLE:
        raise
    except Exception as error:
        raise Unreadable(raised(error)) from error
    assert isinstance(made, msgspec.Struct)
    return made


def _kinds(stage: int, owner: Owner, domain: Domain) -> Mapping[str, type[msgspec.Struct]] | None:
    """The kinds of entities of a domain or model here, None when this version of it is not here."""
    if _PLUGINS[stage] == tags.DOMAIN:
        here = owner == owner_of(domain)
        return (domain.normalize_entities if stage == 1 else domain.feature_entities) if here else None
    models = (model for _, model in sorted(domain.models.items()))
    return next((model.entities for model in models if owner == owner_of(domain, model)), None)


def entity_name(key: bytes) -> str:
    """A key in words, whatever it is."""
    try:
        parts = "/".join(part.decode(errors="replace") for part in key_parts(key)[:6] if len(part) <= 64)
    except InvalidValue:
        return f"entity {key[:64]!r}"
    return f"entity {key[0]} {parts}".strip()
