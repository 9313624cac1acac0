"""The release of the transitions: a content hash of the code that decides a leaf."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import m0common.canonical
import m0common.fixedpoint
import m0common.ids
import m0common.messages
import m0common.stream.core
import m0common.stream.entities
import m0common.stream.lanes
import m0quant

_TAG = b"M0RELEASE1"
_MANIFEST_TAG = b"M0MANIFEST1"


def _sources() -> list[tuple[str, Path]]:
    packages = {
        "m0lanes": Path(__file__),
        "m0quant": Path(m0quant.__file__),
        "canonical": Path(m0common.canonical.__file__),
    }
    found = []
    for name, init in packages.items():
        found += [(f"{name}/{p.relative_to(init.parent).as_posix()}", p) for p in init.parent.rglob("*.py")]
    for module in (
        m0common.fixedpoint,
        m0common.ids,
        m0common.messages,
        m0common.stream.core,
        m0common.stream.entities,
        m0common.stream.lanes,
    ):
        found.append((module.__name__, Path(str(module.__file__))))
    return sorted(found)


@cache
def release() -> bytes:
    """32 bytes that change when any source file that can decide a leaf changes."""
    hasher = hashlib.sha256(_TAG)
    for name, path in _sources():
        hasher.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return hasher.digest()


def manifest_hash(model_key: bytes, releases: Sequence[bytes]) -> bytes:
    """The model manifest hash of a header: sha256("M0MANIFEST1" | n u32 | releases ascending | model_key)."""
    body = len(releases).to_bytes(4, "little") + b"".join(sorted(releases)) + model_key
    return hashlib.sha256(_MANIFEST_TAG + body).digest()
