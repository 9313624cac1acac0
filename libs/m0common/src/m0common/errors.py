"""The exception tree of m0common.

M0Error
├── InvalidValue       a value breaks a documented limit; names the value and the remedy
├── DeadLetterError    one message cannot be processed; the stage goes on (see m0common.stream)
├── LaneHole           a lane's sequence has a hole or its input is not ours: stop loudly
├── SettingsError      configuration that cannot be used
├── MessageTooLarge    the broker refuses it; nothing was written
└── Unavailable        a dependency did not answer in time; try again
"""


class M0Error(Exception):
    """Root of every error this project raises on purpose."""


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


class LaneHole(M0Error):
    """A lane's input skipped a sequence number; going on would lose an event."""


class SettingsError(M0Error):
    """Configuration that cannot be used; the message names the key and the nearest valid one."""


class Unavailable(M0Error):
    """A dependency did not answer in time; the caller may try again."""


class MessageTooLarge(M0Error):
    """The broker refused a message above its topic's limit; names topic, size and limit."""
