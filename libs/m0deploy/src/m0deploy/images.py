"""Which releases an image holds, as its label says: an image that the engine of this machine has, or an archive."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m0common.errors import SettingsError
from m0common.stream.groups import build_id

LABEL = "club.m0.releases"
"""Its value: `crypto=HASH,sports=HASH`, ascending by domain, as infra/images/build.py writes it."""
ENGINES = ("docker", "podman", "buildah")
_VALUE = re.compile(r"[^=,\s]+=[0-9a-f]{64}(,[^=,\s]+=[0-9a-f]{64})*")


def build_of_image(image: str) -> tuple[str, dict[str, str]]:
    """The id of the build in an image, and its releases, in hex, by domain. Raises SettingsError."""
    labels = _archived(Path(image)) if Path(image).is_file() else _inspected(image)
    value = labels.get(LABEL)
    if value is None:
        raise SettingsError(
            f"image {image} has no label {LABEL}: name one of lanes, as m0club/model, built by `make images`"
        )
    if not _VALUE.fullmatch(value):
        raise SettingsError(f"image {image}: label {LABEL} is {value!r}, not DOMAIN=HASH,…: build it by `make images`")
    found = dict(word.split("=") for word in value.split(","))
    return build_id(hashlib.sha256(b"".join(sorted(map(bytes.fromhex, found.values())))).digest()), found


def _inspected(image: str) -> Mapping[str, str]:
    engine = next((name for name in ENGINES if shutil.which(name)), None)
    if engine is None:
        raise SettingsError(
            f"there is no {', '.join(ENGINES)} here to look at {image} with: name an archive of it, or run `m0 release "
            "id` in m0club/m0 of the same tag"
        )
    kind = ("--type", "image") if engine == "buildah" else ()
    command = [engine, "inspect", *kind, image] if engine == "buildah" else [engine, "image", "inspect", image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise SettingsError(f"{engine} does not have image {image} ({why}): pull it first, or name an archive of it")
    said = json.loads(done.stdout)
    found: Any = said["OCIv1"] if engine == "buildah" else said[0]  # what an engine prints
    config = found.get("config") or found.get("Config") or {}
    return config.get("Labels") or {}


def _archived(archive: Path) -> Mapping[str, str]:
    """Of a docker archive with one image."""
    try:
        with tarfile.open(archive) as tar:
            (listed,) = json.load(_member(tar, "manifest.json"))
            config = json.load(_member(tar, listed["Config"])).get("config") or {}
    except (tarfile.TarError, ValueError, KeyError):
        raise SettingsError(
            f"{archive} is no docker archive of one image: make one by `infra/images/build.py --archive FOLDER`"
        ) from None
    return config.get("Labels") or {}


def _member(tar: tarfile.TarFile, name: str) -> Any:  # a file of bytes
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found
