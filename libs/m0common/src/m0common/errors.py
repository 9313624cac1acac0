"""The exception tree of m0common.

M0Error
├── InvalidValue       a value breaks a documented limit; names the value and the remedy
├── DeadLetterError    one message cannot be processed; the stage goes on (see m0common.stream)
├── SettingsError      configuration that cannot be used
├── MessageTooLarge    the broker refuses it; nothing was written
├── OffsetsGone        a log no longer holds what its reader wants next; nothing was skipped
├── Fenced             another process has taken this one's place; nothing was written
└── Unavailable        a dependency did not answer in time; try again
"""

import difflib
from collections.abc import Iterable

LIKENESS = 0.6
"""So much of two names is common, of 1, when one may be a slip of the pen for the other."""


class M0Error(Exception):
    """Root of every error this project raises on purpose."""

    remedy = ""
    """What an operator can do about every error of the class, where its messages, which services log, do not say it."""

    @property
    def advice(self) -> str:
        """The message, and the remedy behind it."""
        return f"{self}: {self.remedy}" if self.remedy else str(self)


class InvalidValue(M0Error, ValueError):
    """A value breaks a documented limit."""


class DeadLetterError(M0Error):
    """One message cannot be processed.

    `error` is a short stable class such as `not_json`; `reason` is for people.
    """

    def __init__(self, error: str, reason: str) -> None:
        super().__init__(f"{error}: {reason}")
        self.error = error
        self.reason = reason


class SettingsError(M0Error):
    """Configuration that cannot be used; the message names the key and the nearest valid one. `faults` are its
    sentences, where there are several.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Unavailable(M0Error):
    """A dependency did not answer in time; the caller may try again."""


class MessageTooLarge(M0Error):
    """The broker refused a message above its topic's limit; names topic, size and limit."""


class Fenced(M0Error):
    """Another process has taken this one's place; nothing was written, and nothing will be."""


class OffsetsGone(M0Error):
    """A partition no longer holds the offset that its reader wants next: retention, a trim or a new topic took it.

    `wanted` is that offset, `first` the first one present, `end` the one after the last. Nothing was skipped.
    """

    def __init__(self, topic: str, partition: int, wanted: int, first: int, end: int) -> None:
        super().__init__(
            f"{topic} partition {partition}: offset {wanted} is gone, the log holds {first} to {end} (exclusive); "
            f"go on from a state whose next offset is {first} or later, or begin anew there and declare the gap",
        )
        self.topic = topic
        self.partition = partition
        self.wanted = wanted
        self.first = first
        self.end = end


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about `name`: the valid name that it resembles, or all of them when it resembles none."""
    valid = list(known)
    near = difflib.get_close_matches(name, valid, 1, LIKENESS)
    return f": did you mean {near[0]}?" if near else f": there is {', '.join(valid) or 'none'}"
