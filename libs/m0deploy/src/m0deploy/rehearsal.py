"""Whether a backup can be used, tried out: every byte is read, an epoch is replayed from the archive alone, and the
tables are restored into a database of the rehearsal's own. What came of it stands in the archive.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from m0archive.backups import RESTORED, Backup, Rehearsal, Step, backup_chain, content, faults_of, rehearsal_chain
from m0archive.chain import behind
from m0archive.entries import check_identity
from m0archive.incarnation import Incarnation, newest
from m0archive.store import Store
from m0archive.verify import verify
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import M0Error
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.store.postgres import transaction
from m0index import keeping, migrations

from m0deploy.backup import patient, restore

Replay = Callable[[str, int], Awaitable[str | None]]
"""Replays an epoch of a catalog from the archive; what differs, None for a match."""
LOOKED_AT = 5_000
"""Of so many of the newest entries the headers are looked for: a day's, at one every fifteen seconds."""


class Failed(M0Error):
    """A step of a rehearsal did not work; the message says why."""


async def rehearse(
    store: Store, deployment: Deployment, replay: Replay, scratch: Postgres | None, clock: Clock
) -> Rehearsal:
    """Try the newest backup out and note what came of it. `scratch` is an empty database for its tables, None to leave
    them out. Raises NoArchive, Damaged for an archive in which nothing can be noted, Unavailable.
    """
    root = await check_identity(store, deployment)
    found = await backup_chain(store).newest()
    backup = None if found is None else found.link
    steps = [
        await _step("verify", _verified(store, deployment), clock),
        await _step("replay", _replayed(store, deployment, replay, clock), clock),
    ]
    if backup is None:
        steps.append(Step(RESTORED, False, 0, "there is no backup of tables: 'm0 backup create' makes one"))
    elif scratch is not None:
        steps.append(await _step(RESTORED, _restored(store, scratch, backup), clock))
    number, previous = behind(await rehearsal_chain(store).newest(), root)
    made = Rehearsal(
        number=number,
        previous=previous,
        made_ms=clock.now_ms(),
        ok=all(step.ok for step in steps),
        backup=-1 if backup is None else backup.number,
        steps=steps,
    )
    return (await rehearsal_chain(store).append(made)).link


async def _step(name: str, work: Awaitable[str], clock: Clock) -> Step:
    began_ms, ok = clock.monotonic_ms(), True
    try:
        said = await work
    except M0Error as error:
        ok, said = False, str(error)
    return Step(name, ok, clock.monotonic_ms() - began_ms, said)


async def _verified(store: Store, deployment: Deployment) -> str:
    log, beside = await verify(store, deployment), await faults_of(store)
    faults = [*log.faults, *beside]
    if faults:
        raise Failed(f"{len(faults)} faults, the first is {faults[0]}")
    return f"{log.entries} entries, {log.pieces} pieces of {log.bytes} bytes, {log.records} records"


async def newest_epochs_of(log: Incarnation) -> dict[str, int]:
    """By catalog the newest epoch whose header is in a log, as far as its newest entries say. Raises Damaged,
    Unavailable.
    """
    found: dict[str, int] = {}
    looked_at = 0
    async for entry in log.entries():
        for catalog, (_, last) in entry.epochs.items():
            found[catalog] = max(last, found.get(catalog, last))
        looked_at += 1
        if looked_at >= LOOKED_AT:
            break
    return found


async def _replayed(store: Store, deployment: Deployment, replay: Replay, clock: Clock) -> str:
    log = await newest(store, deployment)
    epochs = await newest_epochs_of(log)
    if not epochs:
        raise Failed("no epoch is archived yet")
    for catalog, epoch_id in sorted(epochs.items()):
        difference = await replay(catalog, epoch_id)
        if difference is not None:
            raise Failed(f"epoch {epoch_id} of {catalog}: {difference}")
    said = ", ".join(f"{catalog} {epoch_id}" for catalog, epoch_id in sorted(epochs.items()))
    age_ms = clock.now_ms() - log.last.written_ms
    return f"MATCH of {said}; the newest entry of the log is {age_ms // 1000} s old"


async def _restored(store: Store, scratch: Postgres, backup: Backup) -> str:
    await asyncio.to_thread(migrations.upgrade, scratch.dsn)
    put = await restore(store, scratch, backup)
    async with postgres.opened(patient(scratch), name="m0-rehearsal") as pool, transaction(pool) as connection:
        for table in backup.tables:
            rows = keeping.taken_out(connection, table.name, table.columns)
            if await _digest(rows) != await _digest(content(store, table)):
                raise Failed(f"table {table.name} is not what the backup holds: was the database empty?")
    return f"{sum(put.values())} rows of {len(put)} tables, equal to those of backup {backup.number}"


async def _digest(chunks: AsyncIterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.digest()
