"""Bad input on the real log: at most one dead letter each, with origin and reason, and the lanes go on."""

import dataclasses
import hashlib
import time

import e2e_log as log
import pytest
from e2e_failures import failures
from e2e_stack import Stack
from m0common.errors import MessageTooLarge, Unavailable
from m0common.stream.kafka_security import ANONYMOUS
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import RAW

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

GROUP = b"btc"
EVENT = (
    b'{"source":"%s","source_event_id":"%s","group":"%s","market_id":%s,"kind":"%s",'
    b'"event_ms":%d,"received_ms":1700000000000,"payload":%s}'
)
BOOK = b'{"bids":[[400000000,1000]],"asks":[[500000000,1000]],"original_ms":1}'
NEAR_LIMIT = b'{"source":"bad","pad":"' + b"x" * (RAW.max_message_bytes - 4096) + b'"}'


def event(identity: bytes, source=b"books", market=b'"NOT_OPEN"', kind=b"book", payload=BOOK, at_ms=None, group=GROUP):
    at_ms = int(time.time() * 1000) if at_ms is None else at_ms
    return EVENT % (source, identity, group, market, kind, at_ms, payload)


def letters() -> dict[str, bytes]:
    """Each costs one dead letter."""
    marker = (
        b'{"catalog":"crypto","epoch_id":1,"window_start_ms":0,"window_end_ms":20000,"generation":1,"lanes":[],'
        b'"next":null}'
    )
    opening = b'{"catalog":"crypto","outcomes":["A","B"],"schema_version":1,"opens_ms":1}'
    nan = b'{"bids":[[NaN,1]],"asks":[],"original_ms":1}'
    return {
        "empty": b"",
        "truncated": b'{"source":"bad","source_ev',
        "not json": b"\x00\x01\x02 hello",
        "deeply nested": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "near the size limit": NEAR_LIMIT,
        "a source that the catalog does not list": event(b"1", source=b"bad"),
        "a dense source without a number": event(b"2"),
        "somebody else's marker": event(b"3", b"clock", b"null", b"epoch_end", marker, group=b""),
        "a market opened by nobody": event(b"4", b"registry", b'"MINE"', b"market_open", opening),
        "not a number": event(b"5", b"bad", b"null", payload=nan),
        "a time beyond all time": event(b"6", at_ms=10**18),
    }


def ordinary() -> dict[str, bytes]:
    """These cost nothing: dropped and counted."""
    return {
        "long ago": event(b"7", source=b"bad", at_ms=1_700_000_000_000),
        "a week ahead": event(b"8", source=b"bad", at_ms=int(time.time() * 1000) + 7 * 86_400_000),
    }


def test_each_bad_message_becomes_one_dead_letter_and_predictions_go_on(stack: Stack):
    before = log.dead_letters(stack.kafka)
    partition = partition_for(GROUP, 8)
    bad, free = letters(), ordinary()
    log.produce(stack.kafka, [Produce(RAW.name, partition, GROUP, value) for value in (*bad.values(), *free.values())])
    stranger = b"nobody's"
    log.produce(stack.kafka, [Produce(RAW.name, partition_for(stranger, 8), stranger, event(b"9", group=stranger))])
    found = stack.wait(
        f"{len(bad)} dead letters",
        lambda: (found := log.dead_letters(stack.kafka)) and len(found) >= len(before) + len(bad) and found,
        60,
    )
    assert len(found) == len(before) + len(bad)
    by_hash = {letter.value_hash: letter for letter in found.values()}
    for name, value in bad.items():
        letter = by_hash.get(hashlib.sha256(value).digest())
        assert letter is not None, name
        assert letter.reason, name
        assert (letter.topic, letter.value_bytes) == (RAW.name, len(value)), name
        assert letter.value == value[:4096], name
    newest = stack.finalized("crypto")[0]["epoch_id"]
    stack.wait("the lane to go on", lambda: stack.finalized("crypto")[0]["epoch_id"] > newest, 120)


def test_what_was_bad_shows_in_the_counters_of_failures_of_the_stage_that_met_it(stack: Stack):
    moved = [name for name in failures(stack) if "m0_stage_dead_letters_total" in name]
    assert moved
    assert {name.split(":")[0] for name in moved} == {"normalize"}


def test_a_message_above_the_limit_is_refused_to_its_sender(stack: Stack):
    with pytest.raises(MessageTooLarge, match=r"m0\.raw\.v1"):
        log.produce(stack.kafka, [Produce(RAW.name, 1, b"btc", b"x" * (RAW.max_message_bytes + 1))])


def test_a_stranger_without_a_password_reads_and_writes_nothing(stack: Stack):
    stranger = dataclasses.replace(stack.kafka, security=ANONYMOUS)
    with pytest.raises(Unavailable):
        log.produce(stranger, [Produce(RAW.name, 1, GROUP, b"from a stranger")])
    with pytest.raises(Unavailable):
        log.topic(stranger, RAW.name)
    assert b"from a stranger" not in {record.value for record in log.topic(stack.kafka, RAW.name)}
