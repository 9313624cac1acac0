"""Make the environment `.venv`: the part of `make up` that runs before there is one, so the standard library alone.

Usage: bootstrap.py runtime|dev. It creates the environment, puts the pinned `uv` into it, installs the locked packages
with their hashes checked and links the packages of this repository. When nothing changed since the last time it does
nothing; when it was interrupted, running it again goes on. Developers' tools, once there, are kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
STAMP = VENV / ".m0-installed"
LOCKS = {"runtime": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
OLDEST = (3, 11)
NEED_BYTES = 2 << 30

NETWORK = (
    "dns error", "name resolution", "error sending request", "failed to fetch", "newconnectionerror", "timed out",
    "max retries", "proxyerror", "connection", "certificate", "could not connect", "tunnel", "request failed",
)  # fmt: skip
HASHES = ("hash mismatch", "do not match the hashes", "mismatched hash")
PLATFORM = (
    "no wheels with a matching",
    "no matching distribution",
    "can't be installed",
    "not compatible",
    "no usable",
)


class Failure(Exception):
    """One sentence for the operator: the cause and the remedy."""


def main(level: str) -> int:
    """Bring the environment to `level`; returns the exit code."""
    try:
        python = find_python()
        if Path(python).resolve() != Path(sys.executable).resolve():
            return subprocess.call([python, *sys.argv])
        (ROOT / ".m0").mkdir(exist_ok=True)
        with (ROOT / ".m0" / ".bootstrap.lock").open("w") as lock:
            take_turn(lock)
            trust_system_certificates()
            ensure(level)
    except Failure as exc:
        print(f"Error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: run the same command again to go on.", file=sys.stderr)
        return 130
    except OSError as exc:
        print(f"Error: {explain('Set up the environment', str(exc))}", file=sys.stderr)
        return 1
    return 0


def find_python() -> str:
    """The interpreter that runs us, or the newest on the PATH when that is too old. Raises Failure without one."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in (13, 12, 11):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    have = ".".join(map(str, sys.version_info[:3]))
    raise Failure(f"Python 3.11 or later is needed and {sys.executable} is {have}: run 'apt install python3.11-venv'.")


def trust_system_certificates() -> None:
    """Let uv, which brings a list of its own, trust what this machine trusts: a network may have its own authority."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")


def take_turn(lock: object) -> None:
    """Hold the lock file; say so when another run has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another run sets up .venv: waiting for it.")
        fcntl.flock(lock, fcntl.LOCK_EX)


def ensure(level: str) -> None:
    """Install what is missing for `level`, or nothing when the stamp says that all is there."""
    stamp = read_stamp()
    if stamp.get("level") == "dev" or (VENV / "bin" / "pytest").exists():
        level = "dev"
    wanted = {"level": level, "digest": digest(level)}
    if stamp == wanted and PYTHON.exists():
        return
    check_disk()
    ensure_venv()
    ensure_uv()
    lock = LOCKS[level]
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / "uv.txt"
        own.write_text(uv_requirement())
        count = sum(not line.startswith((" ", "#")) for line in lock.read_text().splitlines())
        say(f"Install {count} packages")
        run("Install the packages", [str(UV), "pip", "sync", *target(), "--require-hashes", str(lock), str(own)])
    link = [argument for folder in workspace() for argument in ("-e", str(folder))]
    run("Link this repository's packages", [str(UV), "pip", "install", *target(), "--no-deps", *link])
    STAMP.write_text(json.dumps(wanted))


def ensure_venv() -> None:
    """Create the environment, again when it is half made or its interpreter is gone."""
    if works([str(PYTHON), "-m", "pip", "--version"]) or works([str(UV), "--version"]):
        return
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Failure(f"Python's venv module is missing: run 'apt install python{minor}-venv', then again.")
    say("Create .venv")
    run("Create .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])


def ensure_uv() -> None:
    """Put the pinned uv into the environment, its hash checked."""
    requirement = uv_requirement()
    version = requirement.split("==", 1)[1].split()[0]
    if UV.exists() and f" {version} " in output([str(UV), "--version"]) + " ":
        return
    say(f"Install uv {version}")
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--retries", "3"]
    with tempfile.TemporaryDirectory() as scratch:
        own = Path(scratch) / "uv.txt"
        own.write_text(requirement)
        run("Install uv", [*pip, "--no-deps", "--require-hashes", "-r", str(own)])


def uv_requirement() -> str:
    """The lines of uv, version and hashes, in the developers' lock."""
    lines: list[str] = []
    for line in LOCKS["dev"].read_text().splitlines(keepends=True):
        if line.startswith("uv=="):
            lines = [line]
        elif lines and line.startswith(" "):
            lines.append(line)
        elif lines:
            break
    if not lines:
        raise Failure(f"{LOCKS['dev'].name} does not pin uv: restore it with 'git checkout {LOCKS['dev'].name}'.")
    return "".join(lines)


def workspace() -> list[Path]:
    """The folders of this repository's packages, as the workspace names them."""
    import tomllib  # noqa: PLC0415 - not in the old interpreters that find_python turns away

    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    return sorted(path.parent for member in members for path in ROOT.glob(f"{member}/pyproject.toml"))


def digest(level: str) -> str:
    """What decides the content of the environment."""
    state = hashlib.sha256(sys.version.encode() + b"1")
    for path in [LOCKS[level], LOCKS["dev"], *(folder / "pyproject.toml" for folder in workspace())]:
        if not path.exists():
            raise Failure(f"{path.name} is missing: restore it with 'git checkout {path.relative_to(ROOT)}'.")
        state.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def read_stamp() -> dict[str, str]:
    """What the last complete run left."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def check_disk() -> None:
    """Refuse to begin what cannot end."""
    free = shutil.disk_usage(str(ROOT)).free
    if free < NEED_BYTES and not UV.exists():
        raise Failure(
            f"The disk of {ROOT} has {free >> 20} MB left, {NEED_BYTES >> 20} MB are needed: free some space."
        )


def target() -> list[str]:
    return ["--python", str(PYTHON)]


def works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def run(doing: str, command: list[str]) -> None:
    """Run a command, showing its progress on a terminal; when it fails run it again to hear why, then raise Failure."""
    if sys.stderr.isatty() and subprocess.call(command) == 0:
        return
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode < 0:
        raise Failure(f"{doing}: stopped by signal {-done.returncode}; run again, which goes on.")
    if done.returncode:
        raise Failure(explain(doing, done.stdout))


def explain(doing: str, text: str) -> str:
    """The sentence for what a tool said when it failed."""
    low = text.lower()
    if "no space left" in low:
        return f"{doing}: the disk is full; free 2 GB (of {ROOT} and of the home directory), then run again."
    if any(word in low for word in HASHES):
        return f"{doing}: a package has not its locked hash, do not use it; check the mirror or proxy, then run again."
    if any(word in low for word in NETWORK):
        return f"{doing}: the packages cannot be downloaded; check the network or proxy and run again, which goes on."
    if any(word in low for word in PLATFORM):
        return f"{doing}: a package has no build for this machine; Linux with glibc on x86_64 or arm64 is needed."
    if "permission denied" in low:
        return f"{doing}: {text.strip().splitlines()[-1]}; run as the user who owns {ROOT}."
    return f"{doing} failed: {' '.join(text.strip().splitlines()[-3:])}"


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in LOCKS:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    os.environ.pop("VIRTUAL_ENV", None)
    sys.exit(main(sys.argv[1]))
