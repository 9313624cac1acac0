"""The schema of the index."""

import asyncio
from functools import partial

from m0common.settings import Settings
from m0index import migrations

from m0deploy.changes import Changes
from m0deploy.site import Site


async def provision(site: Site, settings: Settings, changes: Changes) -> None:
    """Run the migrations that are missing; see `m0index.migrations` for what it raises."""
    del site  # nothing of the database is a file here
    dsn = settings.postgres.dsn
    found = await asyncio.to_thread(migrations.current, dsn)
    if migrations.is_behind(found):
        now = "no schema" if found is None else f"schema {found}"
        upgrade = partial(asyncio.to_thread, migrations.upgrade, dsn)
        await changes.make(f"migrate the database from {now} to {migrations.head()}", upgrade)
