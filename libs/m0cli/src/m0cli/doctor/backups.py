"""`backups`: what is kept of a deployment outside its servers: how old it is, what it covers, and that it is whole."""

from typing import NamedTuple

from m0archive.backups import Backup, Rehearsal, backup_chain, faults_in, newest_restored, rehearsal_chain
from m0archive.entries import check_identity, log_chain, newest_ms
from m0archive.objects import opened
from m0archive.store import Store
from m0common.clock import system_clock
from m0common.deployment import Deployment

from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, fails, holds, not_applicable

DAY_MS = 86_400_000
OLD_MS = 2 * DAY_MS
"""A backup is made once a day: this one was missed."""
ARCHIVED_MS = 3_600_000
"""The log is archived every few seconds, and there is a record of it for every epoch: whoever archives has failed."""
REHEARSED_MS = 30 * DAY_MS
"""An older rehearsal is none."""
UNITS = (("days", DAY_MS), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


class Kept(NamedTuple):
    """What an archive has: when the newest record of its log was written and the log began, the newest backup and what
    of it does not hold, the newest rehearsal, and the newest that worked and restored tables.
    """

    log_ms: int | None
    began_ms: int
    backup: Backup | None
    faults: list[str]
    rehearsal: Rehearsal | None
    restored: Rehearsal | None


async def backups(site: Site) -> Verdict:
    """The newest backup is of yesterday at most and every byte of it is there, and so is the newest of the log."""
    settings = site.settings
    if not settings.archive.url:
        return not_applicable("no archive is named here: set M0_ARCHIVE_URL")
    store = opened(settings.archive, makes=False)
    await check_identity(store, None if site.genesis_hash is None else Deployment.of(settings))
    return judged(await _kept(store), system_clock(settings.env).now_ms())


def judged(kept: Kept, now_ms: int) -> Verdict:
    """The verdict on an archive at a time."""
    backup, rehearsal = kept.backup, kept.rehearsal
    if kept.faults:
        return fails(f"{'; '.join(kept.faults)}: put it back from a copy, or `m0 backup create`")
    if kept.log_ms is None:
        return fails("nothing of the log is archived: set M0_ARCHIVE_URL for jobs, and see their /ready")
    if now_ms - kept.log_ms > ARCHIVED_MS:
        return fails(
            f"the newest record of the log that is archived is of {_ago(now_ms, kept.log_ms)}: see /ready of jobs"
        )
    began = f"the archive began {_ago(now_ms, kept.began_ms)}"
    if backup is None:
        none = f"{began} and has no backup: `m0 backup create`, once a day"
        return fails(none) if now_ms - kept.began_ms > OLD_MS else not_applicable(none)
    if now_ms - backup.made_ms > OLD_MS:
        made = f"backup {backup.number}, the newest, was made {_ago(now_ms, backup.made_ms)}"
        return fails(f"{made}: `m0 backup create`, once a day")
    if rehearsal is not None and not rehearsal.ok:
        wrong = "; ".join(f"{step.name}: {step.said}" for step in rehearsal.steps if not step.ok)
        return fails(f"rehearsal {rehearsal.number} did not work: {wrong}: mend it, and `m0 backup rehearse`")
    if kept.restored is not None:
        tried = f"tables were restored in a rehearsal {_ago(now_ms, kept.restored.made_ms)}"
    else:
        tried = "tables were restored in no rehearsal"
    tried_ms = kept.began_ms if kept.restored is None else kept.restored.made_ms
    if now_ms - tried_ms > REHEARSED_MS:
        return fails(f"{began}, and {tried}: `m0 backup rehearse --into DSN`, once a month")
    rows = ", ".join(f"{table.rows} {table.name}" for table in backup.tables)
    covers = f"backup {backup.number} of {_ago(now_ms, backup.made_ms)} has {rows} and {len(backup.files)} files"
    warns = "WARNING: " if kept.restored is None else ""
    return holds(f"{covers}, the log is archived up to {_ago(now_ms, kept.log_ms)}, {warns}{tried}")


async def _kept(store: Store) -> Kept:
    """Read what the verdict is about. Raises Damaged where a chain is, Unavailable."""
    entries, made = log_chain(store), await backup_chain(store).newest()
    log, first, tried = await entries.newest(), await entries.get(0), await rehearsal_chain(store).newest()
    return Kept(
        log_ms=None if log is None else await newest_ms(store, log.link),
        began_ms=0 if first is None else first.link.written_ms,
        backup=None if made is None else made.link,
        faults=[] if made is None else await faults_in(store, made.link, "the newest backup"),
        rehearsal=None if tried is None else tried.link,
        restored=await newest_restored(store, tried),
    )


def _ago(now_ms: int, then_ms: int) -> str:
    """How long ago it was, in the largest unit of which there are two."""
    past_ms = max(0, now_ms - then_ms)
    unit, ms = next(((unit, ms) for unit, ms in UNITS if past_ms >= 2 * ms), UNITS[-1])
    return f"{past_ms // ms} {unit} ago"
