"""When work gives the event loop a turn, for heartbeats and the health server: by the time that the work took, since a
record costs a microsecond or a model's whole fit.
"""

import asyncio
from time import monotonic

SLICE_S = 0.02


class Turns:
    """Of one task: after SLICE_S of work a turn is due."""

    def __init__(self) -> None:
        self.until_s = 0.0
        """By the monotonic clock: behind this a turn is due."""

    def begin(self) -> None:
        """The work begins now."""
        self.until_s = monotonic() + SLICE_S

    def due(self) -> bool:
        """Whether the work took so long that others should have a turn."""
        return monotonic() > self.until_s

    async def give(self) -> None:
        """Let others have theirs, and begin again."""
        await asyncio.sleep(0)
        self.begin()
