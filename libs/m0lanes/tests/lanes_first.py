"""Stage 1 alone, with a checkpoint after every record: what it says, and whether it says the same from each of them."""

from collections.abc import Iterable

import msgspec
from lanes_fleet import Topics
from m0common.ids import Lane
from m0common.messages import LaneMessage, Manifest
from m0common.stream.core import Cut, Letter, Output, Rewind
from m0common.stream.records import Produce, Record
from m0common.topics import RAW
from m0lanes.stages import Heart

_message = msgspec.msgpack.Decoder(LaneMessage).decode


class First:
    """A normalize stage over one log. `said` and `letters` grow; saying something else in the same place fails."""

    def __init__(self, heart: Heart, records: Iterable[Record]) -> None:
        self.heart = heart
        self.topics = Topics()
        self.said: dict[tuple[Lane, int], bytes] = {}
        self.letters: dict[tuple[int, int], tuple[str, str]] = {}
        self.after: list[tuple[int, int]] = []
        """Of every manifest the partition and offset of the record behind which it was made."""
        self.rewinds = 0
        self.core = heart.normalize()
        for record in records:
            log = self.topics.log(record.topic, record.partition)
            assert record.offset == len(log)
            log.append(record)
            self._take(self.core.feed(record), record, save=True)
            self._take(self.core.cuts(record.partition, 0), record, save=True)

    def _take(self, outputs: Iterable[Output], record: Record, *, save: bool, core=None) -> None:
        core = core or self.core
        for output in outputs:
            if isinstance(output, Produce):
                message = _message(output.value)
                place = (Lane(message.catalog, message.partition), message.seq)
                if save and place not in self.said:
                    self.said[place] = output.value
                assert self.said[place] == output.value, f"said otherwise: {place}"
            elif isinstance(output, Letter):
                place = (output.record.partition, output.record.offset)
                said = (output.error.error, output.error.reason)
                assert self.letters.setdefault(place, said) == said, f"two letters: {place}"
            elif isinstance(output, Cut) and save:
                self._save(output, record)
            elif isinstance(output, Rewind):
                self.rewinds += 1
                assert list(core.feed(record)) == [], f"{output.lane} follows a cursor that it has left"
                log = self.topics.log(record.topic, record.partition)
                for again in log[output.offset : record.offset + 1]:
                    self._take(core.feed(again, output.lane), record, save=save, core=core)
                core.join(output.lane)

    def _save(self, cut: Cut, record: Record) -> None:
        first, end = self.topics.keep(cut.stage, cut.lane.partition, cut.values)
        self.topics.manifests.append(cut.complete(first, end))
        self.after.append((record.partition, record.offset))

    def saved(self) -> list[Manifest]:
        """Every manifest, but for where in the topic of states its entities are."""
        return [msgspec.structs.replace(m, from_offset=0, to_offset=0) for m in self.topics.manifests]

    def digests(self, core=None) -> dict[Lane, tuple[bytes, int]]:
        """The state digest and the last number said of every lane."""
        core = core or self.core
        cuts = [cut for partition in range(self.heart.deployment.partitions) for cut in core.cuts(partition, -1)]
        return {cut.lane: (made.digest, made.out_seq) for cut in cuts for made in [cut.complete(0, 1)]}

    def check_every_restart(self, step: int = 1) -> int:
        """Restore from the checkpoints after each record in turn and play on; returns how many restarts that were."""
        whole, everything = self.digests(), list(self.topics.manifests)
        last = {place: index for index, place in enumerate(self.after)}
        chosen = sorted(last.items(), key=lambda item: item[1])[::step]
        for (partition, offset), index in chosen:
            self.topics.manifests = everything[: index + 1]
            core = self.heart.normalize()
            log = self.topics.log(RAW.name, partition)
            start = core.resume(partition, self.topics.newest(core, partition), 0, len(log))
            for record in log[offset + 1 if start is None else start :]:
                self._take(core.feed(record), record, save=False, core=core)
            for lane, found in self.digests(core).items():
                assert found == whole[lane], f"{lane} after a restart behind {partition}@{offset}"
        self.topics.manifests = everything
        return len(chosen)
