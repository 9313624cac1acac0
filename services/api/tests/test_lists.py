"""Markets and epochs: shapes, paging, filters."""

import asyncio
import base64
import random

import psycopg
import pytest
from api_served import served
from m0_api import paging
from m0common.canonical import BundleHeader
from m0common.settings import Postgres
from m0index import changes

pytestmark = pytest.mark.postgres


async def walk(client, path, **params):
    """Every item of a list, page by page."""
    items, cursor = [], None
    while True:
        answer = await client.get(path, params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert set(page) == {"items", "next_cursor"}
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
        assert len(page["items"]) == params["limit"]


async def test_a_market_is_shown_as_the_registry_has_it(client):
    item = (await client.get("/v1/markets/EPL_000")).json()
    assert item == {
        "market_id": "EPL_000",
        "catalog": "sports",
        "group": "EPL",
        "title": "Title of EPL_000",
        "outcomes": ["home", "draw", "away"],
        "state": "DEPRECATED",
        "schema_version": 1,
        "opens_ms": 1000,
        "resolves_after_ms": 2000,
        "resolution": 2,
        "resolved_ms": 3000,
        "commitment": "finalized",
    }


async def test_walking_the_pages_of_markets_gives_each_once_in_order(client):
    items = await walk(client, "/v1/markets", limit=4)
    ids = [item["market_id"] for item in items]
    assert ids == sorted(ids)
    assert len(ids) == 11
    assert ids == [i["market_id"] for i in (await client.get("/v1/markets")).json()["items"]]


async def test_markets_can_be_filtered_by_catalog_and_state(client):
    items = await walk(client, "/v1/markets", limit=500, catalog="crypto")
    assert [i["market_id"] for i in items] == ["BTC_UP"]
    items = await walk(client, "/v1/markets", limit=500, state="DEPRECATED")
    assert [i["market_id"] for i in items] == ["EPL_000"]


async def test_walking_the_pages_of_epochs_gives_each_once_newest_first(client):
    items = await walk(client, "/v1/epochs", limit=3)
    both = [(epoch_id, catalog) for epoch_id in (109, 108, 107) for catalog in ("sports", "crypto")]
    single = [(epoch_id, "sports") for epoch_id in range(106, 99, -1)]
    assert [(i["epoch_id"], i["catalog"]) for i in items] == [*both, *single, (50, "crypto")]


@pytest.mark.parametrize(("path", "count"), [("/v1/markets", 11), ("/v1/epochs", 14)])
async def test_a_page_that_holds_exactly_what_is_left_is_the_last(client, path, count):
    page = (await client.get(path, params={"limit": count})).json()
    assert (len(page["items"]), page["next_cursor"]) == (count, None)


async def test_only_what_cannot_be_taken_back_is_called_finalized(client):
    items = await walk(client, "/v1/epochs", limit=50, status="finalized", catalog="sports")
    assert [i["epoch_id"] for i in items] == [106, 105, 104, 103, 102, 101, 100]
    unrooted = (await client.get("/v1/epochs/sports/107")).json()
    assert unrooted["status"] == "revealing"
    for field in ("finalize_signature", "finalized_slot", "merkle_root", "bundle_hash", "leaf_count", "body"):
        assert unrooted[field] is None
    assert [i["epoch_id"] for i in await walk(client, "/v1/epochs", limit=50, status="expired")] == [109]


async def test_the_body_of_a_final_epoch_is_missing_once_it_was_published_without(client, dsn):
    async def body():
        return (await client.get("/v1/epochs/crypto/50")).json()["body"]

    async def mark(connection, published):
        update = "UPDATE epochs SET published = %s WHERE (catalog, epoch_id) = ('crypto', 50)"
        async with connection.transaction():
            await connection.execute(update, (published,))
            await changes.notify(connection)

    assert await body() is None
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await mark(connection, True)
        try:
            async with asyncio.timeout(60):
                while await body() != "missing":  # noqa: ASYNC110 - what a client would do
                    await asyncio.sleep(0.02)
        finally:
            await mark(connection, False)


async def test_a_final_epoch_names_its_bundle_and_its_signers(client, world):
    item = (await client.get("/v1/epochs/sports/101")).json()
    header = BundleHeader.decode(world.bundles[101].header)
    assert item["bundle_hash"] == header.bundle_hash.hex()
    assert item["prev_bundle_hash"] == header.prev_bundle_hash.hex() != "0" * 64
    assert item["merkle_root"] == header.merkle_root.hex()
    assert (item["leaf_count"], item["body"]) == (9, "available")
    assert (item["window_start_ms"], item["window_end_ms"]) == (101 * 20_000, 102 * 20_000)
    assert isinstance(item["finalized_slot"], int)
    revealed = {s["signer"]: (s["committed"], s["revealed"]) for s in item["signers"]}
    keys = [str(k.pubkey()) for k in world.scene.signers]
    assert revealed == {keys[0]: (True, True), keys[1]: (True, True), keys[2]: (False, False)}


@pytest.mark.parametrize("path", ["/v1/markets", "/v1/epochs", "/v1/predictions/EPL_000/history"])
@pytest.mark.parametrize(
    "cursor", ["x", "!!", "gqFh", "kcA", "é", "a" * 511, "k80BAA", "kaEA", "k2WhAAA", "kc-AAAAAAAAAAA"]
)
async def test_a_cursor_that_this_list_did_not_make_is_a_problem(client, path, cursor):
    answer = await client.get(path, params={"cursor": cursor})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("path", "cursor"),
    [("/v1/epochs", "k89__________6Fhz3__________"), ("/v1/predictions/EPL_000/history", "kc9__________w")],
)
async def test_a_cursor_with_the_greatest_numbers_is_answered(client, path, cursor):
    assert (await client.get(path, params={"cursor": cursor})).status_code == 200


