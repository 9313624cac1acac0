"""Read a service's log: its last lines, and new ones as they come, through rotations."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.25


def tail(path: Path, count: int) -> list[str]:
    """The last `count` lines without their ends; empty when there is no log yet."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


def follow(path: Path, poll_s: float = POLL_S) -> Iterator[str]:
    """Lines written to `path` from now on, for ever; begins again when the file is rotated or cut."""
    position = path.stat().st_size if path.exists() else 0
    inode = path.stat().st_ino if path.exists() else 0
    rest = ""
    while True:
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                stat = path.stat()
                if stat.st_ino != inode or stat.st_size < position:
                    inode, position, rest = stat.st_ino, 0, ""
                file.seek(position)
                text = rest + file.read()
                position = file.tell()
        except FileNotFoundError:
            time.sleep(poll_s)
            continue
        *lines, rest = text.split("\n")
        yield from lines
        if not lines:
            time.sleep(poll_s)
