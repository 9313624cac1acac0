"""A fleet in memory: every stage as processes of its own over topics that remember, which die at any moment.

What is written stays written; what a process had at hand is gone with it. Several may run one stage at the same time.
"""

import random
from collections.abc import Iterable, Sequence

import msgspec
from lanes_world import PARTITIONS
from m0common.canonical import ZERO, state_digest
from m0common.messages import BundlePiece, HeaderMessage, Manifest, StateBatch
from m0common.stream.core import Cut, Letter, Load, Rewind, StageCore, nothing
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import BUNDLES, HEADERS
from m0lanes.checkpoints import gathered
from m0lanes.stages import Heart

_batch = msgspec.msgpack.Decoder(StateBatch).decode
_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_piece = msgspec.msgpack.Decoder(BundlePiece).decode
NAMES = ("normalize", "feature", "model", "bundle")


class Crash(Exception):
    """The process dies here."""


class Topics:
    """What survives."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Record]] = {}
        self.states: dict[tuple[int, int], list[StateBatch]] = {}
        self.manifests: list[Manifest] = []
        self.letters: dict[tuple[str, int, int], tuple[str, str]] = {}
        self.letters_said = 0

    def log(self, topic: str, partition: int) -> list[Record]:
        return self.logs.setdefault((topic, partition), [])

    def keep(self, stage: int, partition: int, values: Sequence[bytes]) -> tuple[int, int]:
        """Append batches of state; returns where they begin and end."""
        log = self.states.setdefault((stage, partition), [])
        first = len(log)
        log += [_batch(value) for value in values]
        return first, len(log)

    def append(self, output: Produce) -> None:
        log = self.log(output.topic, output.partition)
        log.append(Record(output.topic, output.partition, len(log), output.key, output.value, output.headers))

    def newest(self, core: StageCore, partition: int) -> list[Restored]:
        """Of every lane of a core's stage the newest manifest that restores and is sound."""
        stage = core.stage
        lanes: dict[str, list[Manifest]] = {}
        for manifest in self.manifests:
            if (manifest.stage, manifest.partition) == (stage, partition) and core.no_life(manifest) is None:
                lanes.setdefault(manifest.catalog, []).append(manifest)
        found = []
        for _, known in sorted(lanes.items()):
            for manifest in sorted(known, key=lambda m: (m.life, m.position), reverse=True):
                restored = self.restore(manifest)
                if restored is not None and core.unsound(*restored[:2]) is None:
                    found.append(restored)
                    break
        return found

    def restore(self, manifest: Manifest) -> Restored | None:
        log = self.states.get((manifest.stage, manifest.partition), [])
        entities = gathered(manifest, log[manifest.from_offset : manifest.to_offset])
        return Restored(manifest, entities) if state_digest(entities.items()) == manifest.digest else None

    def headers(self) -> dict[tuple[str, int], bytes]:
        """Headers by epoch; two different ones of an epoch are a failure."""
        found: dict[tuple[str, int], bytes] = {}
        for (topic, _), log in sorted(self.logs.items()):
            for record in log if topic == HEADERS.name else ():
                message = _header(record.value)
                place = (message.catalog, message.epoch_id)
                assert found.setdefault(place, message.header) == message.header, f"two headers of {place}"
        return found

    def message(self, epoch_id: int) -> HeaderMessage:
        """What was said of one epoch of a single catalog."""
        said = [_header(r.value) for (topic, _), log in self.logs.items() if topic == HEADERS.name for r in log]
        return next(message for message in said if message.epoch_id == epoch_id)

    def roots(self, partition: int, epoch_id: int, life: int = 0, catalog: str = "coins") -> tuple[list[bytes], int]:
        """What a rebase to an epoch names: the digests of stages 1 to 3, and the raw offset behind its marker."""
        place = (catalog, partition, epoch_id, life)
        known = [m for m in self.manifests if (m.catalog, m.partition, m.epoch_id, m.life) == place]
        at = {m.stage: m for m in known if m.stage < 4}
        return [at[stage].digest for stage in (1, 2, 3)], at[1].input_offset + 1

    def spoil(self) -> None:
        """As if the states of the lane stages had another shape: they restore and mean nothing."""
        for (stage, _), log in self.states.items():
            if stage < 4:
                log[:] = [
                    msgspec.structs.replace(b, entries=tuple((key, value and b"?" + value) for key, value in b.entries))
                    for b in log
                ]
        for number, manifest in enumerate(self.manifests):
            log = self.states[manifest.stage, manifest.partition]
            entities = gathered(manifest, log[manifest.from_offset : manifest.to_offset])
            self.manifests[number] = msgspec.structs.replace(manifest, digest=state_digest(entities.items()))

    def leaves(self) -> int:
        return sum(
            len(_piece(record.value).leaves)
            for (topic, _), log in self.logs.items()
            if topic == BUNDLES.name
            for record in log
        )


