"""Stage 4, one catalog: what its lanes have said of epochs that are not closed, one entity for each saying."""

import hashlib
from collections.abc import Collection
from contextlib import suppress
from typing import Annotated, NamedTuple

import msgspec
from m0common.canonical import (
    ZERO,
    BundleHeader,
    LaneConfig,
    LaneModel,
    MerkleTree,
    config_hash,
    input_root,
    leaf_hash,
    model_manifest_hash,
    state_root,
)
from m0common.errors import DeadLetterError
from m0common.ids import market_key
from m0common.messages import HeaderLane, HeaderMessage, LaneMessage
from m0common.messages.bundles import MISSED_MAX
from m0common.messages.codec import checked
from m0common.messages.types import U32, CountOrNone, Digest, Life

from m0lanes import tags
from m0lanes.births import Birth, signed_rebase
from m0lanes.bodies import STAGES, Generation, Marker, Prediction, decode_body
from m0lanes.entities import Entities, entity_key, key_parts
from m0lanes.leaves import leaf_of
from m0lanes.open_epochs import Outlook, Passed, Turn, behind, gap_of, is_due, marker_of, outlook
from m0lanes.packing import pack, unpack
from m0lanes.pieces import pieces_of

EMPTY_ROOT = hashlib.sha256(b"").digest()


class CatalogEntity(msgspec.Struct, frozen=True, array_like=True):
    """The newest epoch closed, the newest bundle in the chain of headers, the generation in force behind them, and its
    lanes.
    """

    last_epoch: CountOrNone = -1
    prev_bundle_hash: Digest = ZERO
    generation: U32 = 0
    lanes: tuple[U32, ...] = ()


class SourceEntity(msgspec.Struct, frozen=True, array_like=True):
    """A lane at its last marker: its life and the digests of its stages."""

    life: Life
    digests: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=STAGES)]


class Closed(NamedTuple):
    """A closed epoch: pieces first, then the header that names them; with a lane's marker and the release of it."""

    pieces: list[bytes]
    header: HeaderMessage
    marker: Marker
    release: bytes
    """What all its lanes have said it under."""
    following: bytes
    """The release of the lanes that go on into the next generation, zero bytes where none begins or none goes on."""

    @property
    def ends(self) -> bool:
        """Whether no lane of the epoch goes on."""
        return self.marker.next is not None and self.following == ZERO

    @property
    def in_force(self) -> bytes:
        """The release in force behind it."""
        return self.release if self.following == ZERO else self.following


class Disagreement(Exception):
    """Lanes of one epoch name different facts: the log is not one log. The message says which."""


