"""Whether what is in the log makes a state of a stage: asked before a lane goes on from it.

A digest says that a state is whole, not that a stage made it: whoever may write the state topics can give any entities
the right one. So every entity must be what its stage keeps at that key, and what entities say of each other must hold.
That a state is sound does not say that it is true: this is what headers and those who compute again are for.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from m0common.canonical import ZERO
from m0common.deployment import Deployment
from m0common.ids import Lane, epoch_window
from m0common.messages import Manifest

from m0lanes import tags
from m0lanes.authority import control_keys
from m0lanes.births import not_born
from m0lanes.bundle_state import CatalogEntity, born_key, facts
from m0lanes.dedupe import CHUNK, ID_BYTES, IDS_CHUNK
from m0lanes.entities import entity_key, key_parts
from m0lanes.generations import SIGNER_SET_ID, Generation
from m0lanes.kinds import Unreadable, entity_name, read_entity
from m0lanes.normalize_state import LaneEntity
from m0lanes.port import Domain

Found = Mapping[int, Mapping[bytes, Any]]
"""Entities as they are read, by tag and key."""


class _Broken(Exception):
    """Two entities do not go together. The message says which."""


def unsound(
    manifest: Manifest, entities: Mapping[bytes, bytes], deployment: Deployment, release: bytes, domain: Domain | None
) -> str | None:
    """Why nobody can go on from these entities, None when they make a state of the manifest's stage.

    `release` is the one that is to go on, and `domain` its domain where that is here: without it the entities of
    domains and models are looked at by their keys alone. What another release has written may hold kinds of entities
    that are not known to this one.
    """
    found: dict[int, dict[bytes, Any]] = {}
    for key, value in entities.items():
        try:
            made = read_entity(manifest.stage, key, value, domain, whole=manifest.release == release)
        except Unreadable as error:
            return f"{entity_name(key)}: {error}"
        if made is not None:
            found.setdefault(key[0], {})[key] = made
    try:
        _RULES[manifest.stage](found, manifest, deployment)
    except _Broken as error:
        return str(error)
    return None


def _of_normalize(found: Found, manifest: Manifest, deployment: Deployment) -> None:
    lane: LaneEntity = _the_lane(found, LaneEntity(control_key=deployment.control_key))
    sets: dict[tuple[int, bytes], Generation] = {(m.number, m.hash): m for m in found.get(tags.SET, {}).values()}
    for made in sets.values():
        _check_set(made, manifest, deployment)
    now = sets.get((lane.generation, lane.set_hash))
    if now is None and (lane.generation or lane.set_hash != ZERO):
        raise _Broken(f"generation {lane.generation} is in force and not defined")
    if lane.retired != (now is not None and manifest.partition not in now.lanes):
        raise _Broken(f"retired is {lane.retired}, which generation {lane.generation} does not say")
    keys = control_keys(
        deployment.control_key, deployment.genesis_hash, () if now is None else now.payload.certificates
    )
    if lane.control_key != keys[-1]:
        raise _Broken(f"no certificate of generation {lane.generation} leads to control key {lane.control_key.hex()}")
    following = None if lane.pending is None else sets.get(lane.pending)
    if lane.pending is not None and (following is None or following.number <= lane.generation):
        raise _Broken(f"generation {lane.pending[0]} is pending and not defined, or not behind {lane.generation}")
    _check_window(lane, now or following)
    if now is not None and not lane.retired and manifest.release == ZERO:
        raise _Broken(f"generation {lane.generation} is in force and no release runs it")
    _check_numbers(found)


def _check_set(made: Generation, manifest: Manifest, deployment: Deployment) -> None:
    payload = made.payload
    if payload.catalog != manifest.catalog or payload.partitions != deployment.partitions:
        raise _Broken(f"generation {made.number} is of catalog {payload.catalog} on {payload.partitions} partitions")
    if not 0 <= made.params.get(SIGNER_SET_ID, 0) < 1 << 32:
        raise _Broken(f"generation {made.number}: {SIGNER_SET_ID} is no u32 of a header")


def _check_window(lane: LaneEntity, known: Generation | None) -> None:
    end_ms = 0
    if lane.last_epoch >= 0:
        if known is None:
            raise _Broken(f"epoch {lane.last_epoch} is closed and no generation was ever named")
        _, end_ms = epoch_window(lane.last_epoch, known.payload.epoch_ms)
    if lane.last_end_ms != end_ms:
        raise _Broken(f"epoch {lane.last_epoch} ends at {end_ms}, not at {lane.last_end_ms}")


def _check_numbers(found: Found) -> None:
    """What is remembered of a source's events goes with how many it had."""
    for of, number, key, _ in _chunks(found, tags.SEQ_SEEN, tags.SEQ_HIGH):
        if number > of // CHUNK:
            raise _Broken(f"{entity_name(key)}: the highest number is {of}")
    for of, number, key, chunk in _chunks(found, tags.ID_SEEN, tags.ID_NEXT):
        if len(chunk) != ID_BYTES * min(IDS_CHUNK, max(0, of - number * IDS_CHUNK)):
            raise _Broken(f"{entity_name(key)}: {len(chunk)} bytes of {of} events")


def _chunks(found: Found, tag: int, counts: int) -> Iterable[tuple[int, int, bytes, bytes]]:
    """Of every chunk: how many events its source had, its number, its key, its bytes."""
    known = found.get(counts, {})
    for key, chunk in found.get(tag, {}).items():
        source, group, number = key_parts(key)
        yield known.get(entity_key(counts, source, group), 0), int.from_bytes(number, "big"), key, chunk


def _of_lane(_found: Found, _manifest: Manifest, _deployment: Deployment) -> None:
    """The stages between have nothing that goes with anything else."""


def _of_bundle(found: Found, manifest: Manifest, deployment: Deployment) -> None:
    for partition, life, _ in manifest.input_seqs:
        signed = found.get(tags.BORN, {}).get(born_key(partition), b"")
        reason = not_born(signed, Lane(manifest.catalog, partition), life, deployment)
        if reason is not None:
            raise _Broken(f"lane {partition} is read in life {life}: {reason}")
    now: CatalogEntity = _the_lane(found, CatalogEntity())
    epochs: dict[int, tuple[object, ...]] = {}
    for partition, passed in found.get(tags.CLOSING, {}).values():
        epoch_id, said = passed.marker.epoch_id, facts(passed.marker)
        _check_open(now, epoch_id, partition)
        if epochs.setdefault(epoch_id, said) != said:
            raise _Broken(f"the lanes of epoch {epoch_id} disagree on what it is")
    for partition, prediction in found.get(tags.LEAF, {}).values():
        _check_open(now, prediction.epoch_id, partition)


def _check_open(now: CatalogEntity, epoch_id: int, partition: int) -> None:
    if epoch_id <= now.last_epoch:
        raise _Broken(f"lane {partition} says something of epoch {epoch_id}, and {now.last_epoch} is closed")


def _the_lane(found: Found, otherwise: Any) -> Any:  # whatever the stage keeps of its lane
    return found.get(tags.LANE, {}).get(entity_key(tags.LANE), otherwise)


_RULES: dict[int, Callable[[Found, Manifest, Deployment], None]] = {
    1: _of_normalize,
    2: _of_lane,
    3: _of_lane,
    4: _of_bundle,
}
