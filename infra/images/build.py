"""`make images`: every image of ours, or those that are named, by whichever engine is there.

    python infra/images/build.py [--base IMAGE] [--tag TAG] [--archive FOLDER] [--no-cache] [NAME ...]

It fills infra/images/wheelhouse with the wheels that the locks pin by hash, so that builds need nothing of the network
but their base image and its packages; builds one image after the other; prints what each weighs, and how much of that
is shared. With --archive it writes a docker archive of each besides.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from locks import DOMAINS, IMAGES, LOCKS, ROOT, blocks, stands_on

HERE = Path(__file__).parent
WHEELHOUSE = HERE / "wheelhouse"
ENGINES = ("docker", "podman", "buildah")
PYTHON = "3.11"
"""Of the base image."""
PLATFORMS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in (36, 35, 34, 31, 28, 27, 26, 24, 17)), "linux")
ABIS = ("cp311", "abi3", "none")


LABEL = "club.m0.releases"
"""Of images that hold domains: `crypto=HASH,sports=HASH`, as m0deploy.images reads it."""
RELEASES = """
from m0lanes.domains import load_domains
from m0lanes.release import release_of
print(",".join(f"{name}={release_of(domain).hex()}" for name, domain in sorted(load_domains().items())))
"""


RELEASE = re.compile(r"v?\d+\.\d+\.\d+")
UNVERSIONED = "0.0.0"


class BuildError(Exception):
    """One sentence for whoever builds: the cause and the remedy."""


def engine_of(named: str | None) -> str:
    """The engine to build with. Raises BuildError."""
    if found := next((name for name in ([named] if named else ENGINES) if shutil.which(name)), None):
        return found
    raise BuildError(f"there is no {named or ' or '.join(ENGINES)} here: install one, or name one with --engine")


def fill_wheelhouse(machine: str) -> None:
    """Fetch the wheels of all locks, each checked against its hash; what no lock names any more goes."""
    WHEELHOUSE.mkdir(exist_ok=True)
    wanted = WHEELHOUSE / "wanted.txt"
    text = "\n".join(sorted({block for path in LOCKS.glob("*.txt") for block in blocks(path.read_text())})) + "\n"
    if wanted.exists() and wanted.read_text() == text:
        return
    for old in WHEELHOUSE.glob("*.whl"):
        old.unlink()
    listed = WHEELHOUSE / "wanted.new"
    listed.write_text(text)
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--python-version", PYTHON, "--implementation", "cp", *(word for abi in ABIS for word in ("--abi", abi)),
        *(word for platform in PLATFORMS for word in ("--platform", f"{platform}_{machine}")),
        "--dest", str(WHEELHOUSE), "-r", str(listed),
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode:
        raise BuildError("the wheels could not be fetched; what pip says is above")
    listed.replace(wanted)


class Tree(NamedTuple):
    """What is built: a commit of a clone, and the first of the files that are not in it."""

    commit: str
    """`unknown` outside a clone."""
    changed: str = ""

    @property
    def revision(self) -> str:
        """For the label."""
        return self.commit + ("-dirty" if self.changed else "")

    def tag(self, told: str | None, version: str) -> str:
        """The tag of its images, unless another one is told. Raises BuildError where a tag would say what is not so."""
        own = f"sha-{self.commit[:12]}"
        if self.changed:
            for name in (told or "", version if version != UNVERSIONED else ""):
                if RELEASE.match(name) or name == own:
                    raise BuildError(
                        f"{name} cannot be built with {self.changed} not committed: commit it, or take it away"
                    )
            own += "-dirty"
        elif not told and self.commit == "unknown":
            raise BuildError("this is no clone with a commit: name the tag with --tag")
        return told or own


def tree(root: Path = ROOT) -> Tree:
    """What git says of a checkout."""

    def asked(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout if not done.returncode else ""

    if not (commit := asked("rev-parse", "--verify", "--quiet", "HEAD").strip()):
        return Tree("unknown")
    return Tree(commit, next(iter(asked("status", "--porcelain").splitlines()), "")[3:])


def build(
    engine: str, name: str, tags: Sequence[str], base: str | None, commit: str, version: str, *, anew: bool = False
) -> None:
    """One image. Raises BuildError."""
    arguments = {"IMAGE": name, "MODULE": IMAGES[name].module, "STANDS_ON": f"stands-on-{stands_on(name)}"}
    arguments |= {"REVISION": commit, "VERSION": version}
    arguments |= {"BASE_IMAGE": base} if base else {}
    command = [engine, *(("bud", "--isolation", "chroot") if engine == "buildah" else ("build",))]
    command += ["--file", str(HERE / "Dockerfile"), "--target", "command" if name == "m0" else "service"]
    command += [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    command += [word for tag in tags for word in ("--tag", f"m0club/{name}:{tag}")]
    command += ["--no-cache"] if anew else []
    quiet = ("--quiet",) if engine != "buildah" else ()
    done = subprocess.run([*command, *quiet, str(ROOT)], env=os.environ | {"DOCKER_BUILDKIT": "1"}, check=False)
    if done.returncode:
        raise BuildError(f"image {name} could not be built; what {engine} says is above")


def label(engine: str, name: str, tags: Sequence[str]) -> None:
    """Note on an image which releases it holds, as it says itself: what is installed in it decides, and no checkout.
    Raises BuildError.
    """
    image = f"m0club/{name}:{tags[0]}"
    if engine == "buildah":
        container = asked([engine, "from", image], name).strip()
        try:
            found = asked([engine, "run", "--isolation", "chroot", container, "--", "python3", "-c", RELEASES], name)
            asked([engine, "config", "--label", f"{LABEL}={found.strip()}", container], name)
            for tag in tags:
                asked([engine, "commit", "--quiet", container, f"m0club/{name}:{tag}"], name)
        finally:
            asked([engine, "rm", container], name)
        return
    command = [engine, "run", "--rm", "--network", "none", "--entrypoint", "python3", image, "-c", RELEASES]
    made = f'FROM {image}\nLABEL {LABEL}="{asked(command, name).strip()}"\n'
    named = [word for tag in tags for word in ("--tag", f"m0club/{name}:{tag}")]
    asked([engine, "build", "--quiet", *named, "-"], name, made)


def asked(command: Sequence[str], name: str, given: str | None = None) -> str:
    """What an engine prints about the image `name`. Raises BuildError."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"image {name}: {' '.join(command[:2])} failed: {done.stderr.strip()}")
    return done.stdout


