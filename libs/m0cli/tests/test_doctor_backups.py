"""The box `backups`: archives with a backup of today, an old one, a damaged one, none."""

import pytest
from doctor_world import site
from m0archive import files
from m0archive.backups import Backup, Kept, Rehearsal, Step, backup_chain, rehearsal_chain
from m0archive.chain import behind
from m0archive.entries import Entry, Place, claim_identity, log_chain
from m0archive.errors import NoArchive
from m0archive.objects import opened
from m0cli.doctor.backups import DAY_MS, backups
from m0common.clock import SystemClock
from m0common.deployment import Deployment
from m0common.errors import SettingsError
from m0common.settings import Archive, Settings

DEPLOYMENT = Deployment(b"g" * 32, b"c" * 32, 4)
IDENTITY = {"genesis_hash": DEPLOYMENT.genesis_hash.hex(), "control_key": DEPLOYMENT.control_key.hex()}


class Archived:
    """An archive in a folder, whose parts are as many days old as a test says."""

    def __init__(self, folder):
        self.settings = Settings.model_validate({"archive": Archive(url=folder.as_uri()), "deployment": IDENTITY})
        self.folder = folder
        self.now_ms = SystemClock().now_ms()

    def at(self, days):
        return self.now_ms - round(days * DAY_MS)

    async def log(self, *days, claims=0):
        """An entry with a record of each age, then so many that say who the writer is and no more."""
        store = opened(self.settings.archive)
        previous = await claim_identity(store, DEPLOYMENT)
        for number in range(len(days) + claims):
            age = days[number] if number < len(days) else 0
            places = [Place("t", 0, number, number + 1, 1, self.at(age), 8, "0" * 64)] if number < len(days) else []
            entry = Entry(
                number=number, previous=previous, fence=1, writer="w", written_ms=self.at(age), cluster="c", since=0,
                begins={}, ends={}, places=places,
            )  # fmt: skip
            previous = (await log_chain(store).append(entry)).sha256
        return self

    async def backup(self, days):
        store = opened(self.settings.archive)
        parts = await files.keep(store, chunks(b"1\tyes\n"))
        made = Backup(
            number=0, previous=await claim_identity(store, DEPLOYMENT), made_ms=self.at(days), took_ms=1, schema="0001",
            full=False, entry=0, tables=[Kept("outcomes", parts, ["id", "outcome"], 1)], files=[],
        )  # fmt: skip
        await backup_chain(store).append(made)
        return self

    async def rehearsal(self, *days, step="postgres", ok=True):
        """One of each age."""
        store = opened(self.settings.archive)
        root = await claim_identity(store, DEPLOYMENT)
        steps = [Step("replay", True, 1, "MATCH"), Step(step, ok, 1, "sports 7: another root")]
        for age in days:
            number, previous = behind(await rehearsal_chain(store).newest(), root)
            made = Rehearsal(number=number, previous=previous, made_ms=self.at(age), ok=ok, backup=0, steps=steps)
            await rehearsal_chain(store).append(made)
        return self

    async def said(self):
        return await backups(site(settings=self.settings, genesis_hash=IDENTITY["genesis_hash"]))


async def chunks(text):
    yield text


@pytest.fixture
def archive(tmp_path):
    return Archived(tmp_path / "archive")


async def test_a_backup_of_today_holds_and_says_what_it_covers(archive):
    await archive.log(9, 0.001)
    await archive.backup(0.5)
    verdict = await archive.said()
    assert verdict.ok, verdict
    assert "backup 0 of 12 h ago has 1 outcomes and 0 files" in verdict.evidence
    assert "the log is archived up to 86 s ago" in verdict.evidence
    assert "WARNING: tables were restored in no rehearsal" in verdict.evidence
    await archive.rehearsal(3)
    verdict = await archive.said()
    assert (verdict.ok, "tables were restored in a rehearsal 3 days ago" in verdict.evidence) == (True, True)
    assert "WARNING" not in verdict.evidence


