"""What is kept outside the servers gives back what they lose: an epoch from the archive alone, and the index's rows."""

import json
import shutil
from pathlib import Path

import psycopg
import pytest
from e2e_stack import CATALOGS, Stack
from m0common.rights import ADMINISTRATOR
from m0local import settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

SETTLED = ("bundles", "leaves", "markets", "outcomes", "scores")
"""Tables whose rows, once they are there, only become more."""
TIMES = frozenset({"stored_ms", "received_ms", "scored_ms", "position", "scored", "slot", "commitment"})
"""What says when a row was written, or how far the chain was then."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def told(archive: Path) -> dict[str, str]:
    return {"M0_ARCHIVE_URL": archive.as_uri()}


def archived(stack: Stack) -> dict[str, int]:
    """By catalog the newest epoch in the archive's newest log."""
    said = json.loads(stack.m0("backup", "list", "--json", check=False).stdout)
    return said["logs"][0]["epochs"]


def until_archived(stack: Stack, epochs: dict[str, int]) -> None:
    def there() -> bool:
        now = archived(stack)
        return all(now.get(catalog, -1) >= epoch for catalog, epoch in epochs.items())

    stack.wait(f"{epochs} to be archived", there, 300)


def database(stack: Stack) -> str:
    return settings.load(stack.env).pg_dsn


def rows(stack: Stack) -> dict[str, set[str]]:
    """What the settled tables hold, without the times of writing."""
    found = {}
    with psycopg.connect(database(stack)) as connection:
        for table in SETTLED:
            asked = connection.execute(sql.SQL("SELECT to_jsonb(t) FROM {} t").format(sql.Identifier(table)))
            found[table] = {
                json.dumps({key: value for key, value in row.items() if key not in TIMES}, sort_keys=True)
                for (row,) in asked
            }
    return found


def replace_by_an_empty_one(stack: Stack) -> None:
    """Drop the database with everybody in it, and make an empty one of its name."""
    told = conninfo_to_dict(database(stack))
    name = sql.Identifier(str(told["dbname"]))
    with psycopg.connect(make_conninfo(**(told | {"dbname": "template1"})), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def come_back(stack: Stack, before: dict[str, set[str]]) -> None:
    """Wait until every row that was there is there again."""

    def lacking() -> dict[str, int]:
        now = rows(stack)
        return {table: len(had - now[table]) for table, had in before.items() if had - now[table]}

    stack.wait("every row to be there again", lambda: not lacking(), 600)


def test_epochs_match_from_the_archive_alone_and_the_log_is_whole(stack: Stack):
    newest = stack.goes_on(epochs=3)
    until_archived(stack, newest)
    url = stack.env["M0_ARCHIVE_URL"]
    stack.stop("kafka")
    try:
        for catalog, epoch_id in newest.items():
            stack.replays(catalog, epoch_id, "--archive", url)
            stack.replays(catalog, epoch_id, "--archive", url, "--full")
    finally:
        stack.start("kafka")
    stack.all_ready()
    said = json.loads(stack.m0("backup", "verify", "--json").stdout)
    assert (said["ok"], said["lacks"]) == (True, 0)
    print(said)


def test_a_changed_byte_is_refused_and_named(stack: Stack, archive: Path):
    pieces = sorted(path for path in (archive / "pieces").rglob("*") if path.is_file())
    piece = pieces[len(pieces) // 2]
    honest = piece.read_bytes()
    piece.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))
    try:
        refused = stack.m0("backup", "verify", check=False)
        assert refused.returncode == 1
        assert piece.name in refused.stdout
    finally:
        piece.write_bytes(honest)
    assert stack.m0("backup", "verify").stdout.startswith("sound: ")


def test_a_database_that_is_wiped_is_filled_from_backup_log_and_chain(stack: Stack):
    stack.goes_on(epochs=1)
    print(stack.m0("backup", "create").stdout)
    before = rows(stack)
    assert all(before[table] for table in ("bundles", "leaves", "markets"))
    replace_by_an_empty_one(stack)
    stack.wait("the indexer to make the tables", lambda: can_be_asked(stack), 120)
    print(stack.m0("backup", "restore", "postgres", "--yes").stdout)
    come_back(stack, before)
    stack.goes_on(epochs=1)


def test_a_rebuild_gives_the_same_rows_from_log_and_chain_alone(stack: Stack):
    before = rows(stack)
    done = json.loads(stack.m0("rebuild", "--everything", "--yes", "--json", "--timeout", "900", timeout=1000).stdout)
    print(done)
    come_back(stack, before)
    assert all(done["after"][table] >= done["before"][table] for table in ("bundles", "leaves", "epochs", "markets"))


def test_a_rehearsal_says_that_it_works_and_how_long_it_took(stack: Stack):
    told = conninfo_to_dict(database(stack))
    with psycopg.connect(make_conninfo(**(told | {"dbname": "template1"})), autocommit=True) as connection:
        connection.execute("CREATE DATABASE rehearsal")
    stack.m0("backup", "create")
    into = make_conninfo(**(told | {"dbname": "rehearsal"}))
    done = json.loads(stack.m0("backup", "rehearse", "--into", into, "--json", timeout=900).stdout)
    print(done)
    assert done["ok"]
    assert [step["name"] for step in done["steps"]] == ["verify", "replay", "postgres"]
    assert sorted(CATALOGS) == sorted(archived(stack))
    assert json.loads(stack.m0("backup", "list", "--json").stdout)["rehearsal"]["number"] == done["number"]


def test_kafka_that_is_wiped_comes_back_from_the_archive_and_lanes_go_on(stack: Stack):
    before = stack.goes_on(epochs=1)
    until_archived(stack, before)
    finals = stack.finals()
    stack.m0("down")
    shutil.rmtree(stack.home / "kafka")
    stack.m0("up", "--only", "kafka")
    administrator = stack.credentials(ADMINISTRATOR)
    print(stack.m0("backup", "restore", "kafka", "--yes", env=administrator, timeout=900).stdout)
    refused = stack.m0("backup", "restore", "kafka", "--yes", "--log", "none", env=administrator, check=False)
    assert "has no log of cluster none" in refused.stderr
    print(stack.m0("up", check=False, timeout=600).stdout)
    for catalog in CATALOGS:
        print(stack.m0("lane", "rebase", catalog, "--yes").stdout)
    after = stack.goes_on(epochs=2, timeout=400)
    stack.all_ready()
    url = stack.env["M0_ARCHIVE_URL"]
    for catalog in CATALOGS:
        stack.replays(catalog, before[catalog])
        stack.replays(catalog, before[catalog], "--archive", url)
        stack.replays(catalog, after[catalog])
        known = {epoch["epoch_id"]: epoch["bundle_hash"] for epoch in stack.finals()[catalog]}
        assert all(known[epoch["epoch_id"]] == epoch["bundle_hash"] for epoch in finals[catalog])
    assert len(json.loads(stack.m0("backup", "list", "--json").stdout)["logs"]) == 2


def can_be_asked(stack: Stack) -> bool:
    try:
        rows(stack)
    except psycopg.Error:
        return False
    return True
