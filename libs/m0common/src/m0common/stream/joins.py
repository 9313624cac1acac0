"""Two processes under one static member name: the group lets in whoever came last, and each comes again at once.

Kafka tells neither of them why it lost its place. It shows by the id that the group gives to a member: it stays the
same through rebalances, and is another one each time a member that was displaced joins again.
"""

from collections import deque
from time import monotonic

OFTEN = 6
SESSIONS = 5
"""Twins displace each other at about every heartbeat, five of which are a session; a process that hangs loses its place
once in a session at most, and so not `OFTEN` times within `SESSIONS`.
"""


class Joins:
    """The ids that a member was given lately. `name` is its static one, None where it has none."""

    def __init__(self, name: str | None, session_s: float) -> None:
        self._name = name
        self._within_s = SESSIONS * session_s
        self._id: str | None = None
        self._at_s: deque[float] = deque(maxlen=OFTEN)

    def begin(self) -> None:
        """It joins through a new connection: its next id says nothing."""
        self._id = None

    def joined(self, member_id: str) -> None:
        """It was given partitions under this id."""
        if not member_id:
            return  # it is about to lose this place as well
        if self._id is not None and member_id != self._id:
            self._at_s.append(monotonic())
        self._id = member_id

    def problem(self) -> str | None:
        """That it has a twin, when it lost its place again and again."""
        if self._name is None or len(self._at_s) < OFTEN or monotonic() - self._at_s[0] > self._within_s:
            return None
        return twin_of(self._name)


def twin_of(name: str) -> str:
    """What to say of two processes under one name."""
    return f"another process runs as {name} too: stop one of them, or give one another M0_REPLICA"