class BundleState:
    """Made from the catalog's entities."""

    def __init__(self, catalog: str, entities: Entities, control_key: bytes) -> None:
        self.entities = entities
        self._catalog = catalog
        self._control_key = control_key
        self._key = entity_key(tags.LANE)
        found = entities.get(self._key)
        self._now = CatalogEntity() if found is None else unpack(found, CatalogEntity)
        self._open: dict[int, dict[int, Passed]] = {}
        self._leaves: dict[int, dict[tuple[bytes, int], Prediction]] = {}
        for _, value in entities.each(entity_key(tags.CLOSING)):
            partition, passed = unpack(value, tuple[int, Passed])
            self._open.setdefault(passed.marker.epoch_id, {})[partition] = passed
        for _, value in entities.each(entity_key(tags.LEAF)):
            partition, said = unpack(value, tuple[int, Prediction])
            self._leaves.setdefault(said.epoch_id, {})[market_key(said.market_id), partition] = said
        self._gaps: dict[int, Turn] = {}
        for key, signed in entities.each(entity_key(tags.BORN)):
            with suppress(DeadLetterError):
                self._note_gap(int.from_bytes(key_parts(key)[0], "big"), gap_of(signed_rebase(signed)))
        self._outlook = self._look()

    @property
    def generation(self) -> int:
        """See State."""
        return self._now.generation

    @property
    def last_epoch(self) -> int:
        """See State."""
        return self._now.last_epoch

    def waiting(self, partition: int) -> int:
        """How many epochs that others may still close a lane has passed."""
        return sum(partition in lanes for epoch_id, lanes in self._open.items() if epoch_id not in self._outlook.lost)

    def stuck(self, waiting: Collection[int]) -> str | None:
        """Why nothing closes any more, with the remedy, where all lanes of the newest epoch are among those that wait;
        None where some are not.
        """
        if not self._open:
            return None
        newest = marker_of(self._open[max(self._open)])
        if not set(newest.lanes) <= set(waiting):
            return None
        turn, rebase = self._outlook.turn, f"'m0 lane rebase {self._catalog}"
        for epoch_id, lanes in sorted(self._open.items()):
            missing = sorted(set(marker_of(lanes).lanes) - lanes.keys())
            if missing and epoch_id not in self._outlook.lost:
                return (
                    f"the lanes wait for epoch {epoch_id}, of which lane {missing[0]} has said nothing: see it in 'm0 "
                    f"lane list', and where nothing else is wrong begin a new life: {rebase} --partition {missing[0]}'"
                )
        tells = [str(lane) for lane in turn.lanes if self._gaps.get(lane, turn).generation <= turn.generation]
        return (
            f"the lanes wait, and no lane of generation {turn.generation} has said what follows it: see lane "
            f"{' and '.join(tells) or 'list'} in 'm0 lane list', and where nothing else is wrong begin new lives with "
            f"{rebase}'"
        )

    def is_beyond(self, message: LaneMessage) -> bool:
        """Whether a lane says what is not of the past of the epoch last closed. What cannot be read here may be."""
        with suppress(DeadLetterError):
            if message.kind == "generation":
                return decode_body(message.body, Generation).generation >= self._now.generation
            if message.kind == "marker":
                return decode_body(message.body, Marker).epoch_id > self._now.last_epoch
            if message.kind == "prediction":
                return decode_body(message.body, Prediction).epoch_id > self._now.last_epoch
        return message.kind != "rebased"

    def is_next(self, message: LaneMessage) -> bool:
        """Whether a message is a marker of the generation that comes next. What cannot be read here may be."""
        if message.kind != "marker":
            return False
        try:
            return self._is_next(decode_body(message.body, Marker))
        except DeadLetterError:
            return True

    def continue_from(
        self, last_epoch: int, prev_bundle_hash: bytes, turn: Turn, sources: dict[int, SourceEntity]
    ) -> None:
        """Begin behind an epoch that somebody else closed, as replay and newcomers do. `turn` is whose epochs come
        next.
        """
        self._now = CatalogEntity(last_epoch, prev_bundle_hash, *turn)
        self._save()
        for partition, source in sorted(sources.items()):
            self.entities.put(source_key(partition), pack(source))

    def predicted(self, partition: int, said: Prediction) -> None:
        """A lane says a final prediction. Raises DeadLetterError when it makes no leaf."""
        with checked("not_a_leaf"):
            leaf_of(said).encode()
        if said.epoch_id <= self._now.last_epoch:
            return
        place = (market_key(said.market_id), partition)
        self._leaves.setdefault(said.epoch_id, {})[place] = said
        self.entities.put(leaf_key(said.epoch_id, *place), pack((partition, said)))

    def reborn(self, partition: int, begins: Birth) -> list[Closed]:
        """A lane begins a new life behind an epoch: what it said of later ones that are not closed it says again.

        Returns the epochs that closes, ascending: behind a gap some that others waited for are said by nobody.
        """
        epoch_id = begins.payload.epoch_id
        self.entities.put(born_key(partition), begins.event)
        for epoch, lanes in sorted(self._open.items()):
            if epoch > epoch_id and lanes.pop(partition, None) is not None:
                self.entities.drop(closing_key(epoch, partition))
                if not lanes:
                    del self._open[epoch]
        for epoch, leaves in sorted(self._leaves.items()):
            if epoch <= epoch_id:
                continue
            for place in sorted(place for place in leaves if place[1] == partition):
                del leaves[place]
                self.entities.drop(leaf_key(epoch, *place))
        self._note_gap(partition, gap_of(begins.payload))
        # only what was said under a release in force was taken, and what is whole was so before this life
        return self._closed(ZERO)

    def passed(self, partition: int, life: int, release: bytes, marker: Marker, in_force: bytes) -> list[Closed]:
        """A lane passes a marker; the epochs that closes, ascending. Raises Disagreement.

        They are closed under the release `in_force`, with zero bytes under whichever all lanes of each have said it.
        """
        if marker.epoch_id <= self._now.last_epoch:
            return []
        lanes = self._open.setdefault(marker.epoch_id, {})
        for other, before in sorted(lanes.items()):
            if facts(before.marker) != facts(marker):
                raise Disagreement(
                    f"lanes {other} and {partition} of {self._catalog} disagree on generation, lanes, next or set of "
                    f"epoch {marker.epoch_id}"
                )
        lanes[partition] = Passed(marker, life, release)
        self.entities.put(closing_key(marker.epoch_id, partition), pack((partition, lanes[partition])))
        return self._closed(in_force)

    def _note_gap(self, partition: int, gap: Turn | None) -> None:
        self._gaps.pop(partition, None)
        if gap is not None:
            self._gaps[partition] = gap

    def _look(self) -> Outlook:
        return outlook(Turn(self._now.generation, self._now.lanes), self._open, self._gaps)

    def _closed(self, in_force: bytes) -> list[Closed]:
        """Close what can be closed in order of epochs. One that its lanes said under two releases, or under another
        than the one `in_force`, is missed.
        """
        self._outlook = self._look()
        closed: list[Closed] = []
        for epoch_id in self._outlook.whole:
            lanes = self._open[epoch_id]
            marker = marker_of(lanes)
            passed = {partition: lanes[partition] for partition in marker.lanes}
            if _is_under_one(passed, in_force):
                closed.append(self._close(marker, passed))
                # behind an end the next generation tells under what it goes on
                in_force = ZERO if in_force == ZERO or closed[-1].ends else closed[-1].in_force
        if closed:
            self._outlook = self._look()
        return closed

    def _is_next(self, marker: Marker) -> bool:
        return is_due(marker, self._outlook.turn)

    def _close(self, marker: Marker, lanes: dict[int, Passed]) -> Closed:
        epoch_id = marker.epoch_id
        said = self._final_predictions(epoch_id, frozenset(lanes))
        leaves = [leaf_of(prediction).encode() for prediction in said]
        named = [self._header_lane(partition, passed) for partition, passed in sorted(lanes.items())]
        first = lanes[min(lanes)].marker
        states = {(r.partition, s): d for r in named for s, d in enumerate(r.stage_digests, 1)}
        before = {(r.partition, s): d for r in named for s, d in enumerate(r.digests_before or (ZERO, ZERO, ZERO), 1)}
        header = BundleHeader(
            self._catalog,
            epoch_id,
            marker.window_start_ms,
            marker.window_end_ms,
            first.signer_set_id,
            len(leaves),
            MerkleTree([leaf_hash(leaf) for leaf in leaves]).root if leaves else EMPTY_ROOT,
            self._now.prev_bundle_hash,
            model_manifest_hash(LaneModel(r.partition, r.release, r.model_key) for r in named),
            config_hash(marker.set_hash, self._control_key, (LaneConfig(r.partition, r.life, r.rebase) for r in named)),
            input_root({r.partition: r.input_digest for r in named}),
            state_root(states),
        )
        pieces = list(pieces_of(self._catalog, leaves, said))
        is_first = self._now.last_epoch < 0
        message = HeaderMessage(
            self._catalog,
            marker.generation,
            header.encode(),
            self._missed(epoch_id),
            tuple(named),
            tuple(hashlib.sha256(piece).digest() for piece in pieces),
            epoch_id,
            marker.set_hash,
            state_root({} if is_first else before),
        )
        # an epoch without leaves is not in the chain of headers yet
        prev = header.bundle_hash if leaves else self._now.prev_bundle_hash
        self._now = CatalogEntity(epoch_id, prev, *behind(marker))
        self._save()
        self._forget(epoch_id)
        for partition, passed in sorted(lanes.items()):
            source = SourceEntity(passed.life, passed.marker.state_digests)
            self.entities.put(source_key(partition), pack(source))
        release = lanes[min(lanes)].release
        followings = {passed.marker.following for passed in lanes.values()}
        return Closed(pieces, message, marker, release, release if release in followings else max(followings))

    def _final_predictions(self, epoch_id: int, lanes: frozenset[int]) -> list[Prediction]:
        """In order of market keys; of a market that two lanes predict the lowest lane's counts."""
        chosen: dict[bytes, Prediction] = {}
        for (key, partition), said in sorted(self._leaves.get(epoch_id, {}).items(), key=lambda item: item[0]):
            if partition in lanes:
                chosen.setdefault(key, said)
        return [chosen[key] for key in sorted(chosen)]

    def _header_lane(self, partition: int, passed: Passed) -> HeaderLane:
        known = self.entities.get(source_key(partition))
        source = None if known is None else unpack(known, SourceEntity)
        before = source.digests if source is not None and source.life == passed.life else ()
        marker = passed.marker
        return HeaderLane(
            partition,
            passed.life,
            marker.input_digest,
            marker.state_digests,
            before,
            passed.release,
            marker.model_key,
            marker.rebase_hash,
        )

    def _missed(self, epoch_id: int) -> tuple[int, ...]:
        last = self._now.last_epoch
        return () if last < 0 else tuple(range(max(last + 1, epoch_id - MISSED_MAX), epoch_id))

    def _forget(self, epoch_id: int) -> None:
        for epoch in sorted(e for e in self._open if e <= epoch_id):
            for partition in sorted(self._open.pop(epoch)):
                self.entities.drop(closing_key(epoch, partition))
        for epoch in sorted(e for e in self._leaves if e <= epoch_id):
            for place in sorted(self._leaves.pop(epoch)):
                self.entities.drop(leaf_key(epoch, *place))

    def _save(self) -> None:
        self.entities.put(self._key, pack(self._now))


