"""Which `catalog_set` a lane takes: one judgement, for the lane itself, for the clock that may name the set in a marker
and for the command that is to write it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import RawEvent
from m0common.messages.types import CatalogName

from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.control import CATALOG_SET, EPOCH_END, CatalogSetPayload, Certificates, RebasePayload
from m0lanes.door import decode_as
from m0lanes.generations import SIGNER_SET_ID, Generation, lanes_of
from m0lanes.port import ENTITY_MAX_BYTES

KNOWN_MAX = 16
"""Sets that are at hand as they were read last: copies of one cost little."""
SETS_MAX = 16
"""Sets that may wait in a lane to take force."""
U32_END = 1 << 32


class _Vouched(msgspec.Struct, frozen=True):
    """Of a set as much as says whose word it is."""

    catalog: CatalogName
    certificates: Certificates = ()


def said_set(event: RawEvent, deployment: Deployment) -> CatalogSetPayload:
    """The payload of a `catalog_set` that the last control key which its certificates vouch for signed.

    Raises DeadLetterError. Whose word it is comes first: reading thousands of groups costs a hundred times as much, and
    anybody can write them.
    """
    said = decode_as(CATALOG_SET, event.payload, _Vouched)
    key = control_keys(deployment.control_key, deployment.genesis_hash, said.certificates)[-1]
    _check_signed(event, said.catalog, key, deployment)
    return _read_set(bytes(event.payload))


@lru_cache(KNOWN_MAX)
def _read_set(payload: bytes) -> CatalogSetPayload:
    return decode_as(CATALOG_SET, payload, CatalogSetPayload)


@dataclass(frozen=True, slots=True)
class LaneStanding:
    """What the judgement depends on in a lane: the number and the epoch length in ms of the generation in force (0 and
    None before the first), the control key in force (32 bytes), how many sets are defined behind that generation, the
    set (number and hash) that the lane is parked for want of, and whether that generation has the lane.
    """

    control_key: bytes
    generation: int = 0
    epoch_ms: int | None = None
    waiting: int = 0
    missing: tuple[int, bytes] | None = None
    works: bool = False


def check_set(made: Generation, size: int, lane: Lane, standing: LaneStanding, deployment: Deployment) -> None:
    """Raises DeadLetterError for a set that the lane refuses whoever signs it. `size` is that of its payload in bytes.

    A set that the lane has already is not asked about.
    """
    payload, name = made.payload, f"{lane.catalog}/{lane.partition}"
    if size > ENTITY_MAX_BYTES:
        raise DeadLetterError(
            "too_large", f"catalog_set of {size} bytes: at most {ENTITY_MAX_BYTES}, name fewer groups or parameters"
        )
    if payload.partitions != deployment.partitions:
        raise DeadLetterError(
            "wrong_partitions",
            f"catalog_set says {payload.partitions} partitions: the log has {deployment.partitions}",
        )
    if payload.generation <= standing.generation:
        raise DeadLetterError(
            "old_generation", f"generation {payload.generation} of {name}: {standing.generation} is in force"
        )
    if list(payload.groups) != sorted(set(payload.groups)):
        raise DeadLetterError("invalid_payload", "catalog_set: groups ascend, each once")
    signers = payload.params.get(SIGNER_SET_ID, 0)
    if not 0 <= signers < U32_END:
        raise DeadLetterError(
            "invalid_payload",
            f"catalog_set: {SIGNER_SET_ID} {signers} is no u32 of a header, give one from 0 to {U32_END - 1}",
        )
    if standing.epoch_ms is not None and standing.epoch_ms != payload.epoch_ms:
        raise DeadLetterError(
            "epoch_ms_changed",
            f"catalog {payload.catalog} has epochs of {standing.epoch_ms} ms for ever: choose another name",
        )
    # anybody may carry a copy of a signed set into a lane that it is not about, where it would wait for ever
    if not standing.works and lane.partition not in made.lanes and (made.number, made.hash) != standing.missing:
        raise DeadLetterError(
            "wrong_partition",
            f"generation {payload.generation} of {payload.catalog} has no lane {lane.partition}, and none runs there",
        )
    # what a marker named already is let in however many wait: the lane goes on with it
    if standing.waiting >= SETS_MAX and (made.number, made.hash) != standing.missing:
        raise DeadLetterError(
            "too_many_sets",
            f"{standing.waiting} sets of {name} wait to take force, at most {SETS_MAX} may: say one of them again, or "
            "wait for the marker that puts one in force",
        )
    _keys(payload, standing.control_key, deployment)


def check_said_set(
    event: RawEvent, made: Generation, lane: Lane, standing: LaneStanding, deployment: Deployment
) -> bytes:
    """The id of the event that says a set. Raises DeadLetterError for one that the lane refuses."""
    if event.group or event.market_id is not None:
        raise DeadLetterError("invalid_event", "catalog_set: group is empty and market_id null, it is about lanes")
    check_set(made, len(event.payload), lane, standing, deployment)
    return check_signer(event, made.payload, standing.control_key, deployment)


def check_signer(
    event: RawEvent, payload: CatalogSetPayload | RebasePayload, control_key: bytes, deployment: Deployment
) -> bytes:
    """The event's id. Raises DeadLetterError unless the last key of its certificates signed it, and the key in force
    is one of them.
    """
    return _check_signed(event, payload.catalog, _keys(payload, control_key, deployment)[-1], deployment)


def _check_signed(event: RawEvent, catalog: str, key: bytes, deployment: Deployment) -> bytes:
    event_id = identity(event)
    if not is_signed_by(event, event_id, deployment.genesis_hash, key):
        raise DeadLetterError("wrong_signature", f"{event.kind} of {catalog} is not signed by control key {key.hex()}")
    return event_id


def lanes_without_clock(before: CatalogSetPayload | None, after: CatalogSetPayload) -> tuple[int, ...]:
    """The lanes that begin with `after` and could not check the signature of the marker that puts it in force.

    That marker has one signature: lanes that run ask the clock of the set in force for it, lanes that begin the clock
    of the new one (`m0lanes.place.counts`). Where both are, one key at least must be in both sets.
    """
    running = () if before is None else lanes_of(before)
    if before is None or not running or _clocks(before) & _clocks(after):
        return ()
    return tuple(lane for lane in lanes_of(after) if lane not in running)


def dropped_by(made: Generation, before: int, sets: Iterable[Generation]) -> list[Generation]:
    """Those of the sets that wait no longer once `made` takes force behind generation `before`: what no marker named,
    and what has another epoch length, which is for ever.
    """
    return [
        other
        for other in sets
        if (before < other.number <= made.number and (other.number, other.hash) != (made.number, made.hash))
        or (other.number > made.number and other.payload.epoch_ms != made.payload.epoch_ms)
    ]


def _clocks(payload: CatalogSetPayload) -> set[tuple[str, str]]:
    """The sources that may end an epoch, with their keys."""
    return {
        (source, rule.key)
        for source, rule in payload.sources.items()
        if rule.key is not None and EPOCH_END in rule.kinds
    }


def _keys(payload: CatalogSetPayload | RebasePayload, control_key: bytes, deployment: Deployment) -> list[bytes]:
    keys = control_keys(deployment.control_key, deployment.genesis_hash, payload.certificates)
    if control_key not in keys:
        raise DeadLetterError(
            "wrong_signature",
            f"what is said of {payload.catalog}: no certificate of it leads to control key {control_key.hex()}",
        )
    return keys
