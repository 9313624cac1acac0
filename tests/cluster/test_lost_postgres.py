"""Postgres loses its volume: the index comes back from a backup, the log and the chain.

Before test_migration.py, which leaves a schema that this version does not make: a backup of it waits for one that does.
"""

import json
import time

import pytest
from cluster_world import takes_its_time

pytestmark = [pytest.mark.timeout(1800), takes_its_time]
SETTLED = ("bundles", "leaves", "markets", "outcomes", "scores")
"""Tables whose rows, once they are there, only become more."""
TIMES = ("stored_ms", "received_ms", "scored_ms", "position", "scored", "slot", "commitment")
"""What says when a row was written, or how far the chain was then."""
ROWS = """
import hashlib, json, os, sys
import psycopg
tables, times = map(json.loads, sys.argv[1:])
found = {}
with psycopg.connect(os.environ["M0_PG_DSN"]) as connection:
    for table in tables:
        rows = [{k: v for k, v in row.items() if k not in times}
                for (row,) in connection.execute(f"SELECT to_jsonb(t) FROM {table} t")]
        found[table] = sorted(hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest() for row in rows)
print(json.dumps(found))
"""
VOLUME = "data-m0club-postgres-0"


def rows(release) -> dict[str, set[str]]:
    """A hash of each row of the settled tables, without the times of writing."""
    said = json.loads(release.python(ROWS, json.dumps(SETTLED), json.dumps(TIMES)))
    return {table: set(hashes) for table, hashes in said.items()}


def volume(release) -> str:
    """Whose claim it is that Postgres has."""
    return release.kubectl("get", "pvc", VOLUME, "-o", "jsonpath={.metadata.uid}")


def test_a_wiped_volume_of_postgres_is_filled_from_backup_log_and_chain(release):
    release.until(lambda: all(rows(release).values()))
    release.kubectl("create", "job", "backup-before", "--from=cronjob/m0club-backup")
    release.kubectl("wait", "--for=condition=complete", "job/backup-before", "--timeout=300s")
    print(release.kubectl("logs", "job/backup-before"))
    before, claim, lost_at = rows(release), volume(release), time.monotonic()

    release.kubectl("delete", "pvc", VOLUME, "--wait=false")
    release.kubectl("delete", "pod", "m0club-postgres-0")
    release.until(lambda: volume(release) != claim)
    release.kubectl("rollout", "status", "statefulset/m0club-postgres", "--timeout=300s")
    print(f"an empty Postgres answers after {time.monotonic() - lost_at:.0f} s")

    release.until(lambda: rows(release).keys() == set(SETTLED))
    print(release.m0("backup", "restore", "postgres", "--yes"))

    def lacking() -> dict[str, int]:
        now = rows(release)
        return {table: len(had - now[table]) for table, had in before.items() if had - now[table]}

    release.until(lambda: not lacking(), 600)
    print(
        f"every row is there again after {time.monotonic() - lost_at:.0f} s: "
        + str({k: len(v) for k, v in before.items()})
    )
    release.until(lambda: not release.unready())
    after = release.final(after=release.final())
    release.matches(after)
    found = json.loads(release.m0("doctor", "--json"))
    assert found["ok"], [each for each in found["checks"] if not each["ok"]]
