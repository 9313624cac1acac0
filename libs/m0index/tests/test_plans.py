"""What is asked of much is answered through an index, whether the plan knows the values or not."""

import contextlib
import json

import psycopg
import pytest
from m0common.settings import Postgres
from m0common.store import postgres
from m0index.queries import bundles, epochs, markets, predictions
from m0index.tables import entities, history, outbox, outcomes, overdue, positions, scores, waiting

pytestmark = pytest.mark.postgres

MUCH = 20_000
FILL = """
    INSERT INTO catalogs SELECT 'c' || n, 1, 20000, 1, 1, 1, 'finalized' FROM generate_series(0, 3) n;
    INSERT INTO markets SELECT 'M' || n, sha256(n::text::bytea), 'c' || n % 4, 'g', 't', '{a,b}',
        (ARRAY['DRAFT', 'ACTIVE', 'PAUSED', 'DEPRECATED', 'ARCHIVED'])[n % 5 + 1], 1, n, n,
        CASE WHEN n % 100 <> 0 THEN 1 END, CASE WHEN n % 100 <> 0 THEN n END, NULL, 1, 'finalized'
        FROM generate_series(1, 20000) n;
    INSERT INTO epochs (catalog, epoch_id, status, signer_set_id, window_start_ms, window_end_ms, commit_deadline_ms,
                        reveal_deadline_ms, bundle_hash, closed, published, slot, commitment)
        SELECT 'c' || n % 4, n, CASE WHEN n % 500 = 0 THEN 'open' ELSE 'finalized' END, 1, n, n + 1, n, n,
               sha256(n::text::bytea), n % 500 <> 1, n % 400 <> 3, 1, 'finalized' FROM generate_series(1, 20000) n;
    INSERT INTO epoch_signers SELECT 'c' || n % 4, n, 'S', true, true, NULL, NULL, NULL, NULL, NULL, NULL, 'finalized'
        FROM generate_series(1, 20000) n;
    INSERT INTO bundles SELECT sha256(n::text::bytea), 'c' || n % 4, n, '', sha256(''), sha256(''), 1, 1, 1, '[]', '[]',
        1 FROM generate_series(1, 20000) n;
    INSERT INTO leaves SELECT sha256(n::text::bytea), 0, 'M' || n, n, 'c' || n % 4, '', sha256(''), 'm'
        FROM generate_series(1, 20000) n;
    INSERT INTO chain_transactions (program, signature, slot, commitment)
        SELECT 'p' || n % 2, 's' || n, n, 'finalized' FROM generate_series(1, 20000) n;
    INSERT INTO chain_events SELECT 's' || n, 0, 0, 'p', 'n', 'epoch:c:' || n, n, n, 1, 'finalized', '{}'
        FROM generate_series(1, 20000) n;
    INSERT INTO scores SELECT 'M' || n, 1, 'm', 'c', 1, 1, 1, 1 FROM generate_series(1, 20000) n WHERE n % 50 <> 1;
    UPDATE markets SET scored = EXISTS (SELECT FROM scores WHERE scores.market_id = markets.market_id);
    INSERT INTO outcomes SELECT 'M' || n, 0, n, 'c' || n % 4, sha256(''), 1, 's', 1 FROM generate_series(1, 20000) n;
    INSERT INTO provisional SELECT 'M' || n, 'c' || n % 4, n, 0, 1, 1, 1 << 30, '[]', 1, 0, 'm', sha256('')
        FROM generate_series(1, 20000) n;
    INSERT INTO pieces SELECT sha256(n::text::bytea), 'c', '', n FROM generate_series(1, 20000) n;
    INSERT INTO waiting_headers SELECT sha256(n::text::bytea), sha256(n::text::bytea), 'c', '',
        ARRAY[sha256(n::text::bytea)], n FROM generate_series(1, 20000) n;
    INSERT INTO positions SELECT 'r', 't' || n, 0, 'k', 1 FROM generate_series(1, 2000) n;
    INSERT INTO outbox (topic, routing, key, value, created_ms)
        SELECT 't', 'c', '', '', n FROM generate_series(1, 20000) n;
"""
HASH = bytes(32)
READ = {
    "markets": lambda p: markets.listed(p, None, None, None, 100),
    "markets behind a cursor": lambda p: markets.listed(p, None, None, "M5", 100),
    "markets of a catalog": lambda p: markets.listed(p, "c1", None, "M5", 100),
    "markets in a state": lambda p: markets.listed(p, None, "ACTIVE", "M5", 100),
    "markets of a catalog in a state": lambda p: markets.listed(p, "c1", "ACTIVE", "M5", 100),
    "a market": lambda p: markets.one(p, "M5"),
    "epochs": lambda p: epochs.listed(p, None, None, None, 100),
    "epochs behind a cursor": lambda p: epochs.listed(p, None, None, (500, "c1", 499), 100),
    "epochs of a catalog": lambda p: epochs.listed(p, "c1", None, (500, "c1", 499), 100),
    "epochs in a status": lambda p: epochs.listed(p, None, "open", (500, "c1", 499), 100),
    "epochs of a catalog in a status": lambda p: epochs.listed(p, "c1", "open", None, 100),
    "an epoch": lambda p: epochs.one(p, "c1", 5),
    "a bundle": lambda p: bundles.one(p, HASH),
    "leaves": lambda p: bundles.leaves(p, HASH),
    "history": lambda p: predictions.finalized(p, "M5", None, 100),
    "history behind a cursor": lambda p: predictions.finalized(p, "M5", 7, 100),
    "the newest prediction": lambda p: predictions.provisional(p, "M5", 1),
    "the newest proof": lambda p: predictions.to_prove(p, "M5", None),
    "a proof": lambda p: predictions.to_prove(p, "M5", 5),
    "a bundle that is awaited": lambda p: predictions.epoch_awaits_bundle(p, "M5", 5),
    "attestations": lambda p: predictions.attestations(p, "c1", 5, HASH),
}
WRITTEN = {
    "transactions since a slot": lambda c: history.stored_since(c, "p1", MUCH - 10),
    "events of things": lambda c: history.events_of(c, ["epoch:d:5"]),
    "markets by key": lambda c: entities.markets(c, [HASH]),
    "epochs by name": lambda c: entities.epochs(c, [("c1", 5)]),
    "every market": lambda c: anext(entities.every_market(c)),
    "epochs to publish": lambda c: outbox.unpublished(c, 20, {"c1"}),
    "epochs that wait": outbox.waiting,
    "the outbox": lambda c: outbox.oldest(c, 500),
    "markets to resolve": lambda c: outcomes.due_for_resolution(c, MUCH, MUCH, (500, "M5"), 200),
    "markets that are not resolved": lambda c: outcomes.unresolved(c, MUCH, 300),
    "an outcome's standing": lambda c: outcomes.standing(c, "M5"),
    "epochs that nobody finished": lambda c: overdue.stuck_epochs(c, MUCH, ("c1", 500), 100),
    "epochs to close": lambda c: overdue.closable_epochs(c, MUCH, (500, "c1"), 100),
    "markets to score": lambda c: scores.unscored(c, MUCH, (500, "M5"), 100),
    "headers that wait for a piece": lambda c: waiting.headers_for(c, HASH),
    "pieces by name": lambda c: waiting.pieces(c, [HASH]),
    "positions": lambda c: positions.of(c, "r", "k", []),
}
FEW = 3 * 500
"""A page, or a batch, and what is looked up for it."""
WHOLE = {"catalogs", "signer_sets", "schema_terms"}
"""Tables of a few rows, which are read whole."""