def _is_under_one(lanes: dict[int, Passed], in_force: bytes) -> bool:
    """Whether all lanes of an epoch have said it under one release: the one in force where that is known."""
    releases = {passed.release for passed in lanes.values()}
    return len(releases) == 1 and in_force in (ZERO, *releases)


def facts(marker: Marker) -> tuple[object, ...]:
    """What all lanes of an epoch say alike. What a generation follows is not known to a lane behind a gap."""
    return (
        marker.window_start_ms,
        marker.window_end_ms,
        marker.generation,
        marker.lanes,
        marker.next,
        marker.next_lanes,
        marker.set_hash,
        marker.signer_set_id,
    )


def source_key(partition: int) -> bytes:
    """Where a lane's SourceEntity stands. Raises OverflowError."""
    return entity_key(tags.SOURCE, partition.to_bytes(4, "big"))


def born_key(partition: int) -> bytes:
    """Where the rebase that began a lane's life stands. Raises OverflowError."""
    return entity_key(tags.BORN, partition.to_bytes(4, "big"))


def closing_key(epoch_id: int, partition: int) -> bytes:
    """Where a lane's marker of an epoch stands. Raises OverflowError."""
    return entity_key(tags.CLOSING, epoch_id.to_bytes(8, "big"), partition.to_bytes(4, "big"))


def leaf_key(epoch_id: int, key: bytes, partition: int) -> bytes:
    """Where a lane's prediction of a market, by its key, stands. Raises OverflowError."""
    return entity_key(tags.LEAF, epoch_id.to_bytes(8, "big"), key, partition.to_bytes(4, "big"))
