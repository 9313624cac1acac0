"""What of an address may be shown, and what is taken out of other text."""

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0common import masking

KEY = "k3y-that-nobody-may-see"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"https://node.example/v2/{KEY}", "https://node.example/***"),
        (f"https://node.example:8443/?api-key={KEY}", "https://node.example:8443/?***"),
        (f"wss://{KEY}@node.example", "wss://***@node.example"),
        (f"https://u:{KEY}@node.example/{KEY}?{KEY}#{KEY}", "https://***@node.example/***?***#***"),
        ("http://127.0.0.1:8899", "http://127.0.0.1:8899"),
        (KEY, "***"),
        (f"http://[{KEY}", "***"),
        ("", ""),
    ],
)
def test_of_a_nodes_address_scheme_host_and_port_are_shown(address, shown):
    assert masking.url(address).shown == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"postgresql://m0:{KEY}@db:5432/m0", "postgresql://m0:***@db:5432/m0"),
        (f"postgresql://m0@db/m0?sslmode=require&password={KEY}", "postgresql://m0@db/m0?sslmode=require&password=***"),
        (f"host=db user=m0 password='{KEY} \\' x' dbname=m0", "host=db user=m0 password=*** dbname=m0"),
        (f"redis://:{KEY}@cache:6379/0", "redis://:***@cache:6379/0"),
        ("postgresql://m0@127.0.0.1:5432/m0", "postgresql://m0@127.0.0.1:5432/m0"),
        (f"postgresql://m0:#{KEY}?{KEY}@db/m0", "postgresql://m0:***@db/m0"),
        (f"host=db password={KEY}\\ {KEY} dbname=m0", "host=db password=*** dbname=m0"),
        (
            f"postgresql://a:1,[::1]:2/m0?oauth_client_secret={KEY}#x",
            "postgresql://a:1,[::1]:2/m0?oauth_client_secret=***#x",
        ),
        (f"postgresql://m0:p@{KEY}@db/m0", "***"),
        (f"postgresql://m0:{KEY}/with/slash@db/m0", "***"),
        (KEY, "***"),
    ],
)
def test_of_a_databases_address_all_but_passwords_is_shown(address, shown):
    assert masking.dsn(address).shown == shown


def test_a_password_is_found_as_written_and_as_decoded():
    address = "postgresql://m0:p%40ss%2Fword@db/m0"
    assert masking.scrub("p@ss/word p%40ss%2Fword", address, masking.dsn(address)) == "*** ***"


@pytest.mark.parametrize(
    "password", [f'{KEY}"x"', f"{KEY}\\x", f"s\u00e9same-{KEY}", f"{KEY} +/&", f"{KEY}'x", f"{KEY}%40"]
)
@pytest.mark.parametrize("address", ["{quoted}", "postgresql://m0:{quoted}@db/m0", "password='{libpq}' host=db"])
def test_a_password_is_found_however_a_text_writes_it(password, address):
    libpq = password.replace("\\", "\\\\").replace("'", "\\'")
    value = password if address == "{quoted}" else address.format(quoted=quote(password, safe=""), libpq=libpq)
    masked = masking.opaque(value) if value == password else masking.dsn(value)
    for text in (password, json.dumps(password), repr(password), quote(password), quote_plus(password), value):
        assert KEY not in masking.scrub(f"failed: {text}!", value, masked)


@pytest.mark.parametrize(
    "address", [f"postgresql://m0:p@{KEY}@db/m0", f"postgresql://m0:{KEY}/with/slash@db/m0", f"redis://:a/{KEY}@db/0"]
)
def test_where_nobody_can_tell_what_the_password_is_every_piece_is_taken_out(address):
    assert "percent-encode" in masking.dsn_fault(address)
    assert KEY not in masking.scrub(f"failed to resolve host '{KEY}@db'", address, masking.dsn(address))


@pytest.mark.parametrize(
    "address",
    ["postgresql:///m0", "postgresql://m0@db,[::1]:5433/m0?options=a@b", "host=db user=a@b", "postgresql://%2Frun/m0"],
)
def test_an_address_that_can_be_told_has_no_fault(address):
    assert masking.dsn_fault(address) is None
    assert masking.dsn(address).shown == address


def test_an_ordinary_word_of_a_path_or_a_query_stays_in_other_text():
    address = f"https://node.example/solana/{KEY}?commitment=confirmed"
    assert masking.scrub(f"confirmed on solana by {KEY}", address, masking.url(address)) == "confirmed on solana by ***"


@given(
    st.text("abcdefgh0123456789-_", min_size=12, max_size=40), st.sampled_from(["path", "query", "user", "password"])
)
def test_no_part_of_an_address_that_holds_a_key_survives_in_any_text(key, where):
    address = {
        "path": f"https://node.example/{key}/x",
        "query": f"https://node.example/x?a={key}",
        "user": f"https://{key}@node.example",
        "password": f"https://user:{key}@node.example",
    }[where]
    masked = masking.url(address)
    assert key not in masked.shown
    assert key not in masking.scrub(f"failed: {key} at {address}: for url '{address}/'", address, masked)
