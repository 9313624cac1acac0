"""`make images-pin`: which bytes the tags of images name today, as digests that Compose and the chart take.

    python infra/images/pin.py [--registry HOST] [--ours PREFIX --tag TAG] [--to FOLDER]

Servers' images, and the base of ours, are those of infra/compose, or what their variables (KAFKA_IMAGE, BASE_IMAGE
and so on) say. With --ours it takes the images of a release besides, as they were pushed: PREFIX/m0club/NAME:TAG. It
writes compose.env, for `docker compose --env-file`, and values.yaml, for `helm -f`: both, or neither if one is missing.

A registry that a name begins with, or --registry, is asked by itself; where one without is, skopeo or docker knows.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httpx2
import yaml
from locks import IMAGES, ROOT

COMPOSE = ROOT / "infra" / "compose"
PINNED = Path(__file__).parent / "pinned"
CHART = ("kafka", "postgres", "valkey")
"""Servers that the chart has, by `servers.NAME.image`."""
ASKING = {
    "skopeo": ("inspect", "--format", "{{.Digest}}", "docker://{}"),
    "docker": ("buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", "{}"),
}
TYPES = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
"""Lists of platforms before the image of one."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PATIENCE_S = 20.0


class PinError(Exception):
    """One sentence for whoever pins: the cause and the remedy."""


class Reference(NamedTuple):
    """The name of an image in its parts."""

    host: str
    """Empty: the engine knows."""
    path: str
    tag: str

    @classmethod
    def of(cls, text: str) -> "Reference":
        """HOST/PATH:TAG, as engines read it; a digest behind it is left out. Raises PinError where there is no tag."""
        name = text.partition("@")[0]
        first, slash, rest = name.partition("/")
        host = first if slash and (first == "localhost" or "." in first or ":" in first) else ""
        path, colon, tag = (rest if host else name).partition(":")
        if not colon or not path:
            raise PinError(f"image {text!r} has no tag: name one, as {path or 'NAME'}:1.2.3")
        return cls(host, path, tag)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}:{self.tag}".lstrip("/")

    def at(self, registry: str) -> "Reference":
        """The same on `registry`, which may have a path of its own, where the name says none."""
        if self.host or not registry:
            return self
        host, _, below = registry.partition("/")
        return Reference(host, f"{below}/{self.path}".lstrip("/"), self.tag)


def named(told: Mapping[str, str]) -> dict[str, str]:
    """Variable → image: servers', and what ours stand on, as Compose would take them."""
    text = (COMPOSE / "services.yml").read_text() + (COMPOSE / "compose.dev.yml").read_text()
    found = dict(re.findall(r"\$\{([A-Z]+_IMAGE):-([^}]+)\}", text))
    return {name: told.get(name) or image for name, image in found.items()}


def variable(name: str) -> str:
    """What names an image of ours in infra/compose."""
    return f"M0_{name.upper()}_IMAGE" if name != "m0" else "M0_IMAGE"


def digest(image: Reference) -> str:
    """What a registry has under this tag. Raises PinError."""
    found = by_http(image) if image.host else by_engine(image)
    if not DIGEST.fullmatch(found):
        raise PinError(f"image {image}: the answer is {found!r} and no digest: ask another registry with --registry")
    return found


def by_engine(image: Reference) -> str:
    """As skopeo or docker say it. Raises PinError."""
    there = [name for name in ASKING if shutil.which(name)]
    why = "there is neither skopeo nor docker here"
    for name in there:
        command = [name, *(word.format(image) if "{}" in word else word for word in ASKING[name])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode:
            return done.stdout.strip()
        why = f"{name}: {(done.stderr.strip().splitlines() or ['it says nothing'])[0]}"
    raise PinError(f"no registry is reached for {image} ({why}): name one that is with --registry")


def by_http(image: Reference) -> str:
    """As the registry says it, whose answer is hashed here. Raises PinError."""
    plain = image.host.partition(":")[0] in ("localhost", "127.0.0.1")
    url = f"http{'' if plain else 's'}://{image.host}/v2/{image.path}/manifests/{image.tag}"
    try:
        with httpx2.Client(timeout=PATIENCE_S, follow_redirects=True) as client:
            said = client.get(url, headers={"Accept": TYPES})
            if said.status_code == httpx2.codes.UNAUTHORIZED:
                said = client.get(url, headers={"Accept": TYPES, "Authorization": f"Bearer {token(client, said)}"})
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
        raise PinError(f"no registry is reached for {image} ({why}): name one that is with --registry") from None
    if said.status_code != httpx2.codes.OK:
        raise PinError(
            f"registry {image.host} has no {image.path}:{image.tag} for us ({said.status_code}): push it there"
        )
    found = f"sha256:{hashlib.sha256(said.content).hexdigest()}"
    if (told := said.headers.get("Docker-Content-Digest", found)) != found:
        raise PinError(
            f"registry {image.host} says {told} of {image.path}:{image.tag} and sends {found}: trust neither"
        )
    return found


def token(client: httpx2.Client, refused: httpx2.Response) -> str:
    """For whoever has no account, from where the refusal says. Nothing where it says nothing."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', refused.headers.get("WWW-Authenticate", "")))
    realm = asked.pop("realm", "")
    if not realm.startswith(("https://", "http://")):
        return ""
    said = client.get(realm, params=asked)
    try:
        given = said.json()
    except ValueError:
        return ""
    return str(given.get("token") or given.get("access_token") or "")


def written(pins: Mapping[str, str], ours: Mapping[str, tuple[Reference, str]]) -> dict[str, str]:
    """File name → text, of servers' images by variable, and of ours by name."""
    lines = [f"{name}={image}" for name, image in pins.items()]
    lines += [f"{variable(name)}={image}@{digest}" for name, (image, digest) in ours.items()]
    values: dict[str, object] = {"servers": {name: {"image": pins[f"{name.upper()}_IMAGE"]} for name in CHART}}
    if ours:
        values["global"] = {"imageDigests": {f"{name}:{image.tag}": digest for name, (image, digest) in ours.items()}}
    return {"compose.env": "\n".join(lines) + "\n", "values.yaml": yaml.safe_dump(values, width=200)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", default="", metavar="HOST", help="where names without a registry are")
    parser.add_argument(
        "--ours", metavar="PREFIX", help="where images of ours were pushed to, as registry.example/team"
    )
    parser.add_argument("--tag", help="of ours")
    parser.add_argument("--to", type=Path, default=PINNED, metavar="FOLDER")
    said = parser.parse_args()
    if bool(said.ours) != bool(said.tag):
        parser.error("--ours and --tag go together")
    try:
        pins, ours = {}, {}
        for name, image in named(os.environ).items():
            there = Reference.of(image).at(said.registry)
            pins[name] = f"{there}@{digest(there)}"
        for name in IMAGES if said.ours else ():
            there = Reference.of(f"{said.ours}/m0club/{name}:{said.tag}")
            ours[name] = (there, digest(there))
    except PinError as error:
        print(f"images-pin: {error}; nothing was written", file=sys.stderr)
        return 1
    said.to.mkdir(parents=True, exist_ok=True)
    for name, text in written(pins, ours).items():
        (said.to / name).write_text(text)
    print(f"{len(pins) + len(ours)} images are named by their digests in {said.to}/compose.env and values.yaml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
