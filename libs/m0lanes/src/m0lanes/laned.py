"""A stage between two lane topics: exactly the next message of a lane, once; a checkpoint at each marker."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol, TypeVar

import msgspec
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import LaneMessage
from m0common.messages.codec import UNDECODABLE
from m0common.stream.core import Cut, Letter, Load, Output, Taken
from m0common.stream.records import Record
from m0common.stream.restored import Restored

from m0lanes.base import LaneStage, missing_beginning, remedy
from m0lanes.births import Birth, born
from m0lanes.bodies import Generation, Marker, decode_body
from m0lanes.entities import Entities
from m0lanes.packing import pack
from m0lanes.port import Domain
from m0lanes.slots import NO_RELEASE, Slot, State, reborn, restored_slot, runs
from m0lanes.strangers import about, heard

_decoder = msgspec.msgpack.Decoder(LaneMessage)
Said = tuple[str, bytes]


class LaneState(State, Protocol):
    """One lane's state of one stage, and how a message changes it."""

    def generation_said(self, body: Generation, domain: Domain) -> Iterable[Said]:
        """Another generation is in force. What other domains and models, or versions of them, kept is forgotten."""
        ...

    def forget_others(self) -> None:
        """Drop what no domain or model in use keeps: each begins anew where it takes over, and in every stage at one
        place, or one would know what another has forgotten.
        """
        ...

    def step(self, kind: str, raw: msgspec.Raw) -> Iterable[Said]:
        """Any message but markers and generations. Raises DeadLetterError, the state untouched."""
        ...

    def finals(self, marker: Marker) -> Iterable[Said]:
        """What must be said before a marker is forwarded."""
        ...

    def forward(self, marker: Marker) -> Marker:
        """The marker as this stage says it on, without its own digest. The epoch is closed."""
        ...


T = TypeVar("T", bound=LaneState)


def decode_message(value: bytes) -> LaneMessage:
    """The lane message in a value. Raises DeadLetterError."""
    try:
        return _decoder.decode(value)
    except UNDECODABLE as error:
        raise DeadLetterError("not_a_lane_message", str(error)) from error


def _lane(message: LaneMessage, record: Record) -> Lane:
    if message.partition != record.partition:
        where = f"{message.catalog}/{message.partition}"
        raise DeadLetterError("wrong_partition", f"a message of {where} in partition {record.partition}")
    return Lane(message.catalog, message.partition)


