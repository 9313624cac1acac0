"""Dead letters: one message about a message that cannot be processed, and the limit above which a stage stops.

A bad deploy must not drain a topic into the dead letter queue: above the limit nothing more is dead-lettered, the stage
stops where it is and says so, and a repaired one goes on from there.
"""

from collections import deque

from m0common.errors import DeadLetterError, M0Error
from m0common.messages import DeadLetter, encode
from m0common.stream.records import Produce, Record
from m0common.topics import DLQ

REASON_MAX_CHARS = 1000


class TooManyDeadLetters(M0Error):
    """More messages cannot be processed than the limit allows; the stage stops and keeps the rest."""


def dead_letter(stage: str, record: Record, error: DeadLetterError) -> Produce:
    """What is written to the dead letter queue for `record`."""
    letter = DeadLetter(
        record.topic,
        record.partition,
        record.offset,
        stage,
        error.error,
        error.reason[:REASON_MAX_CHARS],
        record.key,
        record.value,
    )
    return Produce(DLQ.name, 0, record.topic.encode(), encode(letter), record.headers)


class DeadLetterLimit:
    """Counts good and bad messages and refuses a bad one too many."""

    def __init__(self, window: int = 200, max_share: float = 0.5, max_in_a_row: int = 100) -> None:
        self.window = window
        self.max_share = max_share
        self.max_in_a_row = max_in_a_row
        self._recent: deque[bool] = deque(maxlen=window)
        self._bad = 0
        self._in_a_row = 0

    def good(self, count: int = 1) -> None:
        """Count `count` messages that were processed."""
        if not count:
            return
        self._in_a_row = 0
        if self._bad:
            for _ in range(min(count, self.window)):
                self._count(bad=False)
        elif len(self._recent) < self.window:
            self._recent.extend([False] * min(count, self.window))

    def bad(self) -> None:
        """Count a message that cannot be processed. Raises TooManyDeadLetters when it is above the limit."""
        if self._in_a_row + 1 > self.max_in_a_row:
            raise TooManyDeadLetters(f"more than {self.max_in_a_row} messages in a row cannot be processed")
        full = len(self._recent) == self.window
        if full and self._bad - self._recent[0] + 1 > self.max_share * self.window:
            raise TooManyDeadLetters(
                f"more than {self.max_share:.0%} of the last {self.window} messages cannot be processed",
            )
        self._in_a_row += 1
        self._count(bad=True)

    def _count(self, *, bad: bool) -> None:
        if len(self._recent) == self.window:
            self._bad -= self._recent[0]
        self._recent.append(bad)
        self._bad += bad
