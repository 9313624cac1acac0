"""The side of before.py that is this tree: what stages.py runs, and asides behind every turn."""

import time
from collections.abc import Callable, Sequence

import msgspec
from m0common.messages import LaneMessage
from m0common.stream.core import StageCore
from m0common.stream.records import Produce, Record
from m0common.topics import PROVISIONAL, PROVISIONAL_ROWS
from observed import MARKETS
from raw_log import RawLog, heart
from stages import decoder, feed
from turns import FIRST, Lane, serve
from turns import PROVISIONAL as UNDECIDED

ASIDE = {PROVISIONAL_ROWS.name: UNDECIDED + "feature_row", PROVISIONAL.name: UNDECIDED + "prediction"}


class Today:
    """See Side."""

    def __init__(self) -> None:
        self._heart = heart()
        self._message = msgspec.msgpack.Decoder(LaneMessage)

    def begin(self, domain: str, events: int) -> Lane:
        """See Side."""
        log = RawLog(self._heart, domain, FIRST)
        cores = (self._heart.normalize(), self._heart.feature(), self._heart.model())
        head = [*log.begin(), *log.open(MARKETS), *log.events(200, MARKETS), log.end()]
        return Lane(cores, head, [*log.events(events, MARKETS, 1)], log.end(1))

    def feed(self, core: StageCore, records: Sequence[Record]) -> tuple[float, list[Record]]:
        """See Side. Behind the records the questions among them are answered and the stage's own asides said."""
        questions = [record for record in records if record.topic == PROVISIONAL_ROWS.name]
        spent, said = feed(core, [record for record in records if record.topic != PROVISIONAL_ROWS.name])
        since = time.process_time()
        asides: list[Produce] = [answer for question in questions for answer in core.answer(question)]
        asides.extend(core.asides())
        spent += time.process_time() - since
        return spent, said + [Record(p.topic, p.partition, 0, p.key, p.value, p.headers) for p in asides]

    def decoder(self, topic: str) -> Callable[[bytes], object]:
        """See Side."""
        return decoder(topic)

    def kind(self, record: Record) -> str:
        """See Side."""
        return ASIDE.get(record.topic) or self._message.decode(record.value).kind


if __name__ == "__main__":
    serve(Today())
