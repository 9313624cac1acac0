"""The committed order book sample and what is built of other rows."""

import pytest
from m0common.errors import InvalidValue
from m0common.ids import check_market_id
from m0domains.crypto import dataset as books
from m0domains.crypto.data import build
from m0domains.history import Resolution
from m0domains.rows import parse


@pytest.fixture(scope="module")
def crypto():
    return books.load("btc", 60_000)


def built(book, market):
    head = [",".join(columns) for columns in (books.BOOK_COLUMNS, books.MARKET_COLUMNS)]
    snapshots = parse("b.csv", f"{head[0]}\n{book}".encode(), books.BOOK_COLUMNS)
    markets = parse("m.csv", f"{head[1]}\n{market}".encode(), books.MARKET_COLUMNS)
    return books.build(snapshots, markets, "btc", 60_000)


def test_there_are_eighteen_markets_that_each_open_with_a_book_and_resolve(crypto):
    assert len(crypto.listings) == 18
    for listing in crypto.listings:
        check_market_id(listing.market)
        own = [item for item in crypto.live if item.market == listing.market]
        assert own[0].at_ms == listing.opens_ms
        assert isinstance(own[-1], Resolution)
        assert own[-1].at_ms == listing.resolves_after_ms
        assert sum(isinstance(item, Resolution) for item in own) == 1
    assert sum(isinstance(item, Resolution) and item.outcome == "UP" for item in crypto.live) == 13


def test_items_and_listings_are_in_order_and_some_market_is_nearly_always_open(crypto):
    for times in ([i.at_ms for i in crypto.live], [x.opens_ms for x in crypto.listings]):
        assert times == sorted(times)
    open_until = crypto.listings[0].opens_ms
    for listing in crypto.listings:
        assert listing.opens_ms - open_until <= 180_000
        open_until = max(open_until, listing.resolves_after_ms)


GOOD_BOOK, GOOD_MARKET = "m,5,490:1,510:1", "m,q,0,9,UP"


@pytest.mark.parametrize(
    ("book", "market", "named"),
    [
        ("x,5,490:1,510:1", GOOD_MARKET, r"b\.csv, row 2: slug 'x'"),
        ("m,5.0,490:1,510:1", GOOD_MARKET, r"b\.csv, row 2: ts_ms '5\.0'"),
        ("m,5,490,510:1", GOOD_MARKET, r"b\.csv, row 2: bids '490'"),
        ("m,5,490:-1,510:1", GOOD_MARKET, r"b\.csv, row 2: bids"),
        ("m,5,490:1,2000000000:1", GOOD_MARKET, r"b\.csv, row 2: .*asks"),
        (GOOD_BOOK, GOOD_MARKET + "\nn,q,0,9,UP", r"m\.csv, row 3: slug 'n' has no book"),
        (GOOD_BOOK, "m,q,0,9,SIDEWAYS", r"m\.csv, row 2: outcome 'SIDEWAYS'"),
    ],
)
def test_a_bad_row_is_refused_by_name(book, market, named):
    assert built(GOOD_BOOK, GOOD_MARKET).item_count == 2
    with pytest.raises(InvalidValue, match=named):
        built(book, market)


def test_the_build_script_thins_and_rounds():
    assert build.ladder([0.5, 0.49, 1.0], [1.2345, 0.0, 5.0]) == "500000000:1234"
    book = {"slug": "m", "bid_px": [0.5], "bid_sz": [1.0], "ask_px": [], "ask_sz": []}
    rows = build.book_rows([{**book, "ts": ts} for ts in (0, 4_999, 5_000, 20_000)], {"m": 20_000})
    assert [row[1] for row in rows] == [0, 5_000]
