"""A root with the files that a Python process needs and no others: neither shell nor package manager.

    python3 rootfs.py TARGET FOLDER...

Run in an image of Debian's layout whose FOLDERs hold installed packages. What their extension modules and Python's own
are linked with comes along; the folders themselves do not.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

LINKS = ("lib", "lib64", "usr/bin/python3", "usr/lib/ssl/certs", "usr/lib/ssl/openssl.cnf", "usr/lib/ssl/cert.pem")
"""Taken as links where they are."""
COPIED = ("etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/ssl/openssl.cnf", "etc/ssl/certs/ca-certificates.crt")
EMPTY = ("tmp", "var/lib/m0", "srv/m0club", "srv/m0club/keys", "srv/m0club/control")
"""Folders that are there to be filled; owners and rights are kept."""
NOT_RUN = ("test", "idlelib", "ensurepip", "lib2to3", "turtledemo", "tkinter", "distutils", "pydoc_data", "__pycache__")
"""Of Python's library, what no process of ours takes in."""
ROOT = Path("/")


def linked(files: Iterable[Path]) -> set[Path]:
    """The shared objects that these and what they are linked with need, by ldd."""
    found: set[Path] = set()
    for file in files:
        said = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
        found |= {Path(word) for line in said.splitlines() for word in line.split() if word.startswith("/")}
    return found


def objects(folder: Path) -> Iterator[Path]:
    """Extension modules, and libraries that wheels bring."""
    yield from (path for path in folder.rglob("*.so*") if path.is_file())


def put(target: Path, source: Path) -> None:
    """A file at its place below `target`, through all links of its folders; a link stays one, with what it leads to."""
    place = source.parent.resolve() / source.name
    there = target / place.relative_to(ROOT)
    if there.is_symlink() or there.exists():
        return
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(place, there, follow_symlinks=False)
    if place.is_symlink():
        put(target, place.parent / place.readlink())


def main(target: Path, *folders: Path) -> None:
    """Fill `target`."""
    library = Path(sysconfig.get_path("stdlib"))
    python = Path(sys.executable).resolve()
    for name in LINKS:
        if (ROOT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).symlink_to((ROOT / name).readlink())
    shutil.copytree(
        library, target / library.relative_to(ROOT), symlinks=False, ignore=shutil.ignore_patterns(*NOT_RUN, "config-*")
    )
    for file in (python, *linked([python, *objects(library), *(so for folder in folders for so in objects(folder))])):
        if not any(file.is_relative_to(folder) for folder in folders):
            put(target, file)
    for name in COPIED:
        put(target, ROOT / name)
    for name in EMPTY:
        place, like = target / name, (ROOT / name).stat()
        place.mkdir(parents=True, exist_ok=True)
        os.chown(place, like.st_uid, like.st_gid)
        place.chmod(like.st_mode & 0o7777)
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
         "-s", str(target), str(target / library.relative_to(ROOT))],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
