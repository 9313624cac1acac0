"""Run Postgres when we are root: it refuses to, so its programs run as `nobody` through setpriv."""

import os
import pwd
import shutil
import subprocess
from functools import cache
from pathlib import Path

from m0local.errors import MissingToolError

NOBODY = 65534  # uid and gid of nobody on every Linux distribution; names differ, the number does not
_PLAIN = ("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
# Below a directory only root may enter (a clone in /root), nobody needs this one capability to reach its own files;
# no_setuid_fixup makes it count for access(2) too, by which Postgres looks for its own programs.
_REACHING = (
    *_PLAIN,
    "--inh-caps",
    "-all,+dac_override",
    "--ambient-caps",
    "-all,+dac_override",
    "--securebits",
    "+no_setuid_fixup",
)


def is_root() -> bool:
    return os.geteuid() == 0


def unprivileged(program: Path, home: Path) -> tuple[str, ...]:
    """The words to put before `program` so that it runs as an ordinary user; empty when we are one already.

    Raises MissingToolError when we are root and cannot step down to a user who reaches both paths.
    """
    uid = NOBODY if is_root() else os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError as exc:
        raise MissingToolError(
            f"Postgres needs a name for the user id {uid}: add it to /etc/passwd or set M0_PG_DSN."
        ) from exc
    return _prefix(program, home) if is_root() else ()


def give_to_nobody(path: Path) -> None:
    """Make nobody the owner of a directory that a stepped-down program will own; nothing when we are not root."""
    if is_root():
        os.chown(path, NOBODY, NOBODY)


@cache
def _prefix(program: Path, home: Path) -> tuple[str, ...]:
    setpriv = shutil.which("setpriv", path=os.environ.get("PATH", "") + ":/usr/bin:/bin")
    if not setpriv:
        raise MissingToolError("As root, Postgres needs setpriv: install util-linux or run as an ordinary user.")
    for options in (_PLAIN, _REACHING):
        prefix = (setpriv, *options)
        check = [*prefix, "sh", "-c", 'test -x "$1" && test -x "$2"', "sh", str(program), str(home)]
        if subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return prefix
    raise MissingToolError(
        f"As root, Postgres runs as 'nobody', who cannot reach {home}: "
        f"set M0_HOME to a directory such as /var/lib/m0 and keep the code outside /root, or run as an ordinary user."
    )
