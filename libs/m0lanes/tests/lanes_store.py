"""A model of one partition of the state log: lanes that live, die, stand still and begin anew, and who trims it.

The lanes are deterministic: what a lane is at a position of a life follows from its input alone, and the world keeps
it. Processes are what goes wrong: they die between any two messages they write, several run one lane at once, and one
that stalls writes its batches and manifests late. Everything that a rule decides is in `Rules`, so that a wrong rule
can be put in its place.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from m0common.canonical import state_digest
from m0common.messages import Manifest, StateBatch
from m0lanes.checkpoints import Beginnings, batches, gathered
from m0lanes.entities import Entities, Entry

_decode = msgspec.msgpack.Decoder(StateBatch).decode
PARTITION = 3
KEYS = [b"k%d" % n for n in range(10)]
BATCH_BYTES = 190  # a few entries
HORIZON = 6
"""So many windows a manifest is promised."""
State = dict[bytes, bytes]


class LaneName(NamedTuple):
    stage: int
    catalog: str


class Op(NamedTuple):
    """One input message: what it sets or deletes, or the marker that ends a window."""

    changes: tuple[tuple[bytes, bytes | None], ...]
    window_end_ms: int | None


class Life:
    """One life of a lane: its input, and what it is at every position."""

    def __init__(self, base: State) -> None:
        self.ops: list[Op] = []
        self.states: list[State] = [dict(base)]

    def append(self, op: Op) -> None:
        state = dict(self.states[-1])
        for key, value in op.changes:
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        self.ops.append(op)
        self.states.append(state)


class Written(NamedTuple):
    """A manifest in the log, and what the log's state began at then."""

    manifest: Manifest
    lane: LaneName
    age: tuple[int, int, int]
    """Life, position and the offset of the manifest: orders those of a lane."""
    begin: int


Gather = Callable[[Manifest, Iterable[StateBatch]], State]
Promise = Callable[[list[Written], int], set[Written]]


def promised(known: list[Written], newest_window: int) -> set[Written]:
    """Younger than the horizon by window end, and each lane's newest."""
    newest = {w.lane: w for w in sorted(known, key=lambda w: w.age)}
    return set(newest.values()) | {w for w in known if w.manifest.window_end_ms > newest_window - HORIZON}


@dataclass(frozen=True)
class Rules:
    """What is under test, each part to be replaced by a wrong one."""

    gather: Gather = gathered
    beginnings: type[Beginnings] = Beginnings
    entities: type[Entities] = Entities
    keeps: Promise = promised
    """What whoever trims leaves whole."""
    carries: bool = True
    notices: bool = True
    """Whether a process hears where the state begins before it makes a checkpoint."""
    whole_life: bool = True
    """Whether a new life begins with a whole checkpoint."""


@dataclass
class Process:
    """One process that runs one lane. What it is about to write is in `writing`."""

    name: LaneName
    life: int
    entities: Entities
    beginnings: Beginnings
    position: int = 0
    window_end_ms: int = 0
    heard: int = 0
    """Where it knows the state to begin."""
    writing: Iterator[None] | None = None


@dataclass
class Log:
    """A partition of a state topic."""

    batches: list[StateBatch] = field(default_factory=list)
    begin: int = 0

    def range(self, start: int, end: int) -> list[StateBatch] | None:
        return None if start < self.begin else self.batches[start:end]


