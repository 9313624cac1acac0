"""Bad input on the real log: one dead letter each, with origin and reason, and the lane goes on."""

import importlib.util
from pathlib import Path

import pytest
from e2e_stack import Stack
from m0common.errors import MessageTooLarge
from m0common.stream.records import Produce
from m0common.topics import RAW

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_spec = importlib.util.spec_from_file_location("e2e_log", Path(__file__).with_name("log.py"))
log = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(log)

EVENT = (
    b'{"source":"bad","source_event_id":"%s","group":"btc","market_id":"NOT_OPEN","kind":"%s",'
    b'"event_ms":%d,"received_ms":1700000000000,"payload":%s}'
)
BOOK = b'{"bids":[[400000000,1000]],"asks":[[500000000,1000]],"original_ms":1}'
NEAR_LIMIT = b'{"source":"bad","pad":"' + b"x" * (RAW.max_message_bytes - 4096) + b'"}'
BAD = {
    "empty": b"",
    "truncated": b'{"source":"bad","source_ev',
    "not json": b"\x00\x01\x02 hello",
    "deeply nested": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "unknown market": EVENT % (b"1", b"book", 1_700_000_000_000, BOOK),
    "impossible time": EVENT % (b"2", b"book", 1_800_000_000_000, BOOK),
    "not a number": EVENT % (b"3", b"quote", 1_700_000_000_000, b'{"p_ppb":[NaN,1],"original_ms":1}'),
    "does not sum": EVENT % (b"4", b"quote", 1_700_000_000_000, b'{"p_ppb":[500000000,499999999],"original_ms":1}'),
    "near the size limit": NEAR_LIMIT,
}


def test_each_bad_message_becomes_one_dead_letter_and_predictions_go_on(stack: Stack):
    before = len(log.dead_letters(stack.kafka))
    log.produce(stack.kafka, [Produce(RAW.name, 1, b"btc", value) for value in BAD.values()])
    letters = stack.wait(
        f"{len(BAD)} dead letters",
        lambda: (found := log.dead_letters(stack.kafka)) and len(found) >= before + len(BAD) and found,
        60,
    )
    assert len(letters) == before + len(BAD)
    values = {letter.value: letter for letter in letters.values()}
    for name, value in BAD.items():
        assert value in values, name
        assert values[value].reason, name
        assert values[value].topic == RAW.name
    newest = stack.finalized("crypto")[0]["epoch_id"]
    stack.wait("the lane to go on", lambda: stack.finalized("crypto")[0]["epoch_id"] > newest, 120)


def test_a_message_above_the_limit_is_refused_to_its_sender(stack: Stack):
    with pytest.raises(MessageTooLarge, match=r"m0\.raw\.v1"):
        log.produce(stack.kafka, [Produce(RAW.name, 1, b"btc", b"x" * (RAW.max_message_bytes + 1))])
