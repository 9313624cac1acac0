"""The checkout that a command stands in, for what is built from sources."""

import subprocess
import sys
from pathlib import Path

from m0common.errors import SettingsError

_MARK = Path("programs") / "build.py"


def find() -> Path | None:
    """The checkout that holds the present folder, None outside of one."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / _MARK).is_file()), None)


def need(what: str) -> Path:
    """The same. Raises SettingsError saying that `what` needs one."""
    root = find()
    if root is None:
        raise SettingsError(f"{what} needs the sources: run it in a checkout of M0Club")
    return root


def run(root: Path, *command: str) -> int:
    """Run a Python program of the checkout; its exit code."""
    return subprocess.run([sys.executable, *command], cwd=root, check=False).returncode
