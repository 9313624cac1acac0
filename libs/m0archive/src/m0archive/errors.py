"""What goes wrong with an archive.

M0Error
├── Damaged      an object of the archive is not what it was written as, or is missing; names it
└── NoArchive    there is none at the address, or it is of another deployment
"""

from m0common.errors import M0Error

NEWER = "use a newer version"
"""The remedy where a format is not known."""


class Damaged(M0Error):
    """An object is missing or was changed. `name` is that of the object."""

    remedy = "put it back from a copy of the archive; 'm0 backup verify' names all that does not hold"

    def __init__(self, name: str, reason: str, remedy: str = "") -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.remedy = remedy or Damaged.remedy
        self.reason = reason


class NoArchive(M0Error):
    """No archive at this address, or not of this deployment; the message has the remedy."""
