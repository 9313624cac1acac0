"""Bring the database to the newest schema."""

from m0index import migrations

from m0local.provision import Say
from m0local.settings import StackSettings


def provision(settings: StackSettings, _say: Say) -> None:
    """Run the migrations that are missing. Raises m0common's Unavailable when the database does not answer."""
    migrations.upgrade(settings.pg_dsn)
