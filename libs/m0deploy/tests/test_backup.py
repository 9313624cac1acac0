"""Backups of tables and of what a deployment was told: what is in them, what never is, and that they come back."""

import hashlib
import json

import msgspec
import psycopg
import pytest
from m0archive import objects
from m0archive.backups import backup_chain, content, faults_of, rehearsal_chain
from m0archive.entries import claim_identity
from m0archive.errors import Damaged
from m0common.clock import SystemClock
from m0common.deployment import Deployment
from m0common.errors import Fenced, SettingsError, Unavailable
from m0common.settings import Archive, Postgres, load
from m0common.store import postgres
from m0common.store.postgres import transaction
from m0deploy.backup import create, restore, told
from m0deploy.rebuild import rebuild
from m0deploy.rehearsal import rehearse
from m0index import keeping
from m0local.testing import empty_index

pytestmark = pytest.mark.postgres
DEPLOYMENT = Deployment(b"g" * 32, b"c" * 32, 4)
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def dsn(databases):
    return databases.index()


@pytest.fixture(scope="module")
def other(databases):
    """Another database of that server, without anything in it."""
    return databases.empty()


@pytest.fixture
def settings(dsn):
    empty_index(dsn)
    with psycopg.connect(dsn) as connection:
        for number in range(300):
            connection.execute(
                "INSERT INTO outcomes (market_id, outcome, catalog, evidence_hash, event_ms, source, received_ms) "
                "VALUES (%s, 1, 'sports', %s, %s, %s, %s)",
                (f"M{number}", hashlib.sha256(b"%d" % number).digest(), number, "a\tb\\n\n\u00e9" * 3, number),
            )
            connection.execute(
                "INSERT INTO scores VALUES (%s, 7, 'm', 'sports', %s, 0.1, 1, 5)", (f"M{number}", number / 7)
            )
        connection.execute("INSERT INTO cursors VALUES ('chain:Q', 'x', 9, 1)")
        connection.execute("INSERT INTO leases VALUES ('jobs', 'somebody', 17, now())")
        connection.execute(
            "INSERT INTO chain_transactions (program, signature, slot, commitment) VALUES ('p', 's', 1, 'finalized')"
        )
        connection.execute("INSERT INTO outbox (topic, routing, key, value, created_ms) VALUES ('t', '', 'k', 'v', 1)")
    return Postgres(dsn=dsn)


@pytest.fixture
def store(tmp_path):
    return objects.opened(Archive(url=f"file://{tmp_path}/archive"))


async def rows(settings):
    """Every table by name, as text."""
    async with postgres.opened(settings, name="test") as pool, transaction(pool) as connection:
        return {
            name: [
                bytes(chunk)
                async for chunk in keeping.taken_out(connection, name, await keeping.columns(connection, name))
            ]
            for name in await keeping.tables(connection)
        }


async def made(store, settings, *, full=False, config=None):
    return await create(store, DEPLOYMENT, settings, config or {}, CLOCK, full=full)


async def test_every_table_is_either_kept_or_made_again(settings):
    async with postgres.opened(settings, name="test") as pool, transaction(pool) as connection:
        assert set(await keeping.tables(connection)) == {*keeping.KEPT, *keeping.REBUILT}


@pytest.mark.parametrize("full", [False, True])
async def test_what_is_restored_into_an_emptied_index_is_what_was_there(store, settings, full):
    backup, before = await made(store, settings, full=full), await rows(settings)
    assert {table.name for table in backup.tables} == (set(before) if full else set(keeping.KEPT))
    empty_index(str(settings.dsn.reveal()))
    put = await restore(store, settings, backup)
    after = await rows(settings)
    assert all(after[name] == before[name] for name in put)
    assert put["outcomes"] == put["scores"] == 300
    with psycopg.connect(settings.dsn.reveal()) as connection:
        newest, following = connection.execute(
            "SELECT max(position), nextval('outcomes_position') FROM outcomes"
        ).fetchone()
        assert following == newest + 1
        if full:
            (number,) = connection.execute(
                "INSERT INTO outbox (topic, routing, key, value, created_ms) VALUES ('t', '', 'k', 'v', 1) RETURNING id"
            ).fetchone()
            assert number == 2
            assert connection.execute("SELECT count(*) FROM leases").fetchone() == (0,)


