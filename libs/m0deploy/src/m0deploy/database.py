"""The schema of the index."""

import asyncio

from m0common.settings import Settings
from m0index import migrations

from m0deploy.changes import Changes
from m0deploy.site import Site


async def provision(site: Site, settings: Settings, changes: Changes) -> None:
    """Run the migrations that are missing; see `m0index.migrations` for what it raises."""
    del site  # nothing of the database is a file here
    await asyncio.to_thread(_provision, settings, changes)


def _provision(settings: Settings, changes: Changes) -> None:
    found, newest = migrations.current(settings.postgres.dsn), migrations.head()
    if found is None or (migrations.is_step(found) and found < newest):
        now = "no schema" if found is None else f"schema {found}"
        changes.make_now(
            f"migrate the database from {now} to {newest}", lambda: migrations.upgrade(settings.postgres.dsn)
        )