def weight(engine: str, name: str, tag: str) -> tuple[int, list[tuple[str, int]]]:
    """Bytes of an image, and its layers with the bytes of each, lowest first."""
    image = f"m0club/{name}:{tag}"
    said = subprocess.run([engine, "image", "inspect", image], capture_output=True, text=True, check=True)
    ids = json.loads(said.stdout)[0]["RootFS"]["Layers"]
    asked = [engine, "history", "--no-trunc", "--human=false", "--format", "{{.Size}}", image]
    sizes = [int(line) for line in subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()]
    filled = [size for size in reversed(sizes) if size]
    # layers without files are in the history and have no bytes
    return sum(filled), list(zip(ids, filled, strict=False))


def show(engine: str, names: Sequence[str], tag: str) -> None:
    """A line for each image: its size, and what of it no other image has."""
    if engine == "buildah":
        return
    weights = {name: weight(engine, name, tag) for name in names}
    owners: dict[str, set[str]] = {}
    for name, (_, layers) in weights.items():
        for layer, _ in layers:
            owners.setdefault(layer, set()).add(name)
    for name, (total, layers) in weights.items():
        own = sum(size for layer, size in layers if owners[layer] == {name})
        print(f"m0club/{name}:{tag:<20} {total / 1e6:7.1f} MB, of which {own / 1e6:6.1f} MB are its own")


def archive(engine: str, name: str, tag: str, folder: Path) -> None:
    """A docker archive of an image."""
    folder.mkdir(parents=True, exist_ok=True)
    target, image = folder / f"{name}.tar", f"m0club/{name}:{tag}"
    command = {
        "buildah": ["buildah", "push", image, f"docker-archive:{target}:{image}"],
        "podman": ["podman", "save", "--format", "docker-archive", "-o", str(target), image],
    }.get(engine, [engine, "save", "-o", str(target), image])
    subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="images (default: all)")
    parser.add_argument("--base", default=os.environ.get("BASE_IMAGE"), help="what they stand on; Debian 12's layout")
    parser.add_argument("--tag", help="instead of sha-COMMIT")
    parser.add_argument("--version", default=UNVERSIONED, help="for the label, as v1.2.3")
    parser.add_argument("--archive", type=Path, metavar="FOLDER", help="write a docker archive of each too")
    parser.add_argument("--no-cache", action="store_true", help="every step anew, with Debian's packages of today")
    parser.add_argument("--engine", choices=ENGINES)
    said = parser.parse_args()
    names = said.names or list(IMAGES)
    if unknown := [name for name in names if name not in IMAGES]:
        parser.error(f"no image {unknown[0]}: there are {', '.join(IMAGES)}")
    try:
        engine = engine_of(said.engine)
        built = tree()
        tag = built.tag(said.tag, said.version)
        if built.changed:
            print(f"images: {built.changed} is not committed: they are tagged {tag}", file=sys.stderr)
        fill_wheelhouse(os.uname().machine)
        for name in names:
            build(engine, name, (tag, "dev"), said.base, built.revision, said.version, anew=said.no_cache)
            if DOMAINS in IMAGES[name].packages:
                label(engine, name, (tag, "dev"))
        show(engine, names, tag)
        if said.archive:
            for name in names:
                archive(engine, name, tag, said.archive)
    except BuildError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
