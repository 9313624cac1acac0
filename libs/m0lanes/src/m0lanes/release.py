"""The release of a domain in this process: a content hash of everything that decides its leaves.

sha256("M0RELEASE1" | (name | 0x00 | sha256(file)) ascending | name==version, a line each, of the libraries that decide
bytes): the
heart, m0quant, the canonical parts of m0common, the domain's deciding files and data. Not Python's version: the same
log gives the same bytes on all that are supported.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import m0common.canonical
import m0common.fixedpoint
import m0common.ids
import m0common.messages
import m0common.stream.partition
import m0quant

from m0lanes.port import Domain

_TAG = b"M0RELEASE1"
LIBRARIES = ("msgspec", "solders")
"""The first decides how state and bodies are encoded, the second which signatures hold."""
_PACKAGES = {
    "m0lanes": __file__,
    "m0quant": m0quant.__file__,
    "m0common/canonical": m0common.canonical.__file__,
    "m0common/messages": m0common.messages.__file__,
}
_MODULES = {
    "m0common/fixedpoint.py": m0common.fixedpoint.__file__,
    "m0common/ids.py": m0common.ids.__file__,
    "m0common/stream/partition.py": m0common.stream.partition.__file__,
}


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


@cache
def _heart() -> tuple[tuple[str, bytes], ...]:
    found = {name: hashlib.sha256(Path(str(file)).read_bytes()).digest() for name, file in _MODULES.items()}
    for package, init in _PACKAGES.items():
        folder = Path(str(init)).parent
        for path in _files(folder):
            name = f"{package}/{path.relative_to(folder).as_posix()}"
            found[name] = hashlib.sha256(path.read_bytes()).digest()
    return tuple(found.items())


def folder_of(domain: Domain) -> Path:
    """The folder that a domain's deciding files are named in: that of the module that made it."""
    module = sys.modules[type(domain).__module__]
    return Path(str(module.__file__)).parent


@cache
def _release(name: str, folder: Path, deciding: tuple[str, ...]) -> bytes:
    found = dict(_heart())
    for file in deciding:
        found[f"{name}/{file}"] = hashlib.sha256((folder / file).read_bytes()).digest()
    hasher = hashlib.sha256(_TAG)
    for file in sorted(found):
        hasher.update(file.encode() + b"\0" + found[file])
    for library in sorted(LIBRARIES):
        hasher.update(f"{library}=={version(library)}\n".encode())
    return hasher.digest()


def release_of(domain: Domain) -> bytes:
    """32 bytes that change when any file changes that can decide a leaf of this domain."""
    return _release(domain.name, folder_of(domain), tuple(sorted(domain.deciding)))


def releases(domains: Mapping[str, Domain]) -> dict[bytes, Domain]:
    """The domains of a process by their releases."""
    return {release_of(domain): domain for domain in domains.values()}


def build_of(domains: Mapping[str, Domain]) -> bytes:
    """The build: a hash of the set of releases that a process holds."""
    return hashlib.sha256(b"".join(sorted(releases(domains)))).digest()
