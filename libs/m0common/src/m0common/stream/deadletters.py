"""Dead letters: one message about a message that cannot be processed, and the limit above which its reader stops.

Writing a letter cannot fail for reasons of the letter: whatever its record holds, it is small and can be encoded.

A bad deploy must not drain a topic into the dead letter queue: above the limit nothing more is dead-lettered, the
reader, of lanes the one lane, stops where it is and says so, and a repaired one goes on from there. What a reader
cannot be to blame for does not count.
"""

import hashlib
from collections import deque

from m0common.errors import DeadLetterError, M0Error
from m0common.ids import Lane
from m0common.messages import DeadLetter, encode
from m0common.stream.core import Taken
from m0common.stream.records import Produce, Record
from m0common.telemetry.context import trace_of
from m0common.topics import DLQ

VALUE_MAX_BYTES = 4096
KEY_MAX_BYTES = 256
ERROR_MAX_BYTES = 64
REASON_MAX_BYTES = 1024
"""W3C Trace Context has 55; later versions may be longer."""


class TooManyDeadLetters(M0Error):
    """More messages cannot be processed than the limit allows; their reader stops and keeps the rest."""


def dead_letter(stage: str, record: Record, error: DeadLetterError) -> Produce:
    """What is written to the dead letter queue for `record`: in its partition, under the key `topic:partition:offset`.

    The same record always has the same key, so that a repeat after a restart can be told from a second letter.
    """
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage=stage,
        error=_text(error.error, ERROR_MAX_BYTES),
        reason=_text(error.reason, REASON_MAX_BYTES),
        key=record.key and record.key[:KEY_MAX_BYTES],
        value=record.value[:VALUE_MAX_BYTES],
        value_bytes=len(record.value),
        value_hash=hashlib.sha256(record.value).digest(),
    )
    key = f"{record.topic}:{record.partition}:{record.offset}".encode()
    return Produce(DLQ.name, record.partition, key, encode(letter), trace_of(record.headers))


def _text(text: str, max_bytes: int) -> str:
    """`text` in at most `max_bytes` of UTF-8, with a question mark for what UTF-8 cannot say (lone surrogates)."""
    return text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


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


class LaneLimits:
    """A limit for each lane of a stage, from the letters alone: what it took between two of them was good."""

    def __init__(self, window: int = 200, max_share: float = 0.5) -> None:
        self._window = window
        self._max_share = max_share
        self._counts: dict[Lane, tuple[int, DeadLetterLimit]] = {}
        """By lane: its position at its newest letter, and the count."""

    def bad(self, taken: Taken) -> str | None:
        """Count a letter about a message that a lane took; returns what is too much, and counts anew behind that."""
        last, limit = self._counts.pop(taken.lane, (taken.position, None))
        if limit is None or taken.position <= last:  # a new life, or read again from a checkpoint
            last, limit = taken.position - 1, DeadLetterLimit(self._window, self._max_share)
        try:
            limit.good(taken.position - last - 1)
            limit.bad()
        except TooManyDeadLetters as error:
            return str(error)
        self._counts[taken.lane] = (taken.position, limit)
        return None
