"""Stage 1, one lane: the generations it knows, the window that is open, what waits for a later one."""

from collections.abc import Mapping

import msgspec
from m0common.canonical import ZERO, LaneDigest, set_hash
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import Manifest, RawEvent
from m0common.messages.types import U32, CountOrNone, Digest, Millis

from m0lanes import tags
from m0lanes.applied import Applier, Said
from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.bodies import Generation as GenerationBody
from m0lanes.bodies import Marker
from m0lanes.control import EPOCH_END, CatalogSetPayload, EpochEndPayload, NextGeneration, RebasePayload
from m0lanes.entities import Entities, entity_key
from m0lanes.generations import SIGNER_SET_ID, Generation
from m0lanes.holding import Held, Holding, Refill
from m0lanes.packing import pack, unpack
from m0lanes.place import Place, counts, joined, named
from m0lanes.port import Domain
from m0lanes.set_rules import LaneStanding, check_said_set, check_signer, dropped_by
from m0lanes.view import forget_others, owner_of

_JOINS = entity_key(tags.JOINS)


class LaneEntity(msgspec.Struct, frozen=True, array_like=True):
    """The lane as a whole. `pending` is the generation that the newest marker named as next, until it is in force."""

    generation: U32 = 0
    set_hash: Digest = ZERO
    last_epoch: CountOrNone = -1
    last_end_ms: Millis = 0
    input_digest: Digest = ZERO
    pending: tuple[U32, Digest] | None = None
    control_key: Digest = ZERO
    retired: bool = False
    follows: U32 = 0
    """See Marker."""


