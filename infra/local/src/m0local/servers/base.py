"""What the stack and the tests need of any server: prepare its files, run it, and is it ours and up."""

import signal
from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """One server process with its data directory."""

    name: str
    home: Path
    port: int
    stop_signal: signal.Signals

    def prepare(self) -> None:
        """Create configuration and an empty data directory where missing; leaves existing data alone.

        Raises LocalStackError with one sentence when that cannot be done.
        """

    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    def ready(self) -> bool:
        """Whether the server that uses *this* data directory answers its protocol on `port`."""
