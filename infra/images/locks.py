"""What each image installs, as hash-pinned requirements from requirements.lock and the packages of this repository.

    python infra/images/locks.py [--check]

Images share layers, each with files of its own in locks/: `common` is what every service needs, `chain` what whoever
talks to Solana needs besides, and files of the image's name say what is left.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).parent / "locks"
DOMAINS = "m0domains"
"""The domains that this repository brings. An operator's own are installed beside them, see the Dockerfile."""


class Image(NamedTuple):
    """The packages that an image runs, and the module that it starts."""

    packages: tuple[str, ...]
    module: str


LANES = ("normalize", "feature", "model", "bundle", "signer", "ingest")
"""What holds domains, which are found as plugins."""
IMAGES: Mapping[str, Image] = {
    name: Image((f"m0-{name}", DOMAINS) if name in LANES else (f"m0-{name}",), f"m0_{name}")
    for name in (*LANES, "indexer", "api", "realtime", "jobs", "warden")
} | {
    "m0": Image(("m0cli", DOMAINS), "m0cli.main"),
    "localnet": Image(("m0localnet",), "m0localnet"),
}
TOOLS, TOOLS_OF = "tools", ("uv",)
"""What installs the rest, and is in no image."""
CHAIN = ("m0chain",)
ALONE = ("localnet",)
"""What has nothing to do with services."""
BARE = ("signer",)
"""What has a root of its own with neither shell nor package manager, and stands on `chain` in it."""


INSIDE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.2",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""Where an image's packages run, whatever this machine is."""


def closure(*names: str) -> set[str]:
    """These distributions and all that they require in an image, extras that are asked for included."""
    found: set[tuple[str, str]] = set()
    queue = [(canonicalize_name(name), "") for name in names]
    while queue:
        asked = queue.pop()
        if asked in found:
            continue
        found.add(asked)
        for text in requires(asked[0]):
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({**INSIDE, "extra": asked[1]}):
                queue += [(canonicalize_name(wanted.name), extra) for extra in ("", *wanted.extras)]
    return {name for name, _ in found}


def requires(name: str) -> Sequence[str]:
    """What an installed distribution requires; of one that this machine does not need, nothing is known."""
    try:
        return distribution(name).requires or ()
    except PackageNotFoundError:
        return ()


def folders() -> dict[str, str]:
    """Our own packages: name → folder in the repository."""
    found = {}
    for pattern in ("libs/*/pyproject.toml", "services/*/pyproject.toml", "infra/*/pyproject.toml"):
        for file in sorted(ROOT.glob(pattern)):
            name = tomllib.loads(file.read_text())["project"]["name"]
            found[canonicalize_name(name)] = str(file.parent.relative_to(ROOT))
    return found


def pinned(lock: str) -> dict[str, str]:
    """The blocks of a lock file, hashes included, by name."""
    found = blocks((ROOT / lock).read_text())
    return {canonicalize_name(re.split(r"[=\s;\[]", block, maxsplit=1)[0]): block for block in found}


def blocks(lock: str) -> list[str]:
    """The requirements of a lock, each with its hashes."""
    return [block for block in re.split(r"\n(?=\S)", lock.strip()) if block]


def stands_on(name: str) -> str:
    """What the Dockerfile puts below an image's own layer."""
    return "nothing" if name in BARE else lower_layer(name)


def lower_layer(name: str) -> str:
    """The layer below an image's own: the highest of which it needs everything."""
    whole = closure(*IMAGES[name].packages)
    return next(layer for layer, packages in reversed(shared().items()) if packages <= whole)


@cache
def shared() -> dict[str, set[str]]:
    """The layers that images share, each with what is in it and below it, the lowest first."""
    services = [closure(*image.packages) for name, image in IMAGES.items() if name not in ALONE]
    common = set.intersection(*services)
    return {"base": set(), "common": common, "chain": common | closure(*CHAIN)}


def layers() -> Iterator[tuple[str, set[str]]]:
    """Name of a layer and what is in it, those that others build on first."""
    below: set[str] = set()
    for name, packages in shared().items():
        if packages:
            yield name, packages - below
        below = packages
    for name, image in sorted(IMAGES.items()):
        yield name, closure(*image.packages) - shared()[lower_layer(name)]


def texts() -> dict[str, str]:
    """File name → text."""
    ours, locked = folders(), pinned("requirements.lock")
    found = {f"{TOOLS}.txt": "".join(f"{pinned('requirements-dev.lock')[name]}\n" for name in TOOLS_OF)}
    for name, packages in layers():
        theirs = sorted(packages - ours.keys())
        found[f"{name}.txt"] = "".join(f"{locked[each]}\n" for each in theirs)
        found[f"{name}.packages"] = "".join(f"{ours[each]}\n" for each in sorted(packages & ours.keys()))
    return found


def main() -> int:
    wanted = texts()
    if "--check" in sys.argv[1:]:
        there = {path.name: path.read_text() for path in LOCKS.iterdir()}
        if there != wanted:
            differ = sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))
            print(f"{', '.join(differ)}: not what the packages ask for now: run `make lock`")
            return 1
        return 0
    LOCKS.mkdir(exist_ok=True)
    for path in LOCKS.iterdir():
        path.unlink()
    for name, text in wanted.items():
        (LOCKS / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
