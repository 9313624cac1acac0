"""What the heart makes of the golden log. `python golden_run.py` writes it to standard output, as any interpreter may.

`python golden_run.py --write` makes the log and its outcome anew: after a change that is meant to change bytes.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from golden_log import CRYPTO_RELEASE, SPORTS_RELEASE, Golden, golden_log
from m0common.canonical import BundleHeader, leaf_hash
from m0common.stream.records import Record
from m0common.topics import RAW
from m0domains.crypto import DOMAIN as CRYPTO
from m0domains.sports import DOMAIN as SPORTS
from m0lanes.pipeline import ClosedEpoch
from m0lanes.stages import Heart
from m0replay.restarts import Restarting, Said

LOG, OUTCOME = Path(__file__).with_name("raw.jsonl"), Path(__file__).with_name("outcome.json")
HEART = Heart(Golden().log.deployment, {SPORTS_RELEASE: SPORTS, CRYPTO_RELEASE: CRYPTO}, bytes([20]) * 32)
STAGES = ("normalize", "feature", "model", "bundle")


def read(text: str) -> Iterator[Record]:
    """The records of a log as text."""
    for line in text.splitlines():
        partition, offset, append_ms, value = json.loads(line)
        yield Record(RAW.name, partition, offset, None, value.encode("latin-1"), (), append_ms)


class Run:
    """The log run through a pipeline, which is restarted behind each epoch that closes when asked to."""

    def __init__(self, records: Iterable[Record], heart: Heart = HEART, *, restarts: bool = False) -> None:
        self.said = Said()
        self.pipeline = Restarting(heart, [self.said])
        self.closed: list[ClosedEpoch] = []
        self.restarts = 0
        for record in records:
            closed = self.pipeline.feed(record)
            self.closed += closed
            if closed and restarts:
                self.pipeline.restart()
                self.restarts += 1
        assert self.pipeline.parked == []
        assert self.said.otherwise == []
        assert self.said.faults == []

    def outcome(self) -> dict[str, Any]:
        """As it is committed: JSON of many shapes."""
        count = {stage: sum(place[0] == stage for place in self.said.messages) for stage in STAGES}
        return {
            "stages": {stage: [count[stage], self.said.digest(stage).hex()] for stage in STAGES},
            "letters": [[*where, code] for where, (code, _) in sorted(self.said.letters.items())],
            "epochs": [_epoch(closed) for closed in self.closed],
        }

    def reasons(self) -> list[str]:
        """What the letters say, in order of their records; not committed, since words may change."""
        return [reason for _, (_, reason) in sorted(self.said.letters.items())]


def told() -> dict[str, Any]:
    """All that can be compared between interpreters: one run straight on, and one restarted behind every epoch."""
    records = list(read(LOG.read_text()))
    runs = [Run(records), Run(records, restarts=True)]
    return {"outcomes": [run.outcome() for run in runs], "reasons": [run.reasons() for run in runs]}


def _epoch(closed: ClosedEpoch) -> dict[str, Any]:
    message, header = closed.header, BundleHeader.decode(closed.header.header)
    return {
        "catalog": message.catalog,
        "epoch_id": message.epoch_id,
        "generation": message.generation,
        "header": message.header.hex(),
        "bundle_hash": header.bundle_hash.hex(),
        "merkle_root": header.merkle_root.hex(),
        "input_root": header.input_root.hex(),
        "state_root_before": message.state_root_before.hex(),
        "state_root": header.state_root.hex(),
        "missed": list(message.missed),
        "lanes": [
            [lane.partition, lane.life, lane.input_digest.hex(), [digest.hex() for digest in lane.stage_digests]]
            for lane in message.lanes
        ],
        "leaves": [
            [market, model, leaf_hash(leaf).hex()]
            for market, model, leaf in zip(closed.market_ids, closed.models, closed.leaves, strict=True)
        ],
    }


def main() -> None:
    """See above."""
    if "--write" in sys.argv:
        LOG.write_text(golden_log())
        OUTCOME.write_text(json.dumps(Run(read(LOG.read_text())).outcome(), indent=1) + "\n")
    else:
        json.dump(told(), sys.stdout)


if __name__ == "__main__":
    main()
