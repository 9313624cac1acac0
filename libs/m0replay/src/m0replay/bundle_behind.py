"""The bundle stage behind an epoch that others closed, made from its header and the states of its lanes.

A replay that begins at a checkpoint goes on from it, and so does a signer that has no state of its own.
"""

from collections.abc import Iterable, Sequence

import msgspec
from m0common.canonical import BundleHeader
from m0common.messages import HeaderMessage, InputSeq, Manifest
from m0common.messages.codec import UNDECODABLE
from m0common.stream.partition import partition_for
from m0common.stream.restored import Restored
from m0lanes import tags
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.bundle_state import BundleState, SourceEntity
from m0lanes.control import CatalogSetPayload
from m0lanes.entities import Entities, entity_key
from m0lanes.generations import lanes_of
from m0lanes.model import STAGE as MODEL_STAGE
from m0lanes.normalize_state import LaneEntity, set_key
from m0lanes.open_epochs import Turn
from m0lanes.packing import unpack
from m0lanes.stages import Heart

from m0replay.irreplayable import Irreplayable

_decode_set = msgspec.json.Decoder(CatalogSetPayload).decode


class Unreadable(Irreplayable):
    """The states behind an epoch were written in a way that means nothing here."""


def lane_entity(found: Restored) -> LaneEntity | None:
    """The lane as its first stage has it; None when another release wrote it in a way that means nothing here."""
    try:
        return unpack(found.entities[entity_key(tags.LANE)], LaneEntity)
    except (KeyError, *UNDECODABLE):
        return None


def turn_of(header: HeaderMessage) -> Turn:
    """The generation that closed an epoch, with the lanes that said it."""
    return Turn(header.generation, tuple(lane.partition for lane in header.lanes))


def turn_behind(header: HeaderMessage, states: Iterable[Restored]) -> Turn:
    """Whose epochs come behind one, as the lanes know it that the header names. Raises Unreadable where none of their
    states can be read here: the header itself does not say which generation its marker has put in force.
    """
    named = {(1, lane.partition) for lane in header.lanes}
    for found in states:
        if (found.manifest.stage, found.manifest.partition) in named:
            known = _turn_known(found)
            if known is not None:
                return known
    releases = " and ".join(sorted({lane.release.hex() for lane in header.lanes}))
    raise Unreadable(
        f"no state of {header.catalog} at epoch {header.epoch_id} that can be read here says whose epochs come next: "
        f"take a build that has release {releases}"
    )


def _turn_known(found: Restored) -> Turn | None:
    now = lane_entity(found)
    if now is None:
        return None
    generation, set_hash = now.pending or (now.generation, now.set_hash)
    try:
        return Turn(generation, lanes_of(_decode_set(found.entities[set_key(generation, set_hash)])))
    except (KeyError, *UNDECODABLE):
        return None


def bundle_state(heart: Heart, header: HeaderMessage, states: Sequence[Restored], turn: Turn) -> Restored:
    """The bundle stage behind an epoch: `states` are those that its lanes go on from, `turn` closes what comes."""
    models = [found.manifest for found in states if found.manifest.stage == MODEL_STAGE]
    known = BundleHeader.decode(header.header)
    entities = Entities()
    state = BundleState(header.catalog, entities, heart.deployment.control_key)
    sources = {r.partition: SourceEntity(r.life, r.stage_digests) for r in header.lanes}
    prev = known.bundle_hash if known.leaf_count else known.prev_bundle_hash
    state.continue_from(header.epoch_id, prev, turn, sources)
    manifest = Manifest(
        stage=BUNDLE_STAGE,
        catalog=header.catalog,
        partition=partition_for(header.catalog.encode(), heart.deployment.partitions),
        life=0,
        generation=header.generation,
        position=0,
        epoch_id=header.epoch_id,
        digest=entities.digest(),
        out_seq=0,
        input_offset=-1,
        input_seqs=tuple(InputSeq(m.partition, m.life, m.out_seq) for m in sorted(models, key=lambda m: m.partition)),
        held_from=None,
        held_end=0,
        from_position=0,
        from_offset=0,
        to_offset=0,
        release=bytes(32),
        build=heart.build,
        entities=entities.count,
        bytes=entities.bytes,
        window_end_ms=known.window_end_ms,
    )
    return Restored(manifest, dict(entities.items()))