async def test_rows_that_are_there_stay_and_those_that_are_not_come(store, settings):
    backup = await made(store, settings)
    with psycopg.connect(settings.dsn.reveal()) as connection:
        connection.execute("DELETE FROM outcomes WHERE market_id < 'M2'")
        connection.execute("UPDATE outcomes SET source = 'newer' WHERE market_id = 'M299'")
    put = await restore(store, settings, backup)
    assert put == {"outcomes": 112, "scores": 0}
    with psycopg.connect(settings.dsn.reveal()) as connection:
        assert connection.execute("SELECT source FROM outcomes WHERE market_id = 'M299'").fetchone() == ("newer",)


async def test_a_full_backup_goes_into_an_empty_database_alone(store, settings):
    backup = await made(store, settings, full=True)
    with pytest.raises(SettingsError, match="has rows in chain_transactions, cursors, outbox, outcomes, scores"):
        await restore(store, settings, backup)


async def test_a_backup_of_a_newer_schema_is_refused(store, settings):
    backup = msgspec.structs.replace(await made(store, settings), schema="9999")
    with pytest.raises(SettingsError, match="the backup's at 9999"):
        await restore(store, settings, backup)


async def test_one_changed_byte_is_refused_and_nothing_is_put_in(store, settings, tmp_path):
    backup = await made(store, settings, config={"settings.json": b"{}"})
    assert await faults_of(store) == []
    for path in sorted(path for path in (tmp_path / "archive").rglob("*") if path.is_file()):
        if path.name == "archive.json":
            continue
        honest = path.read_bytes()
        path.write_bytes(honest[:-3] + bytes([honest[-3] ^ 1]) + honest[-2:])
        name = path.relative_to(tmp_path / "archive").as_posix()
        assert any(name in fault for fault in await faults_of(store)), name
        path.write_bytes(honest)
    part = backup.tables[1].parts[0]
    path = tmp_path / "archive" / "files" / part.sha256[:2] / part.sha256
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    empty_index(str(settings.dsn.reveal()))
    with pytest.raises(Damaged, match=part.sha256):
        await restore(store, settings, backup)
    assert not any((await rows(settings)).values()), "all of a backup or nothing"


async def test_no_secret_is_in_a_backup(store, settings, tmp_path):
    catalogs = tmp_path / "config"
    for folder in ("markets", "risk"):
        (catalogs / folder).mkdir(parents=True)
        (catalogs / folder / "sports.toml").write_text("name = 'sports' # MARKER-of-the-password\n")
    (tmp_path / "values.yaml").write_text("token: MARKER-of-the-bucket\nreplicas: 2\n")
    (tmp_path / "pass").write_text("MARKER-in-a-file")
    (tmp_path / "some.toml").write_text("")
    environ = {
        "M0_PG_DSN": "postgresql://m0:MARKER-of-the-dsn@127.0.0.1/m0",
        "M0_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "M0_KAFKA_USERNAME": "jobs",
        "M0_KAFKA_PASSWORD": "MARKER-of-the-password",
        "M0_ARCHIVE_SECRET_ACCESS_KEY": "MARKER-of-the-bucket",
        "M0_KEY_PASSPHRASE_FILE": str(tmp_path / "pass"),
        "M0_RPC_URL": "https://node.example/MARKER-of-the-node-in-its-path",
        "M0_CATALOGS_DIR": str(catalogs),
    }
    config = told(load(environ, tmp_path / "some.toml"), [tmp_path / "values.yaml"])
    assert set(config) == {"settings.json", "markets/sports.toml", "risk/sports.toml", "values/values.yaml"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "values.yaml").write_text("replicas: 3\n")
    two = [tmp_path / "values.yaml", tmp_path / "other" / "values.yaml"]
    with pytest.raises(SettingsError, match=r"other/values\.yaml: another one is called values\.yaml too"):
        told(load(environ, tmp_path / "some.toml"), two)
    backup = await made(store, settings, config=config, full=True)
    kept = {each.name: b"".join([part async for part in content(store, each)]) for each in backup.files}
    assert not any(b"MARKER" in text for text in kept.values())
    assert b"replicas: 2" in kept["values/values.yaml"]
    assert json.loads(kept["settings.json"])["kafka"]["username"] == "jobs"
    for path in (tmp_path / "archive").rglob("*"):
        assert not path.is_file() or b"MARKER" not in path.read_bytes()


