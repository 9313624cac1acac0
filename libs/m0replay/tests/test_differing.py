"""How a lane message that replay says otherwise is told from the recorded one."""

from hashlib import sha256

import msgspec
import pytest
from m0common.canonical import ZERO
from m0common.messages import LaneMessage, encode
from m0lanes.bodies import FeatureRow, Marker
from m0replay.differing import SHOWN, explain

MARKER = Marker(7, 0, 10, 1, 1, (1, 3), None, (), ZERO, ZERO, ZERO, 1, ZERO, ZERO, (ZERO, ZERO))
ROW = FeatureRow("COIN", 7, 10, (("a", 1), ("b", 2)), ZERO, False)


def said(body, kind="book_update", cause=1685, release=ZERO) -> bytes:
    return encode(LaneMessage("coins", 1, 0, 3, release, cause, kind, msgspec.Raw(msgspec.msgpack.encode(body))))


def changed(struct, **fields):
    return msgspec.structs.replace(struct, **fields)


BOOK = "book_update caused by raw offset 1685"


@pytest.mark.parametrize(
    ("recorded", "again", "sentence"),
    [
        (None, said([1]), f"nothing is recorded, replay says {BOOK}"),
        (said([1], cause=9), said([1]), f"recorded book_update caused by raw offset 9, replay says {BOOK}"),
        (said([1], kind="trade"), said([1]), f"recorded trade caused by raw offset 1685, replay says {BOOK}"),
        (said([1, 2, 3]), said([1, 2, 4]), f"{BOOK}: its field 2 is 3, replay says 4"),
        (said([1, [5, [6]]]), said([1, [5, [7]]]), f"{BOOK}: its field 1[1][0] is 6, replay says 7"),
        (said([1, [5]]), said([1, [5, 6]]), f"{BOOK}: its field 1 is (5), replay says (5, 6)"),
        (said({"bid": 1, "ask": 2}), said({"bid": 1, "ask": 3}), f"{BOOK}: its ask is 2, replay says 3"),
        (said({"bid": 1}), said(b"\x01"), f"{BOOK}: its body is {{'bid': 1}}, replay says 01"),
        (said([1]), said([1], release=b"\x01" * 32), f"{BOOK}: its release is {'00' * 32}, replay says {'01' * 32}"),
        (
            said(ROW, "feature_row"),
            said(changed(ROW, values=(("a", 1), ("b", 3))), "feature_row"),
            "feature_row caused by raw offset 1685: its values[1][1] is 2, replay says 3",
        ),
        (
            said(MARKER, "marker", 4),
            said(changed(MARKER, lanes=(1,)), "marker", 5),
            "marker caused by raw offset 4: its lanes is (1, 3), replay says (1)",
        ),
        (
            said(MARKER, "marker"),
            said(changed(MARKER, state_digests=(ZERO, b"\x02" * 32)), "marker"),
            f"marker caused by raw offset 1685: its state_digests[1] is {'00' * 32}, replay says {'02' * 32}",
        ),
    ],
)
def test_what_differs_first_is_named(recorded, again, sentence):
    assert explain(recorded, again) == sentence


@pytest.mark.parametrize(
    ("recorded", "again"),
    [
        pytest.param(said([1]), said([True]), id="values that are equal"),
        pytest.param(said([1]).replace(b"\x91\x01", b"\xa1\xff"), said([1]), id="a text that is none"),
    ],
)
def test_where_no_field_can_be_named_it_is_the_hash_of_the_bytes(recorded, again):
    hashes = (sha256(each).hexdigest() for each in (recorded, again))
    assert explain(recorded, again) == f"{BOOK}: its hash is {next(hashes)}, replay says {next(hashes)}"


def test_a_long_value_is_cut():
    sentence = explain(said(["x" * 5_000]), said(["y"]))
    assert sentence == f"{BOOK}: its field 0 is {'x' * SHOWN}…, replay says y"