@pytest.mark.parametrize(
    ("began", "rehearsed", "options", "ok", "sentence"),
    [
        (29, (), {}, True, "WARNING: tables were restored in no rehearsal"),
        (31, (), {}, False, "the archive began 31 days ago, and tables were restored in no rehearsal: `m0 backup rehe"),
        (40, (31,), {}, False, "tables were restored in a rehearsal 31 days ago: `m0 backup rehearse --into DSN`"),
        (40, (29,), {}, True, "tables were restored in a rehearsal 29 days ago"),
        (40, (1,), {"step": "verify"}, False, "tables were restored in no rehearsal"),
        (9, (1,), {"ok": False}, False, "rehearsal 0 did not work: postgres: sports 7: another root"),
    ],
)
async def test_only_a_rehearsal_of_the_last_month_that_restored_the_tables_is_one(
    archive, began, rehearsed, options, ok, sentence
):
    await archive.log(began, 0)
    await archive.backup(0)
    await archive.rehearsal(*rehearsed, **options)
    verdict = await archive.said()
    assert (verdict.ok, sentence in verdict.evidence) == (ok, True), verdict


async def test_a_rehearsal_without_tables_does_not_hide_the_one_before_it(archive):
    await archive.log(40, 0)
    await archive.backup(0)
    await archive.rehearsal(20)
    await archive.rehearsal(10, 1, step="verify")
    verdict = await archive.said()
    assert (verdict.ok, "restored in a rehearsal 20 days ago" in verdict.evidence) == (True, True), verdict


@pytest.mark.parametrize(
    ("log", "claims", "sentence"),
    [
        ((9, 0.1), 5, "the newest record of the log that is archived is of 2 h ago: see /ready of jobs"),
        ((), 5, "nothing of the log is archived"),
    ],
)
async def test_a_writer_that_says_who_it_is_and_writes_nothing_archives_nothing(archive, log, claims, sentence):
    await archive.log(*log, claims=claims)
    await archive.backup(0)
    verdict = await archive.said()
    assert (verdict.ok, sentence in verdict.evidence) == (False, True), verdict


@pytest.mark.parametrize(
    ("log", "backup", "ok", "sentence"),
    [
        ((9, 0), 2.1, False, "backup 0, the newest, was made 2 days ago: `m0 backup create`"),
        ((9, 3), 0.1, False, "the newest record of the log that is archived is of 3 days ago: see /ready of jobs"),
        ((), 0.1, False, "nothing of the log is archived: set M0_ARCHIVE_URL for jobs"),
        ((9, 0), None, False, "the archive began 9 days ago and has no backup: `m0 backup create`"),
        ((0.5, 0), None, None, "the archive began 12 h ago and has no backup: `m0 backup create`"),
    ],
)
async def test_what_is_old_or_missing_fails_and_what_is_not_due_yet_does_not(archive, log, backup, ok, sentence):
    await archive.log(*log)
    if backup is not None:
        await archive.backup(backup)
    verdict = await archive.said()
    assert (verdict.ok, sentence in verdict.evidence) == (ok, True), verdict


async def test_a_byte_that_was_changed_is_named(archive):
    await archive.log(9, 0)
    await archive.backup(0)
    (part,) = [path for path in (archive.folder / "files").rglob("*") if path.is_file()]
    part.write_bytes(part.read_bytes() + b"?")
    verdict = await archive.said()
    assert verdict.ok is False
    assert part.name in verdict.evidence
    assert "(outcomes of the newest backup): put it back from a copy" in verdict.evidence


async def test_an_archive_that_is_not_there_or_anothers_is_a_fault_and_nothing_is_made(archive):
    with pytest.raises(SettingsError, match="there is no such folder: name the one that jobs write to"):
        await archive.said()
    assert not archive.folder.exists()
    archive.folder.mkdir()
    with pytest.raises(NoArchive, match="there is no archive at"):
        await archive.said()
    await archive.log(1)
    other = archive.settings.deployment.model_copy(update={"genesis_hash": "77" * 32})
    archive.settings = archive.settings.model_copy(update={"deployment": other})
    with pytest.raises(NoArchive, match="is of a deployment with genesis hash"):
        await archive.said()
