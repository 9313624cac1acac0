"""Two processes under one static member name: the group lets in whoever came last, and each comes again at once.

Kafka tells neither of them why it lost its place, so it is told by how often a member joins.
"""

from collections import deque
from time import monotonic

OFTEN = 6
WITHIN_S = 30.0
"""A member that gives way to a twin joins about every second; a fleet that starts or is rolled, a few times in all."""


class Joins:
    """When a member was given partitions lately. `member` is its static name, None where it has none."""

    def __init__(self, member: str | None) -> None:
        self._member = member
        self._at_s: deque[float] = deque(maxlen=OFTEN)

    def joined(self) -> None:
        """It was given partitions just now."""
        self._at_s.append(monotonic())

    def problem(self) -> str | None:
        """What to say when it joins again and again."""
        if self._member is None or len(self._at_s) < OFTEN or monotonic() - self._at_s[0] > WITHIN_S:
            return None
        return (
            f"it joined its group {OFTEN} times within {WITHIN_S:.0f} s: another process runs as {self._member} too; "
            "stop one of them, or give one another M0_REPLICA"
        )
