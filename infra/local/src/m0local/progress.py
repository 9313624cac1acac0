"""Tell the operator what happens: a live line on a terminal, plain lines elsewhere, nothing when asked to be quiet."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape

MIB = 1 << 20


class Lasting(Console):
    """A console that falls silent when nobody reads any more, as behind `| head`. The common one ends the process: a
    stack would be left half started.
    """

    def on_broken_pipe(self) -> None:
        """What comes from here on goes nowhere, also what is written beside this console."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Reporter(Protocol):
    """Where a long command says what it is doing."""

    def step(self, text: str) -> None:
        """A new step begins; the one before it is done."""

    def detail(self, text: str) -> None:
        """How far the step is."""

    def say(self, text: str) -> None:
        """A line that stays."""


class Silent:
    """Says nothing (for --json)."""

    def step(self, text: str) -> None:
        """Nothing."""

    def detail(self, text: str) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""


class Plain:
    """One line a step, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def step(self, text: str) -> None:
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Nothing: a log needs no percentages."""

    def say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False, soft_wrap=True)


class Live:
    """A spinner with the present step, and a tick with the time taken for each one that is done."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.status = console.status("")
        self.text = ""
        self.since = 0.0

    def step(self, text: str) -> None:
        self.finish()
        self.text, self.since = text, time.monotonic()
        self.status.update(escape(text) + " …")
        self.status.start()

    def detail(self, text: str) -> None:
        self.status.update(f"{escape(self.text)} … [dim]{escape(text)}[/dim]")

    def say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def finish(self) -> None:
        """The last step is done."""
        if self.text:
            took = time.monotonic() - self.since
            self.console.print(f"[green]✓[/green] {escape(self.text)} [dim]{took:.1f} s[/dim]", highlight=False)
        self.text = ""

    def close(self) -> None:
        self.status.stop()


@contextmanager
def reporter(console: Console, quiet: bool = False) -> Iterator[Reporter]:
    """The reporter that fits where the output goes."""
    if quiet:
        yield Silent()
    elif not console.is_terminal:
        yield Plain(console)
    else:
        live = Live(console)
        try:
            yield live
            live.finish()
        finally:
            live.close()


def downloaded(report: Reporter, done_bytes: int, total_bytes: int) -> None:
    """Detail line of a download."""
    report.detail(f"{done_bytes / MIB:.0f} of {total_bytes / MIB:.0f} MB")
