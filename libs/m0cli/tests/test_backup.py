"""`m0 backup` over an archive in a folder: what it lists, that it refuses what was changed, and wrong use."""

import asyncio
import importlib.util
import json
import re
import sys
from pathlib import Path

import lanes_world as lanes
import pytest
from m0archive.broker import ArchiveBroker
from m0archive.incarnation import incarnations
from m0archive.objects import opened
from m0cli.archived import log_with
from m0cli.backup import app
from m0cli.rebuild import app as rebuild
from m0common.settings import Archive
from m0replay.replay import replay_epoch
from typer.testing import CliRunner

_spec = importlib.util.spec_from_file_location(
    "archive_world", Path(__file__).parents[2] / "m0archive/tests/archive_world.py"
)
archive_world = sys.modules.setdefault("archive_world", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(archive_world)
NEWEST = lanes.FIRST + 2


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The folder of an archive with the logs of two clusters."""
    folder = tmp_path / "archive"
    (tmp_path / "some.toml").write_text("")
    for name, value in {
        "M0_HOME": str(tmp_path / "home"),
        "M0_CONFIG_PATH": str(tmp_path / "some.toml"),
        "M0_ARCHIVE_URL": folder.as_uri(),
        "M0_GENESIS_HASH": archive_world.DEPLOYMENT.genesis_hash.hex(),
        "M0_CONTROL_KEY": archive_world.DEPLOYMENT.control_key.hex(),
    }.items():
        monkeypatch.setenv(name, value)

    async def fill():
        store = opened(Archive(url=folder.as_uri()))
        for epochs, first in ((2, lanes.FIRST), (3, lanes.FIRST)):
            made = await archive_world.Archived(store).of(lanes.season(epochs, first=first).records)
            made.everything_is_old()
            await made.fill()

    asyncio.run(fill())
    return folder


def said(*args, code=0, command=app):
    done = CliRunner().invoke(command, list(args))
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.postgres
def test_leaves_of_both_logs_are_put_into_an_index_once(archive, databases, monkeypatch):
    monkeypatch.setenv("M0_PG_DSN", databases.index())
    said("restore", "bundles", code=2)
    first = json.loads(said("restore", "bundles", "--yes", "--json"))
    assert (first["headers"], first["bundles"], first["refused"]) == (5, 3, 0), "two epochs are in both logs"
    assert first["leaves"] >= first["bundles"]
    assert "0 bundles with 0 leaves put in, of 5 that the archive has\n" in said("restore", "bundles", "--yes")


def test_both_logs_are_listed_and_the_archive_is_sound(archive):
    found = json.loads(said("list", "--json"))
    newest, before = found["logs"]
    assert (newest["epochs"], before["epochs"]) == ({"coins": NEWEST}, {"coins": NEWEST - 1})
    assert (found["backups"], found["rehearsal"], newest["gaps"]) == ([], None, [])
    assert "never rehearsed" in said("list")
    assert said("verify").startswith("sound: ")
    assert json.loads(said("verify", "--json"))["ok"] is True
    assert said("verify", "--archive", archive.as_uri()).startswith("sound: ")


def test_what_was_changed_is_refused_and_named(archive):
    piece = min(path for path in (archive / "pieces").rglob("*") if path.is_file())
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    output = said("verify", code=1)
    assert piece.name in output
    assert "REFUSED" in output
    assert json.loads(said("verify", "--json", code=1))["ok"] is False


def test_a_folder_that_is_no_archive_is_listed_as_one_by_no_command(archive, tmp_path):
    for command in ("list", "verify"):
        output = said(command, "--archive", tmp_path.as_uri(), code=1)
        assert f"m0 backup: there is no archive at {tmp_path.as_uri()}" in output
        assert "--archive is empty: write file:///FOLDER" in said(command, "--archive", "", code=1)


@pytest.mark.postgres
def test_what_of_an_archive_is_damaged_hides_nothing_else_in_a_list(archive, monkeypatch, databases):
    monkeypatch.setenv("M0_PG_DSN", databases.index())
    for _ in range(3):
        said("create")
    (archive / "backups" / "000000000001.json").write_text("{")
    newest = max(path for path in (archive / "log").iterdir() if path.stem.isdecimal())
    newest.write_bytes(b"")
    found = json.loads(said("list", "--json", code=1))
    assert [each["number"] for each in found["backups"]] == [0, 2]
    output = said("list", code=1)
    for name in ("backups/000000000001.json", f"log/{newest.name}"):
        assert re.search(f"m0 backup: {name}: .*: put it back from a copy of the archive; 'm0 backup verify'", output)
        assert any(fault.startswith(name) for fault in found["faults"])


@pytest.mark.postgres
def test_a_backup_is_made_and_all_of_the_archive_verified_at_once(archive, monkeypatch, databases):
    monkeypatch.setenv("M0_PG_DSN", databases.index())
    output = said("create", "--verify")
    assert output.startswith("backup 0 of ")
    assert "\nsound: " in output
    found = json.loads(said("create", "--verify", "--json"))
    assert (found["number"], found["verified"]["ok"]) == (1, True)
    piece = min(path for path in (archive / "pieces").rglob("*") if path.is_file())
    piece.write_bytes(piece.read_bytes() + b"?")
    found = json.loads(said("create", "--verify", "--json", code=1))
    assert (found["number"], found["verified"]["ok"]) == (2, False)
    assert "verified" not in json.loads(said("create", "--json"))


def test_an_epoch_is_read_from_the_newest_log_that_closed_it(archive):
    async def run():
        store = opened(Archive(url=archive.as_uri()))
        clusters = [each.cluster async for each in incarnations(store)]
        of = [
            await (await log_with(store, archive_world.DEPLOYMENT, "coins", epoch)).cluster()
            for epoch in (NEWEST, NEWEST - 1, NEWEST + 1)
        ]
        return clusters, of

    (newest, _), of = asyncio.run(run())
    assert of == [newest] * 3


def test_the_log_of_a_cluster_that_is_gone_is_replayed_by_its_own_offsets(archive):
    async def run():
        store = opened(Archive(url=archive.as_uri()))
        _, old = [ArchiveBroker(each) async for each in incarnations(store)]
        world = await archive_world.Archived(store).of(lanes.season(2).records)
        return await replay_epoch(old, world.log.heart, world.log.final, "coins", NEWEST - 1, lanes_kept=False)

    assert asyncio.run(run()).match


def test_an_archive_of_another_deployment_is_refused(archive, monkeypatch):
    monkeypatch.setenv("M0_GENESIS_HASH", "77" * 32)
    for command in ("list", "verify"):
        assert CliRunner().invoke(app, [command]).exit_code == 1
    assert "is of a deployment with genesis hash" in json.loads(said("verify", "--json", code=1))["error"]


def test_no_archive_is_one_sentence(archive, monkeypatch, tmp_path):
    missing = tmp_path / "nothing"
    monkeypatch.setenv("M0_ARCHIVE_URL", missing.as_uri())
    for command in ("list", "verify", "create"):
        assert "there is no such folder" in json.loads(said(command, "--json", code=1))["error"]
    assert not missing.exists()
    missing.mkdir()
    assert "there is no archive at file://" in json.loads(said("verify", "--json", code=1))["error"]
    monkeypatch.delenv("M0_ARCHIVE_URL")
    assert "set M0_ARCHIVE_URL, or say --archive URL" in json.loads(said("verify", "--json", code=1))["error"]


def test_where_nobody_can_be_asked_nothing_is_written_without_yes(archive):
    said("restore", "postgres", code=2)
    said(code=2, command=rebuild)


def test_a_backup_that_is_not_there_is_one_sentence(archive):
    found = json.loads(said("restore", "postgres", "--yes", "--json", code=1))
    assert "has no backup: see 'm0 backup list'" in found["error"]
