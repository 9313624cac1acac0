"""The built programs, out of their folder (`programs/deploy` of a checkout)."""

import hashlib
from pathlib import Path

from m0deploy.errors import DeployError
from m0deploy.keys import PROGRAMS

SUMS = "SHA256SUMS"


def built(folder: Path) -> dict[str, bytes]:
    """Every program's bytes by name, each as `SHA256SUMS` of the folder has it where that is there.

    Raises DeployError naming the file.
    """
    sums, found = _sums(folder), {}
    for name in PROGRAMS:
        file = folder / f"m0_{name}.so"
        try:
            found[name] = file.read_bytes()
        except OSError as error:
            raise DeployError(
                f"program {file} cannot be read ({error.strerror}): name the folder of the built programs, or run "
                "`make programs` in a checkout"
            ) from error
        now = hashlib.sha256(found[name]).hexdigest()
        if sums.get(file.name, now) != now:
            raise DeployError(
                f"program {file} has sha256 {now}, and {SUMS} beside it has {sums[file.name]}: build both again, or "
                "restore them"
            )
    return found


def _sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name.strip(): digest for digest, _, name in (line.partition(" ") for line in lines)}
