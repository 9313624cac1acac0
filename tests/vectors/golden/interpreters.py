"""Interpreters of this machine, and environments in them that hold the libraries the heart needs, from the lock."""

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
UV = Path(sys.executable).with_name("uv")
LOCK = ROOT / "requirements.lock"
SOURCES = [ROOT / "libs" / name / "src" for name in ("m0common", "m0quant", "m0lanes", "m0domains", "m0replay")]
NEEDED = (
    "aiokafka", "annotated-types", "async-timeout", "jsonalias", "msgspec", "packaging", "pydantic", "pydantic-core",
    "solders", "structlog", "typing-extensions", "typing-inspection",
)  # fmt: skip
"""What the heart imports, with what that imports: a binary wheel for every interpreter."""


def find(version: str) -> Path | None:
    """A CPython of a version like `3.12` that starts: what uv finds, one on the path, or one of pyenv's."""
    return next((path for path in _candidates(version) if _is(path, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    asked = [str(UV), "python", "find", "--system", "--no-python-downloads", version]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if found:
        yield Path(found)
    named = shutil.which(f"python{version}")
    if named is not None:
        yield Path(named)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"))


def _is(path: Path, version: str) -> bool:
    ask = "import sys; print(sys.implementation.name, *sys.version_info[:2], sep='.')"
    try:
        done = subprocess.run([str(path), "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == f"cpython.{version}"


def environment(python: Path, folder: Path) -> Path:
    """A fresh environment in a folder; returns its interpreter. Wheels alone, their hashes checked."""
    wanted = folder.with_suffix(".txt")
    wanted.write_text(_pinned(LOCK.read_text()))
    made = folder / "bin" / "python"
    _uv("venv", "--quiet", "--python", str(python), str(folder))
    _uv(
        "pip", "install", "--quiet", "--python", str(made), "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "-r", str(wanted),
    )  # fmt: skip
    return made


def _pinned(lock: str) -> str:
    """The entries of NEEDED, with their hashes."""
    entries = re.split(r"\n(?=\S)", lock)
    return "".join(f"{entry}\n" for entry in entries if entry.partition("==")[0] in NEEDED)


def _uv(*arguments: str) -> None:
    trusted = {"UV_SYSTEM_CERTS": "true"} if ssl.get_default_verify_paths().cafile else {}
    done = subprocess.run([str(UV), *arguments], env=trusted | os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(python: Path, script: Path) -> str:
    """What a script prints, with the hearts' sources on the path and sets in an order of their own."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SOURCES)), "PYTHONHASHSEED": "random"}
    done = subprocess.run([str(python), str(script)], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