class Instance:
    """One process of one stage; `dies` is how likely it dies at each thing it writes."""

    def __init__(self, heart: Heart, stage: int, topics: Topics, rng: random.Random, dies: float = 0.0) -> None:
        self.heart, self.stage, self.topics, self.rng, self.dies = heart, stage, topics, rng, dies
        self.restarts = 0
        self.start()

    def start(self) -> None:
        self.core: StageCore = self._core()
        self.next_offsets: dict[int, int] = {}
        for partition in range(PARTITIONS):
            log = self.topics.log(self.core.input_topic, partition)
            start = self.core.resume(partition, self.topics.newest(self.core, partition), 0, len(log))
            self.next_offsets[partition] = 0 if start is None else start

    def drain(self) -> None:
        """Save every lane as it stands; it may die doing so."""
        try:
            for partition in range(PARTITIONS):
                self._take(self.core.cuts(partition, 0))
        except Crash:
            self.restarts += 1
            self.start()

    def _core(self) -> StageCore:
        make = {1: self.heart.normalize, 2: self.heart.feature, 3: self.heart.model}
        return self.heart.bundle(3) if self.stage == 4 else make[self.stage]()

    def behind(self) -> list[int]:
        return [p for p, at in self.next_offsets.items() if at < len(self.topics.log(self.core.input_topic, p))]

    def turn(self, records: int = 1) -> bool:
        """Read some records of a partition that has any; whether there were some. A crash is followed by a restart."""
        try:
            adopted = self._adopt()
        except Crash:
            self.restarts += 1
            self.start()
            return True
        waiting = self.behind()
        if not waiting:
            return adopted
        partition = self.rng.choice(waiting)
        try:
            for _ in range(records):
                log = self.topics.log(self.core.input_topic, partition)
                at = self.next_offsets[partition]
                if at >= len(log):
                    break
                self._take(self.core.feed(log[at]), 1)
                self.next_offsets[partition] = at + 1
            if self.rng.random() < 0.1:
                self._take(self.core.cuts(partition, 0))
        except Crash:
            self.restarts += 1
            self.start()
        return True

    def _take(self, outputs: Iterable[object], reading: int = 0) -> None:
        """`reading` is 1 while the record at the cursor is being read."""
        rewinds: list[Rewind] = []
        for output in outputs:
            if self.dies and self.rng.random() < self.dies:
                raise Crash
            if isinstance(output, Produce):
                self.topics.append(output)
            elif isinstance(output, Letter):
                place = (output.record.topic, output.record.partition, output.record.offset)
                said = (output.error.error, output.error.reason)
                self.topics.letters_said += 1
                assert self.topics.letters.setdefault(place, said) == said
            elif isinstance(output, Cut):
                self._save(output)
            elif isinstance(output, Rewind):
                rewinds.append(output)
            elif isinstance(output, Load):
                self._take(self.core.loaded(output, self._load(output)), reading)
        for rewind in rewinds:
            self._again(rewind, reading)

    def _load(self, load: Load) -> Restored | None:
        if load.root == ZERO:
            return nothing(load.stage, load.lane)
        wanted = (load.stage, *load.lane, load.epoch_id, load.root)
        known = [m for m in self.topics.manifests if (m.stage, m.catalog, m.partition, m.epoch_id, m.digest) == wanted]
        return next((found for m in reversed(known) if (found := self.topics.restore(m)) is not None), None)

    def _save(self, cut: Cut) -> None:
        log = self.topics.states.setdefault((self.stage, cut.lane.partition), [])
        first = len(log)
        for value in cut.values:
            log.append(_batch(value))
            if self.dies and self.rng.random() < self.dies:
                raise Crash
        self.topics.manifests.append(cut.complete(first, len(log)))

    def _adopt(self) -> bool:
        """Go on with lanes that another build ran up to here."""
        mine = [m for m in self.topics.manifests if self.core.adopts(m)]
        for manifest in sorted(mine, key=lambda m: (m.life, m.position), reverse=True):
            found = self.topics.restore(manifest)
            if found is not None and self.core.adopts(manifest) and self.core.unsound(*found[:2]) is None:
                self._take(self.core.adopt(found))
                return True
        told = {(m.stage, m.catalog, m.partition) for m in self.topics.manifests}
        for lane in sorted(self.core.called()):
            if (self.stage, *lane) not in told:
                self._take(self.core.adopt(nothing(self.stage, lane)))
                return True
        return False

    def _again(self, rewind: Rewind, reading: int) -> None:
        """The lane reader: up to where the partition's cursor is, then it joins."""
        log = self.topics.log(self.core.input_topic, rewind.lane.partition)
        upto = self.next_offsets[rewind.lane.partition] + reading
        for record in list(log[rewind.offset : upto]):
            self._take(self.core.feed(record, rewind.lane), reading)
        self.core.join(rewind.lane)


class Fleet:
    """All stages over one set of topics."""

    def __init__(self, heart: Heart, seed: int = 0, dies: float = 0.0, copies: int = 1) -> None:
        self.topics = Topics()
        self.rng = random.Random(seed)
        self.instances = [
            Instance(heart, stage, self.topics, self.rng, dies) for stage in (1, 2, 3, 4) for _ in range(copies)
        ]

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            log = self.topics.log(record.topic, record.partition)
            assert record.offset == len(log)
            log.append(record)

    def run_until_idle(self, most: int = 20_000) -> None:
        """Run until everybody has read everything."""
        for _ in range(most):
            waiting = [instance for instance in self.instances if instance.behind()]
            if not waiting and not any(instance.turn() for instance in self.instances):
                return
            if waiting:
                self.rng.choice(waiting).turn(self.rng.randrange(1, 6))
        raise AssertionError("it does not come to rest")

    def parked(self) -> list[str]:
        return [r.parked for i in self.instances for r in i.core.reports() if r.parked]