class LanedCore(LaneStage[T]):
    """See StageCore."""

    def __init__(
        self,
        new_state: Callable[[Lane, Entities, Mapping[bytes, Domain], bytes], T],
        output: Callable[[Lane], tuple[str, int]],
        domains: Mapping[bytes, Domain],
        deployment: Deployment,
        build: bytes,
    ) -> None:
        super().__init__(build, deployment, domains)
        self._new_state = new_state
        self._output = output
        self._domains = domains
        self._rebases: dict[Lane, tuple[LaneMessage, Birth, Record]] = {}

    def feed(self, record: Record, only: Lane | None = None) -> Iterable[Output]:
        """See StageCore."""
        try:
            message = decode_message(record.value)
            lane = _lane(message, record)
            newborn = born(message, self._deployment) if message.kind == "rebased" else None
            slot = heard(self._slots, lane, message, self._fresh, newborn=newborn is not None)
        except DeadLetterError as error:
            return [Letter(record, error)] if only is None else []
        if newborn is not None:
            return self._rebased(slot, record, message, newborn)
        if not slot.takes(only):
            self._pass_by(slot, message)
            return ()
        if not self._next(slot, record, message):
            return () if slot.parked is None or slot.stranger else [self._cut(slot)]
        begins = slot.position == 1 or slot.retired
        step = self._marker if message.kind == "marker" else self._ordinary
        said = step(slot, record, message)
        return chain(said, self._born(slot)) if begins and not slot.passed else said

    def _ordinary(self, slot: Slot[T], record: Record, message: LaneMessage) -> Iterable[Output]:
        try:
            said = self._step(slot, message)
        except DeadLetterError as error:
            return [Letter(record, error, Taken(slot.lane, slot.position))]
        return [slot.say(kind, body, message.cause, record.headers, record.key) for kind, body in said]

    def _next(self, slot: Slot[T], record: Record, message: LaneMessage) -> bool:
        """Whether the lane has not had this message yet and may take it. A hole parks the lane."""
        life, last = slot.input_seqs.get(message.partition, (0, 0))
        if message.life < life or (message.life == life and message.seq <= last):
            return False
        name = f"{message.catalog}/{message.partition}"
        if message.life > life:
            slot.park(missing_beginning(message))
            return False
        if message.seq > last + 1:
            slot.park(
                f"lane {name} expects message {last + 1} and got {message.seq} at {record.topic}/{record.partition}@"
                f"{record.offset}: {about(slot)}{remedy(slot.lane)}"
            )
            return False
        if message.release != slot.release and message.kind != "generation":
            slot.park(
                f"message {message.seq} of lane {name} is of release {message.release.hex()}, in force is "
                f"{slot.release.hex()}: {remedy(slot.lane)}"
            )
            return False
        slot.input_offset = record.offset
        slot.input_seqs[message.partition] = (message.life, message.seq)
        slot.cause = max(slot.cause, message.cause)
        slot.position += 1
        return True

    def _rebased(self, slot: Slot[T], record: Record, message: LaneMessage, begins: Birth) -> Iterator[Output]:
        """A new life, whatever became of the one before: each stage goes on from its own root."""
        if message.life <= slot.life:
            return
        self._rebases[slot.lane] = (message, begins, record)
        epoch_id, root = begins.payload.epoch_id, begins.root(self.stage)
        yield Load(slot.lane, self.stage, message.life, epoch_id, root, begins.release)

    def _domain_of(self, release: bytes) -> Domain | None:
        return self._domains.get(release)

    def _begin_life(self, slot: Slot[T], found: Restored) -> Iterator[Output]:
        message, begins, record = self._rebases.pop(slot.lane)
        release = begins.release
        entities = self._entities(found, foreign=release not in self._domains)
        state = self._new_state(slot.lane, entities, self._domains, release)
        fresh = reborn(Slot(slot.lane, state, slot.place), found, begins)
        self._slots.add(fresh)
        fresh.input_offset, fresh.position, fresh.cause = record.offset, 1, message.cause
        fresh.input_seqs = {message.partition: (message.life, message.seq)}
        fresh.give(release, self._domains)
        if not fresh.passed:
            state.forget_others()
            yield fresh.say("rebased", bytes(message.body), message.cause, record.headers)
            yield self._cut(fresh)

    def _step(self, slot: Slot[T], message: LaneMessage) -> Iterable[Said]:
        if message.kind != "generation":
            return slot.state.step(message.kind, message.body)
        body = decode_body(message.body, Generation)
        slot.release, slot.retired = message.release, False
        domain = self._domains.get(message.release)
        if domain is None:
            slot.lacks = message.release
            return ()
        return [*slot.state.generation_said(body, domain), (message.kind, bytes(message.body))]

    def _marker(self, slot: Slot[T], record: Record, message: LaneMessage) -> Iterator[Output]:
        try:
            marker = decode_body(message.body, Marker)
        except DeadLetterError as error:
            yield Letter(record, error, Taken(slot.lane, slot.position))
            return
        passed = len(marker.state_digests)
        if passed != self.stage - 1:
            wrong = DeadLetterError("not_a_lane_body", f"Marker: {passed} digests of stages before here")
            yield Letter(record, wrong, Taken(slot.lane, slot.position))
            return
        for kind, body in slot.state.finals(marker):
            yield slot.say(kind, body, message.cause, record.headers)
        forwarded = slot.state.forward(marker)
        digests = (*forwarded.state_digests, slot.state.entities.digest())
        said = msgspec.structs.replace(forwarded, state_digests=digests)
        yield slot.say("marker", pack(said), message.cause, record.headers)
        slot.retired = marker.ends
        yield self._slots.cut(slot, marker.epoch_id, marker.window_end_ms, following=marker.following)
        if marker.following not in (NO_RELEASE, slot.release):
            slot.give(marker.following, self._domains)

    def _cut(self, slot: Slot[T], epoch_id: int | None = None, window_end_ms: int = 0) -> Cut:
        return self._slots.cut(slot, epoch_id, window_end_ms)

    def _fresh(self, lane: Lane, release: bytes = NO_RELEASE) -> Slot[T]:
        slot = Slot(lane, self._new_state(lane, Entities(), self._domains, NO_RELEASE), self._output(lane))
        # its first message brings the release; of another build's lane nothing may be saved here
        slot.give(release, self._domains)
        return slot

    def _restored(self, found: Restored) -> tuple[Slot[T], int]:
        lane = Lane(found.manifest.catalog, found.manifest.partition)
        foreign, release = found.manifest.runner not in self._domains, found.manifest.release
        state = self._new_state(lane, self._entities(found, foreign=foreign), self._domains, release)
        slot = restored_slot(Slot(lane, state, self._output(lane)), found)
        slot.lacks = None if runs(found.manifest, self._domains) else slot.release
        return slot, slot.input_offset + 1
