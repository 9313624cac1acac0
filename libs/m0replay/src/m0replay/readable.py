"""Whether the installed code reads states that another release has written.

It reads an entity when that decodes as what it is here and nothing of it is lost: said again, it holds at least what it
held. Entities of another version of a domain or model are not read by anybody: the generation that names the new
version begins it anew.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from m0common.stream.states import Restored
from m0lanes import applied, bundle_state, markets, normalize_state, tags
from m0lanes.bodies import MarketOpened, Prediction
from m0lanes.control import CatalogSetPayload
from m0lanes.dedupe import CHUNK, ID_BYTES, IDS_CHUNK
from m0lanes.entities import key_parts
from m0lanes.packing import pack, unpack
from m0lanes.port import Domain

_BEHIND: dict[int, Any] = {tags.LANE: markets.LaneEntity, tags.MARKET: MarketOpened}
HEART: dict[int, dict[int, Any]] = {
    1: {tags.LANE: normalize_state.LaneEntity, tags.MARKET: applied.MarketState},
    2: _BEHIND,
    3: _BEHIND,
    4: {
        tags.LANE: bundle_state.CatalogEntity,
        tags.CLOSING: tuple[int, bundle_state.Passed],
        tags.LEAF: tuple[int, Prediction],
        tags.SOURCE: bundle_state.SourceEntity,
    },
}
"""What the heart's own entities are, by stage and tag."""
SIZES: dict[int, tuple[int, int]] = {
    tags.SEQ_HIGH: (8, 8),
    tags.SEQ_SEEN: (CHUNK // 8, CHUNK // 8),
    tags.ID_NEXT: (8, 8),
    tags.ID_SEEN: (ID_BYTES, ID_BYTES * IDS_CHUNK),
}
"""Those that are plain bytes: the least length, of which every length is a multiple, and the greatest."""


def unread(states: Iterable[Restored], domain: Domain) -> str | None:
    """What the installed code does not read of these states, None when it reads all of them."""
    for found in states:
        stage = found.manifest.stage
        for key, value in sorted(found.entities.items()):
            why = _unread(stage, key, value, domain)
            if why is not None:
                return f"stage {stage}, {_name(key)}: {why}"
    return None


def _unread(stage: int, key: bytes, value: bytes, domain: Domain) -> str | None:
    tag = key[0]
    if tag in SIZES:
        least, most = SIZES[tag]
        return None if least <= len(value) <= most and len(value) % least == 0 else f"{len(value)} bytes"
    try:
        if tag == tags.SET:
            msgspec.json.decode(value, type=CatalogSetPayload)
            return None
        if tag in (tags.DOMAIN, tags.MODEL):
            return _of_plugin(stage, key, value, domain)
        kind = HEART[stage].get(tag)
        return "the heart knows no such entity" if kind is None else _lost(value, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return str(error)


def _of_plugin(stage: int, key: bytes, value: bytes, domain: Domain) -> str | None:
    name, version, kind = (part.decode() for part in key_parts(key)[:3])
    kinds = _kinds(stage, key[0], name, version, domain)
    if kinds is None:
        return None
    return f"no entity {kind!r} any more" if kind not in kinds else _lost(value, kinds[kind])


def _kinds(stage: int, tag: int, name: str, version: str, domain: Domain) -> Mapping[str, type[msgspec.Struct]] | None:
    """The kinds of entities of a domain or model here, None when this version of it is not here."""
    if tag == tags.DOMAIN:
        here = (name, version) == (domain.name, str(domain.version))
        return (domain.normalize_entities if stage == 1 else domain.feature_entities) if here else None
    model = domain.models.get(name)
    return model.entities if model is not None and version == str(model.version) else None


def _lost(value: bytes, kind: Any) -> str | None:
    again = pack(unpack(value, kind))
    if again == value or _keeps(msgspec.msgpack.decode(value), msgspec.msgpack.decode(again)):
        return None
    return f"as {getattr(kind, '__name__', kind)} it would lose what it holds"


def _keeps(before: object, after: object) -> bool:
    """Whether a decoded value is in another one: structs may have grown at their end, or by names."""
    if isinstance(before, list) and isinstance(after, list):
        return len(before) <= len(after) and all(_keeps(*pair) for pair in zip(before, after, strict=False))
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name in after and _keeps(value, after[name]) for name, value in before.items())
    return type(before) is type(after) and before == after


def _name(key: bytes) -> str:
    parts = "/".join(part.decode(errors="replace") for part in key_parts(key)[:4] if len(part) <= 64)
    return f"entity {key[0]} {parts}".strip()
