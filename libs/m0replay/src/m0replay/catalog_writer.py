"""Writes signed `catalog_set`s into the log: the same bytes into every lane of the old and the new generation."""

from collections.abc import Iterable
from typing import NamedTuple

from m0common.canonical import set_hash
from m0common.messages import RawEvent, raw_event
from m0common.stream.broker import Producer
from m0common.stream.records import Produce
from m0common.topics import RAW
from m0lanes.control import CATALOG_SET, CatalogSetPayload

from m0replay.catalogs import CONTROL
from m0replay.control_keys import ControlKey
from m0replay.control_value import control_value


class Written(NamedTuple):
    """A set that is in the log: its generation, the hash of its payload, the lanes it was written into."""

    generation: int
    hash: bytes
    lanes: tuple[int, ...]


def set_event(payload: CatalogSetPayload, said_ms: int) -> RawEvent:
    """The event that says a set, not signed yet."""
    name = f"{payload.catalog}:{payload.generation}"
    return raw_event(CONTROL, name, "", None, CATALOG_SET, said_ms, said_ms, payload)


async def write(
    producer: Producer, key: ControlKey, payload: CatalogSetPayload, lanes: Iterable[int], said_ms: int
) -> Written:
    """Write a set, said at `said_ms`, into `lanes` and return when every one has acknowledged it. Raises SettingsError
    for one that lanes would refuse, Unavailable.

    After Unavailable some lanes may hold it; it has no effect until all do, and a later generation takes its place.
    """
    event = set_event(payload, said_ms)
    value = control_value(event, key)
    where = tuple(sorted(set(lanes)))
    # no key: it concerns whole lanes, and the partition is given
    await producer.send([Produce(RAW.name, lane, None, value) for lane in where])
    return Written(payload.generation, set_hash(bytes(event.payload)), where)