class Explained:
    """A connection that notes how each statement was run."""

    def __init__(self, connection):
        self.connection = connection
        self.plans = []

    async def execute(self, statement, params=(), **options):
        text = statement if isinstance(statement, str) else statement.as_string(self.connection)
        found = await self.connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", params, prepare=False)
        self.plans.append((await found.fetchone())["QUERY PLAN"][0]["Plan"])
        return await self.connection.execute(statement, params, **options)

    def scanned(self):
        """The tables that are read from one end to the other."""
        return {node["Relation Name"] for node in self._nodes() if node["Node Type"] == "Seq Scan"}

    def rows(self):
        """How many rows were read, also those that were then left out."""
        scans = [node for node in self._nodes() if "Scan" in node["Node Type"]]
        return sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in scans)

    def _nodes(self):
        return [node for plan in self.plans for node in nodes(plan)]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


class OnePool:
    """A pool of one connection."""

    max_size, timeout = 1, 60.0

    def __init__(self, connection):
        self._connection = connection

    @contextlib.asynccontextmanager
    async def connection(self):
        yield self._connection


@pytest.fixture(scope="module")
def dsn(databases):
    made = databases.index()
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("VACUUM ANALYZE")
    return made


@pytest.fixture(params=["custom", "generic"])
async def explained(dsn, request):
    async with (
        postgres.opened(Postgres(dsn=dsn), name="test", reading=True) as pool,
        pool.connection() as connection,
    ):
        await connection.execute(f"SET plan_cache_mode = force_{request.param}_plan")
        yield Explained(connection)


@pytest.mark.parametrize("question", READ)
async def test_what_the_public_asks_reads_no_table_from_end_to_end(explained, question):
    await READ[question](OnePool(explained))
    assert explained.plans
    told = json.dumps(explained.plans, indent=1)
    assert explained.scanned() <= WHOLE, told
    assert explained.rows() <= FEW, told


@pytest.mark.parametrize("question", WRITTEN)
async def test_what_writers_ask_reads_no_table_from_end_to_end(explained, question):
    await WRITTEN[question](explained)
    assert explained.plans
    told = json.dumps(explained.plans, indent=1)
    assert explained.scanned() <= WHOLE, told
    assert explained.rows() <= FEW, told