class NormalizeState:
    """One lane's canonical state."""

    def __init__(
        self, lane: Lane, entities: Entities, deployment: Deployment, held_bytes: int | None, entities_max: int
    ) -> None:
        self.lane = lane
        self.entities = entities
        self._deployment = deployment
        self._key = entity_key(tags.LANE)
        known = entities.get(self._key)
        self._lane = LaneEntity(control_key=deployment.control_key) if known is None else unpack(known, LaneEntity)
        self.digest = LaneDigest(self._lane.input_digest)
        """Of what was applied since the last marker."""
        self.sets: dict[tuple[int, bytes], Generation] = {}
        for _, value in entities.each(entity_key(tags.SET)):
            found = Generation.of(msgspec.json.decode(value, type=CatalogSetPayload), value)
            self.sets[found.number, found.hash] = found
        self.applier = Applier(entities, lane.catalog, self._deployment.genesis_hash, entities_max)
        self.holding = Holding(held_bytes)
        self.refill: Refill | None = None
        """What it reads again, as long as it does."""
        self.missing: tuple[int, bytes] | None = None
        """The number and hash of the set that it is parked for want of."""
        signed = entities.get(_JOINS)
        self.joins = None if signed is None else unpack(signed, tuple[U32, Digest])
        """The set that was in force when a gap was declared that the lane is behind, number 0 where none was; it works
        with none until it goes on with that one or a later one.
        """
        self.place = self._place()
        self.kept: bytes | None = None
        """The release of this life where the lane reads what stood in the log before its rebase: generations that took
        force there did so under another one.
        """

    # --- where it stands ---------------------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """The generation in force, 0 before the first."""
        return self._lane.generation

    @property
    def last_epoch(self) -> int:
        """The newest epoch whose marker was read, -1 before the first."""
        return self._lane.last_epoch

    @property
    def last_end_ms(self) -> int:
        """Where the newest closed window ends."""
        return self._lane.last_end_ms

    @property
    def in_force(self) -> Generation | None:
        """The generation that this lane works with; None before the first and after the last."""
        return self.place.generation

    @property
    def known_groups(self) -> frozenset[str]:
        """The groups of the generation in force, and of those before it that something held was read under."""
        if self.in_force is None:
            return frozenset()
        return frozenset[str]().union(*(made.groups for made in self._so_far()))

    def _place(self) -> Place:
        lane = self._lane
        ended = lane.retired or self.joins is not None
        now = None if ended else self.sets.get((lane.generation, lane.set_hash))
        return Place(now, lane.last_epoch, lane.last_end_ms)

    def _so_far(self) -> list[Generation]:
        """The generations that were in force since the first held event, the one in force last."""
        return [made for _, made in sorted(self.sets.items()) if made.number <= self._lane.generation]

    @property
    def retired(self) -> bool:
        """Whether the lane has ended."""
        return self._lane.retired and self.joins is None

    @property
    def ends(self) -> bool:
        """Whether it ends where the pending generation takes force."""
        pending = self._lane.pending
        return pending is not None and self.lane.partition not in self.sets[pending].lanes

    @property
    def pending(self) -> tuple[int, bytes] | None:
        """What the newest marker named as next and is not in force yet."""
        return self._lane.pending

    def _set(self, **changes: object) -> None:
        self._lane = msgspec.structs.replace(self._lane, **changes)
        self.write_back()
        self.place = self._place()

    def write_back(self) -> None:
        """Write what is kept at hand into entities: before a digest or a checkpoint."""
        self.applier.write_back()
        if self._lane.input_digest != self.digest.value:
            self._lane = msgspec.structs.replace(self._lane, input_digest=self.digest.value)
        self.entities.put(self._key, pack(self._lane))

    # --- control -----------------------------------------------------------------------------------------------------

    def define(self, event: RawEvent, payload: CatalogSetPayload) -> bool:
        """Take in a `catalog_set`; False when it is a repeat. Raises DeadLetterError."""
        raw = bytes(event.payload)
        hashed = set_hash(raw)
        if (payload.generation, hashed) in self.sets:
            return False
        made = Generation(payload, hashed)
        event_id = check_said_set(event, made, self.lane, self._standing(), self._deployment)
        self.sets[made.number, made.hash] = made
        self.entities.put(set_key(made.number, made.hash), raw)
        self.digest.add(event_id)
        self.write_back()
        return True

    def check_rebase(self, event: RawEvent, payload: RebasePayload) -> None:
        """Raises DeadLetterError unless the control key in force, or one that it vouches for, begins a new life."""
        if event.group or event.market_id is not None:
            raise DeadLetterError("invalid_event", "rebase: group is empty and market_id null, it is about a lane")
        check_signer(event, payload, self._lane.control_key, self._deployment)

    def _standing(self) -> LaneStanding:
        lane = self._lane
        last = self.sets.get((lane.generation, lane.set_hash))
        epoch_ms = None if last is None else last.payload.epoch_ms
        waiting = len(self.sets) - len(self._so_far())
        works = self.in_force is not None
        return LaneStanding(lane.control_key, lane.generation, epoch_ms, waiting, self.missing, works)

    def counts(self, event: RawEvent, payload: EpochEndPayload, place: Place | None = None) -> bool:
        """See m0lanes.place.counts; `place` is where the lane stands, unless another is given."""
        return counts(self.lane, place or self.place, self.sets, event, payload, self._deployment.genesis_hash)

    def joined(self, event: RawEvent, payload: EpochEndPayload) -> tuple[int, bytes] | None:
        """See m0lanes.place.joined; the lane is behind a gap."""
        assert self.joins is not None
        genesis_hash = self._deployment.genesis_hash
        return joined(self.lane, self.joins, self.last_epoch, self.sets, event, payload, genesis_hash)

    def begin_behind_gap(self, in_force: NextGeneration | None) -> None:
        """Records in front of the lane are gone: it works with nothing until it comes into the set that was in force
        when that was declared, unless that is the one it works with already.
        """
        lane, key = self._lane, named(in_force) or (0, ZERO)
        if key == (lane.generation, lane.set_hash) or (key[0] == 0 and lane.generation > 0):
            return
        self.joins = key
        self.entities.put(_JOINS, pack(key))
        self.place = self._place()

    def come_in(self, payload: EpochEndPayload, key: tuple[int, bytes]) -> None:
        """Behind the gap the lane goes on with a set from this marker on."""
        self.joins = None
        self.entities.drop(_JOINS)
        self.digest = LaneDigest()
        self._set(
            last_epoch=payload.epoch_id,
            last_end_ms=payload.window_end_ms,
            pending=key,
            input_digest=ZERO,
            follows=0,
        )

    def is_clock(self, event: RawEvent) -> bool:
        """Whether a clock of the generations that are known here signed a marker."""
        event_id = identity(event)
        keys = {key for made in self.sets.values() if (key := made.key_of(event.source, EPOCH_END)) is not None}
        return any(is_signed_by(event, event_id, self._deployment.genesis_hash, key) for key in sorted(keys))

    def behind(self, place: Place, payload: EpochEndPayload) -> Place:
        """The place behind a marker that counts at `place`."""
        key = named(payload.next)
        now = place.generation if key is None else self.sets.get(key)
        return Place(now, payload.epoch_id, payload.window_end_ms)

    # --- epochs ------------------------------------------------------------------------------------------------------

    def note(self, payload: EpochEndPayload) -> None:
        """The epoch is closed, its digest taken; from here on its end is behind us."""
        self.digest = LaneDigest()
        follows = self._lane.follows
        if payload.next is not None and self.in_force is None and self.lane.partition in payload.lanes:
            follows = 0
        elif payload.next is not None:
            follows = payload.next.generation if payload.lanes else payload.generation
        self._set(
            last_epoch=payload.epoch_id,
            last_end_ms=payload.window_end_ms,
            pending=named(payload.next),
            input_digest=ZERO,
            follows=follows,
        )

    def take(self, below_ms: int) -> list[Held]:
        """The held events at hand dated before `below_ms`, in the order of the log; they are held no longer."""
        due = self.holding.take(below_ms)
        self._forget_sets_before_held()
        return due

    def take_beyond(self, since_ms: int, below_ms: int, until: int, *, at_marker: bool = False) -> Refill | None:
        """What must be read again up to offset `until`, since events dated from `since_ms` on and before `below_ms` are
        held that are not at hand; from here on. None when there are none. `at_marker`: see Refill.
        """
        beyond = self.holding.take_beyond(below_ms)
        if beyond is None:
            return None
        self.refill = Refill(beyond.offset, until, since_ms, beyond.place, due_ms=below_ms, at_marker=at_marker)
        return self.refill

    def closing(self, payload: EpochEndPayload, rebase_hash: bytes) -> Marker:
        """The marker that closes an epoch; call `note` before the state is digested, with the input digest kept."""
        now, following = self.in_force, named(payload.next)
        assert now is not None
        return Marker(
            payload.epoch_id,
            payload.window_start_ms,
            payload.window_end_ms,
            payload.generation,
            self._lane.follows,
            payload.lanes,
            following,
            () if following is None else self.sets[following].lanes,
            self._follower(following),
            now.hash,
            rebase_hash,
            now.params.get(SIGNER_SET_ID, 0),
            self.digest.value,
            ZERO,
            (),
        )

    def _follower(self, following: tuple[int, bytes] | None) -> bytes:
        made = None if following is None else self.sets[following]
        return self.release_of(made) if made is not None and self.lane.partition in made.lanes else ZERO

    def release_of(self, made: Generation) -> bytes:
        """The release that runs the lane in a generation that takes force where it reads."""
        return made.release if self.kept is None else self.kept

    @property
    def follower(self) -> bytes:
        """The release that runs the lane in the pending generation, zero bytes when none is pending or it ends."""
        return self._follower(self._lane.pending)

    def activate(self, domains: Mapping[bytes, Domain]) -> list[Said] | None:
        """Put the pending generation in force; None when nothing is pending or the lane ends."""
        if self._lane.pending is None:
            return None
        made = self.sets[self._lane.pending]
        before, reopened = self._lane.generation, self._lane.retired or self._lane.generation == 0
        ended = self.lane.partition not in made.lanes
        keys = control_keys(self._deployment.control_key, self._deployment.genesis_hash, made.payload.certificates)
        self._set(
            generation=made.number,
            set_hash=made.hash,
            pending=None,
            control_key=keys[-1],
            retired=ended,
        )
        for other in dropped_by(made, before, [each for _, each in sorted(self.sets.items())]):
            self._drop_set((other.number, other.hash))
        if ended:
            self.applier.close_all()
            self._forget_sets(made.number)
            return None
        if reopened:
            self.applier.close_all()
        said: list[Said] = [("generation", pack(_body(made, reopened=reopened)))]
        said += self.applier.close_others(made.groups)
        release = self.release_of(made)
        self.use(domains, release)
        self.forget_others(domains[release])
        return said

    def forget_others(self, domain: Domain) -> None:
        """Drop the entities of every domain, or version of one, but the one in use, as the stages behind do."""
        forget_others(self.entities, tags.DOMAIN, owner_of(domain))

    def read_again(self, manifest: Manifest) -> Refill | None:
        """What must be read again to stand where the manifest does, from here on; None when nothing must."""
        # at a marker, and where a life begins behind one, the manifest was made before what follows from that
        begins_life = manifest.life > 0 and manifest.position == 0
        at_marker = manifest.epoch_id is not None or self.pending is not None or begins_life
        if manifest.held_from is None and (begins_life or not at_marker):
            return None
        below_ms = self.last_end_ms if at_marker else self.place.open_end_ms
        so_far = self._so_far()
        held = manifest.held_from is not None and so_far
        place = Place.of_window(so_far[0], manifest.held_end) if held else self.place
        since = manifest.input_offset if manifest.held_from is None else manifest.held_from
        self.refill = Refill(since, manifest.input_offset, below_ms, place, at_marker=at_marker)
        return self.refill

    def refilling(self, offset: int) -> Refill | None:
        """What is read again at this offset; None when it lies behind that."""
        if self.refill is not None and offset > self.refill.until:
            self.refilled()
        return self.refill

    def refilled(self) -> None:
        """It holds again what it held."""
        self.refill = None
        self._forget_sets_before_held()

    def use(self, domains: Mapping[bytes, Domain], release: bytes) -> None:
        """Take the domain of the release that decides the lane, when it is here."""
        now = self.in_force
        domain = domains.get(release)
        if now is not None and domain is not None:
            self.applier.use(now, domain)

    def _forget_sets_before_held(self) -> None:
        """Drop the generations that no held event was read under, nor is in force."""
        first = self.holding.first()
        oldest = None if first is None else first.place.generation
        self._forget_sets(self._lane.generation if oldest is None else oldest.number)

    def _forget_sets(self, below: int) -> None:
        """Drop the generations with numbers below this one."""
        for key in sorted(self.sets):
            if key[0] < below:
                self._drop_set(key)

    def _drop_set(self, key: tuple[int, bytes]) -> None:
        del self.sets[key]
        self.entities.drop(set_key(*key))


def set_key(number: int, hashed: bytes) -> bytes:
    """Where the payload of a generation stands, by its number and hash."""
    return entity_key(tags.SET, number.to_bytes(4, "big"), hashed)


def _body(made: Generation, *, reopened: bool) -> GenerationBody:
    payload = made.payload
    return GenerationBody(
        made.number,
        made.hash,
        payload.epoch_ms,
        payload.domain.name,
        payload.domain.version,
        made.release,
        payload.model,
        tuple(sorted(payload.params.items())),
        reopened,
    )