class World:
    """The partition and everybody in it."""

    def __init__(self, seed: int, shares: int, rules: Rules) -> None:
        self.rng = random.Random(seed)
        self.shares, self.rules = shares, rules
        self.lanes = {LaneName(stage, catalog): [Life({})] for stage in (1, 2) for catalog in ("a", "b")}
        self.logs = {1: Log(), 2: Log()}
        self.manifests: list[Written] = []
        self.window = 0
        self.silent: dict[LaneName, int] = {}
        """Lanes that stand still, and until which window."""
        self.best: dict[LaneName, tuple[int, int]] = {}
        """By lane the newest life and position that a whole manifest was written of."""
        self.processes = {name: self.start(name) for name in self.lanes}
        self.stalled: list[Process] = []
        """Those that somebody has taken the place of; they go on, later and slower."""
        self.trims = self.carried = self.late = 0

    # --- the log -----------------------------------------------------------------------------------------------------

    def say(self, stage: int, value: bytes) -> int:
        log = self.logs[stage]
        log.batches.append(_decode(value))
        return len(log.batches) - 1

    def complete(self, manifest: Manifest) -> Written:
        assert manifest.digest == state_digest(self.truth(manifest).items())
        place = (manifest.life, manifest.position)
        lane, begin = LaneName(manifest.stage, manifest.catalog), self.logs[manifest.stage].begin
        written = Written(manifest, lane, (*place, len(self.manifests)), begin)
        self.manifests.append(written)
        if manifest.from_offset >= begin:
            self.best[written.lane] = max(self.best.get(written.lane, place), place)
        return written

    def restore(self, manifest: Manifest) -> State | None:
        """What the log holds of a manifest, None when it is not what its digest says."""
        found = self.logs[manifest.stage].range(manifest.from_offset, manifest.to_offset)
        if found is None:
            return None
        state = self.rules.gather(manifest, found)
        return state if state == self.truth(manifest) else None

    def truth(self, manifest: Manifest) -> State:
        return self.lanes[manifest.stage, manifest.catalog][manifest.life].states[manifest.position]

    def newest(self, name: LaneName) -> tuple[Manifest, State] | None:
        for written in sorted((w for w in self.manifests if w.lane == name), key=lambda w: w.age, reverse=True):
            state = self.restore(written.manifest)
            if state is not None:
                return written.manifest, state
        return None

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, name: LaneName) -> Process:
        """A process that goes on from the newest state that restores, or begins its lane's life."""
        found, life = self.newest(name), len(self.lanes[name]) - 1
        if found is None:
            assert name not in self.best, f"nothing restores of {name}"
            return self.begun(name, life)
        manifest, state = found
        if manifest.life < life:
            return self.begun(name, life)
        beginnings = self.rules.beginnings(self.shares)
        beginnings.inherit(manifest)
        process = Process(
            name, manifest.life, self.rules.entities(state.items(), self.shares), beginnings, manifest.position
        )
        process.heard = self.logs[name.stage].begin
        process.window_end_ms = manifest.window_end_ms
        return process

    def begun(self, name: LaneName, life: int) -> Process:
        base = self.lanes[name][life].states[0]
        return Process(name, life, self.rules.entities(base.items(), self.shares), self.rules.beginnings(self.shares))

    def advance(self, process: Process) -> None:
        """Take one input message, or go over to the lane's next life."""
        name, life = process.name, self.lanes[process.name][process.life]
        if process.life < len(self.lanes[name]) - 1:
            if process.position == len(life.ops) or self.rng.random() < 0.3:
                fresh = self.begun(name, process.life + 1)
                process.life, process.entities, process.position = fresh.life, fresh.entities, 0
                process.beginnings = fresh.beginnings if self.rules.whole_life else process.beginnings
                return
        elif process.position == len(life.ops):
            if name in self.silent:
                return
            life.append(self.input())
        op = life.ops[process.position]
        for key, value in op.changes:
            if value is None:
                process.entities.drop(key)
            else:
                process.entities.put(key, value)
        process.position += 1
        process.window_end_ms = op.window_end_ms or 0
        if op.window_end_ms is not None or self.rng.random() < 0.3:
            process.writing = self.cut(process)

    def input(self) -> Op:
        rng = self.rng
        if rng.random() < 0.4:
            self.window += 1
            return Op(self.changes(1), self.window)
        return Op(self.changes(rng.choice((0, 1, 1, 2, 4))), None)

    def changes(self, count: int) -> tuple[tuple[bytes, bytes | None], ...]:
        keys = self.rng.sample(KEYS, count)
        return tuple((key, None if self.rng.random() < 0.4 else self.rng.randbytes(20)) for key in keys)

    def cut(self, process: Process) -> Iterator[None]:
        """A checkpoint, message by message. Now and then a send is not acknowledged and everything is sent again."""
        name, position, heard = process.name, process.position, process.heard
        if self.rules.notices:
            process.beginnings.trimmed(heard)
        whole = process.beginnings.whole_next
        entries = process.entities.unsaid(whole=whole)
        digest = process.entities.digest()
        values = batches(name.catalog, PARTITION, process.life, position, entries, BATCH_BYTES)
        first = None
        while first is None:
            for value in values:
                offset = self.say(name.stage, value)
                first = offset if first is None else first
                yield
            if self.rng.random() < 0.05:
                first = None
        end = len(self.logs[name.stage].batches)
        yield
        start = process.beginnings.began(position, first, whole=whole)
        manifest = Manifest(
            stage=name.stage, catalog=name.catalog, partition=PARTITION, life=process.life, generation=1,
            position=position, epoch_id=process.window_end_ms or None, digest=digest, out_seq=0, input_offset=0,
            input_seqs=(), held_from=None, held_end=0, from_position=start[0], from_offset=start[1], to_offset=end,
            release=bytes(32), build=bytes(32), entities=process.entities.count, bytes=process.entities.bytes,
            window_end_ms=process.window_end_ms,
        )  # fmt: skip
        written = self.complete(manifest)
        if manifest.from_offset < written.begin:
            self.late += 1
            assert heard < written.begin, f"{name} knew better than to write {manifest}"

    # --- trimming ----------------------------------------------------------------------------------------------------

    def kept(self) -> list[Written]:
        return [w for w in self.manifests if w.manifest.from_offset >= self.logs[w.manifest.stage].begin]

    def trim(self) -> None:
        """Carry forward what stands still, then cut what nothing promised needs."""
        known = self.kept()
        if not known:
            return
        now = max(w.manifest.window_end_ms for w in known)
        young = [w.age[-1] for w in known if w.manifest.window_end_ms > now - HORIZON]
        newest = {w.lane: w for w in sorted(known, key=lambda w: w.age)}
        for written in newest.values() if self.rules.carries else ():
            if written.age[-1] < min(young):
                self.carry(written.manifest)
        keeps = self.rules.keeps(self.kept(), now)
        for stage, log in self.logs.items():
            cut = min((w.manifest.from_offset for w in keeps if w.manifest.stage == stage), default=log.begin)
            self.trims += cut > log.begin
            log.begin = max(log.begin, cut)

    def carry(self, manifest: Manifest) -> None:
        state = self.restore(manifest)
        assert state is not None, f"the newest does not restore: {manifest}"
        entries = [Entry(key, value) for key, value in sorted(state.items())]
        place = (manifest.catalog, manifest.partition, manifest.life, manifest.position)
        offsets = [self.say(manifest.stage, value) for value in batches(*place, entries, BATCH_BYTES)]
        copied = {"from_position": manifest.position, "from_offset": offsets[0], "to_offset": offsets[-1] + 1}
        self.complete(msgspec.structs.replace(manifest, **copied))
        self.carried += 1

    # --- what happens ------------------------------------------------------------------------------------------------

    def step(self) -> None:
        rng = self.rng
        late = bool(self.stalled) and rng.random() < 0.15
        process = rng.choice(self.stalled if late else list(self.processes.values()))
        chance = rng.random()
        if chance < 0.02:
            if late:
                self.stalled.remove(process)
            else:  # it dies, wherever it is, and comes again
                self.processes[process.name] = self.start(process.name)
        elif chance < 0.04 and not late and len(self.stalled) < 4:
            self.stalled.append(process)
            self.processes[process.name] = self.start(process.name)
        elif chance < 0.045 and len(self.silent) < len(self.lanes) - 1:
            self.silent.setdefault(process.name, self.window + rng.randrange(1, 4 * HORIZON))
        elif chance < 0.048:
            self.rebase(process.name)
        elif chance < 0.08:
            self.trim()
            self.check()
        elif chance < 0.2:
            process.heard = self.logs[process.name.stage].begin
        elif process.writing is not None:
            if next(process.writing, self) is self:
                process.writing = None
        else:
            self.advance(process)
        self.silent = {name: until for name, until in self.silent.items() if until > self.window}

    def rebase(self, name: LaneName) -> None:
        """A new life, from a state at some marker that restores."""
        marked = [w.manifest for w in self.kept() if w.lane == name and w.manifest.epoch_id is not None]
        if marked:
            self.lanes[name].append(Life(self.truth(self.rng.choice(marked))))

    # --- what is claimed ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every promised manifest is what its lane was at its position, and no lane ever goes back."""
        whole = [w for w in self.manifests if w.manifest.from_offset >= w.begin]
        now = max((w.manifest.window_end_ms for w in whole), default=0)
        for written in promised(whole, now):
            assert self.restore(written.manifest) is not None, f"not restored: {written.manifest}"
        for name, best in self.best.items():
            found = self.newest(name)
            assert found is not None, f"nothing restores of {name}"
            assert (found[0].life, found[0].position) >= best, f"{name} goes back from {best}"

    def run(self, steps: int) -> "World":
        for _ in range(steps):
            self.step()
        self.trim()
        self.check()
        return self
