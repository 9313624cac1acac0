"""Where the keys and files of one deployment lie, for whoever brings it to life."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from m0kafka import passwords

DATABASE_USER = "m0"


@dataclass(frozen=True, slots=True)
class Site:
    """`keys` is the folder of the services' keys, `control` that of the control keys, `record` the file that says what
    was made, `programs` the folder of the built programs.
    """

    keys: Path
    control: Path
    record: Path
    programs: Path
    makes_users: bool = True
    """Users of Kafka are made with the passwords that lie here; else they are somebody else's."""
    expands: bool = False
    """Nothing that a version which runs may need is taken away in Kafka."""
    registry: Path | None = None
    """The registry of programs; None where there is none to compare with."""

    @classmethod
    def of(cls, folder: Path, programs: Path, registry: Path | None = None) -> Self:
        """The usual places below the folder of a deployment."""
        keys, control, record = folder / "keys", folder / "control", folder / "deployment.json"
        return cls(keys, control, record, programs, registry=registry)

    @property
    def admin_key(self) -> Path:
        """Who upgrades the programs, and pays for it."""
        return self.keys / "admin.json"

    def program_key(self, name: str) -> Path:
        """The address of a program; needed once, to deploy it."""
        return self.keys / f"program-{name}.json"

    @property
    def passphrase(self) -> Path:
        """What opens the signers' key files."""
        return self.keys / "passphrase"

    @property
    def kafka_passwords(self) -> Path:
        """A file per user of Kafka."""
        return passwords.folder(str(self.keys))

    @property
    def database_password(self) -> Path:
        """That of the database's user."""
        return self.keys / "postgres" / DATABASE_USER

    @property
    def database_login(self) -> Path:
        """The same for libpq, which an address names as its `passfile`."""
        return self.keys / "postgres" / "pgpass"

    @property
    def control_key(self) -> Path:
        """The deployment's first control key."""
        return self.control / "control.json"
