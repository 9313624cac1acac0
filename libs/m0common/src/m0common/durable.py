"""Files that survive the end of this machine."""

import os
from pathlib import Path


def to_disk(file: Path, root: Path | None = None) -> None:
    """Bring a file to the disk, and the folder that its name lies in; with `root` every one below it, and itself.

    Raises OSError.
    """
    folders = [file.parent] if root is None else [each for each in file.parents if each.is_relative_to(root)]
    for path in (file, *folders):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def replaced(path: Path, content: bytes) -> None:
    """Replace a file in one step: whoever reads it, now or behind a crash, finds the old or the new one whole. Raises
    OSError.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    to_disk(fresh)  # a name that reaches the disk before what it names is an empty file
    fresh.replace(path)
    to_disk(path)