async def test_a_rehearsal_restores_into_a_database_of_its_own_and_is_noted(store, settings, other):
    await made(store, settings)

    async def replay(catalog, epoch_id):
        raise AssertionError("there is no epoch to replay")

    into = Postgres(dsn=other)
    done = await rehearse(store, DEPLOYMENT, replay, into, CLOCK)
    steps = {step.name: step for step in done.steps}
    assert steps["postgres"].ok, steps["postgres"].said
    assert steps["postgres"].said == "600 rows of 2 tables, equal to those of backup 0"
    assert (steps["verify"].ok, steps["replay"].ok, done.ok) == (False, False, False)
    assert "holds nothing yet" in steps["replay"].said
    assert (await rehearsal_chain(store).newest()).link == done
    assert await faults_of(store) == []
    with psycopg.connect(other) as connection:
        connection.execute("UPDATE scores SET brier = 0 WHERE market_id = 'M1'")
    again = await rehearse(store, DEPLOYMENT, replay, into, CLOCK)
    assert "table scores is not what the backup holds" in again.steps[2].said
    assert again.number == 1


@pytest.mark.parametrize("everything", [False, True])
async def test_a_rebuild_waits_until_readers_are_where_they_were_and_keeps_which_chain_it_is(settings, everything):
    with psycopg.connect(settings.dsn.reveal()) as connection:
        connection.execute("DELETE FROM cursors")
        connection.execute("INSERT INTO cursors VALUES ('genesis', 'G', 0, 1), ('chain:P', 's', 9, 1)")
        connection.execute("INSERT INTO positions VALUES ('m0-indexer', 'm0.headers.v1', 0, 'C', 7)")
    said = []

    def fill(there, of):
        """As the indexer does, a step at a time."""
        said.append((there, of))
        with psycopg.connect(settings.dsn.reveal()) as connection:
            if len(said) == 1:
                assert connection.execute("SELECT name FROM cursors").fetchall() == [("genesis",)]
                assert connection.execute("SELECT count(*) FROM leases").fetchone() == (1,)
                kept = 0 if everything else 300
                assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (kept,)
                connection.execute("INSERT INTO positions VALUES ('m0-indexer', 'm0.headers.v1', 0, 'C', 7)")
            else:
                connection.execute("INSERT INTO cursors VALUES ('chain:P', 's', 9, 1)")

    done = await rebuild(settings, CLOCK, everything=everything, timeout_s=60, says=fill)
    assert said == [(0, 2), (1, 2)]
    assert (done.before["chain_transactions"], done.after["chain_transactions"]) == (1, 0)
    assert done.after["outcomes"] == (0 if everything else 300)


@pytest.mark.parametrize("everything", [False, True])
async def test_a_rebuild_leaves_what_the_log_may_have_forgotten(settings, everything):
    day_ms = 86_400_000
    with psycopg.connect(settings.dsn.reveal()) as connection:
        connection.execute("DELETE FROM cursors")
        connection.execute("DELETE FROM positions")
        for days in (1, 5, 7, 30):
            mark, end_ms = bytes([days]) * 32, CLOCK.now_ms() - days * day_ms
            connection.execute(
                "INSERT INTO bundles VALUES (%s, 'sports', %s, '', %s, %s, 1, %s, %s, '{}', '{}', 1)",
                (mark, days, mark, mark, end_ms - 1, end_ms),
            )
            connection.execute("INSERT INTO leaves VALUES (%s, 0, 'M', %s, 'sports', '', %s, 'm')", (mark, days, mark))
    await rebuild(settings, CLOCK, everything=everything, timeout_s=60, says=lambda *_: None)
    with psycopg.connect(settings.dsn.reveal()) as connection:
        for table in ("bundles", "leaves"):
            found = connection.execute(f"SELECT epoch_id FROM {table} ORDER BY 1").fetchall()
            assert found == ([] if everything else [(7,), (30,)]), table


async def test_a_rebuild_that_nobody_fills_says_so(settings):
    with pytest.raises(Unavailable, match="1 of 1 readers are not where they were"):
        await rebuild(settings, CLOCK, everything=True, timeout_s=0.1, says=lambda *_: None)


async def test_an_archive_without_backups_has_none(store):
    await claim_identity(store, DEPLOYMENT)
    assert await backup_chain(store).newest() is None
    assert await faults_of(store) == []


async def test_of_two_backups_that_are_made_at_once_the_one_that_comes_late_says_what_to_do(
    store, settings, monkeypatch
):
    create_object, others = store.create, []

    async def another_first(name, value):
        if name == "backups/000000000000.json" and not others:
            others.append(name)
            others.append(await made(store, settings))
        return await create_object(name, value)

    monkeypatch.setattr(store, "create", another_first)
    with pytest.raises(
        Fenced, match="another backup was made while this one was, as number 0: 'm0 backup list' shows it"
    ):
        await made(store, settings)
    assert others[1].number == 0
    assert (await made(store, settings)).number == 1