NUMBERS = (0, 1, -1, 85_000_000, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63))
TEXTS = ("", "A", "EPL_000", "sports", "\0", "a\0b", "\uffff", "\U0010ffff", "é" * 40, "x" * 300)


def cursors(kinds):
    """Keys of the right types with values from anywhere, keys of other types, and bytes that are no key."""
    drawn = random.Random(len(kinds))
    for _ in range(50):
        key = [drawn.choice(NUMBERS if kind is int else TEXTS) for kind in kinds]
        yield paging.encode(tuple(key))
        yield paging.encode(tuple(drawn.choice(NUMBERS + TEXTS) for _ in range(drawn.randrange(5))))
        yield base64.urlsafe_b64encode(drawn.randbytes(drawn.randrange(24))).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/v1/markets", (str,)),
        ("/v1/markets?catalog=sports&state=ACTIVE", (str,)),
        ("/v1/epochs", (int, str, int)),
        ("/v1/epochs?catalog=sports&status=finalized", (int, str, int)),
        ("/v1/predictions/EPL_000/history", (int,)),
    ],
)
async def test_every_cursor_works_or_is_a_problem(client, path, kinds):
    sign, codes = "&" if "?" in path else "?", []
    for cursor in cursors(kinds):
        answer = await client.get(f"{path}{sign}cursor={cursor}")
        codes.append((answer.status_code, answer.json().get("code")))
    assert set(codes) == {(200, None), (400, "invalid_cursor")}


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", ""])
async def test_a_limit_out_of_range_is_a_problem(client, limit):
    answer = await client.get("/v1/markets", params={"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "limit" in answer.json()["detail"]


async def test_the_named_paths_answer_without_prefix_too(client):
    paths = ["/markets", "/epochs", "/predictions/EPL_002/latest", "/predictions/EPL_002/proof", "/info", "/health"]
    for path in paths:
        plain, prefixed = await client.get(path), await client.get("/v1" + path)
        assert plain.status_code == prefixed.status_code == 200
        assert plain.content == prefixed.content
    assert b"m0_api_requests_total" in (await client.get("/metrics")).content


async def ready(client, wanted):
    for _ in range(100):
        answer = await client.get("/ready")
        if answer.status_code == wanted and "not asked" not in answer.text:
            break
        await asyncio.sleep(0.05)
    return answer


async def test_ready_says_whether_the_database_answers(client):
    assert (await ready(client, 200)).json() == {
        "status": "ok",
        "service": "api",
        "problems": {},
        "notes": {},
        "facts": {},
    }


async def test_a_database_that_is_not_migrated_or_not_there_makes_it_unready_and_answers_are_problems(settings, dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
    bare = dsn.rpartition("/")[0] + "/bare"
    for address, why in (
        (bare, "the database has no schema: start the indexer"),
        ("postgresql://m0@127.0.0.1:1/m0", "Connection refused"),
    ):
        async with served(settings.model_copy(update={"postgres": Postgres(dsn=address)})) as (app, c):
            app.state.pool.timeout = 0.5
            async with asyncio.timeout(60):
                while why not in (await ready(c, 503)).json()["problems"].get("postgres", ""):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert (await c.get("/health")).status_code == 200
            if address != bare:
                answer = await c.get("/v1/markets")
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
