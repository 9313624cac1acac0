"""A version that brings a step of the schema is installed and taken back while the API is asked: nobody notices."""

import pytest
from changed_images import change
from cluster_world import takes_its_time
from m0index import migrations
from under_load import expired, loaded, newest

pytestmark = [pytest.mark.timeout(1800), takes_its_time]
TAG = "migrated"
STEP = f"{int(migrations.head()) + 1:04}"
TEXT = f'''"""A column that nobody reads yet."""

from alembic import op

revision = "{STEP}"
down_revision = "{migrations.head()}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE markets ADD COLUMN tried boolean NOT NULL DEFAULT false")
    op.execute("CREATE INDEX markets_tried ON markets (market_id) WHERE tried")


def downgrade() -> None:
    op.execute("ALTER TABLE markets DROP COLUMN tried")
'''
ASK = """
import os, psycopg
print(psycopg.connect(os.environ["M0_PG_DSN"]).execute("SELECT version_num FROM alembic_version").fetchone()[0])
"""


def schema(release) -> str:
    """The step of the schema that the database is at."""
    return release.python(ASK).strip()


def test_a_release_goes_across_a_migration_and_back_and_nobody_notices(release):
    change(release.cluster, TAG, "m0index", f"migrations/versions/{STEP}_tried.py", TEXT)
    assert schema(release) == migrations.head()
    before = newest(release)
    with loaded(release, "migration") as load:
        done = release.upgrade("--set-string", f"global.imageTag={TAG}")
        assert done.returncode == 0, done.stderr
        assert schema(release) == STEP
        between = release.final(after=release.final() + 1)
        done = release.helm("rollback", "m0club", "--wait", "--timeout", "600s")
        assert done.returncode == 0, done.stderr
        assert schema(release) == STEP
        after = release.final(after=release.final() + 1)
        report = load.report()
    assert report["failed"] == []
    assert report["answered"].keys() == {"200"}
    assert report["gaps"] == []
    print(f"epochs that expired: {expired(release, before) or 'none'}")
    assert not release.unready()
    release.matches(before["sports"], between, after)
