"""The newest record of a key counts; what a key holds is checked when it is asked for."""

import pytest
from m0common.cursors import SEASON, Cursors, SeasonRequest, cursor
from m0common.errors import InvalidValue
from m0common.stream.records import Record
from m0common.topics import CURSORS


def told(*messages):
    cursors = Cursors()
    for offset, message in enumerate(messages):
        cursors.take(Record(message.topic, message.partition, offset, message.key, message.value))
    return cursors


def test_the_newest_of_a_key_counts_and_an_empty_one_takes_it_away():
    cursors = told(cursor("a", 1), cursor("b", 2), cursor("a", 3), cursor("b", None))
    assert (cursors.get("a", int), cursors.get("b", int), cursors.has("b")) == (3, None, False)


def test_those_that_begin_alike_come_in_order_without_what_they_begin_with():
    cursors = told(cursor("number:es.1", 2), cursor("number:eng.1", 1), cursor("other", 9))
    assert list(cursors.under("number:", int)) == [("eng.1", 1), ("es.1", 2)]
    cursors.clear()
    assert list(cursors.under("number:", int)) == []


def test_a_request_for_a_season_comes_back_as_it_was_written():
    request = SeasonRequest("sports", 2, ("eng.1~2", "es.1~2"))
    assert told(cursor(SEASON + "sports", request)).get(SEASON + "sports", SeasonRequest) == request


@pytest.mark.parametrize("value", ["text", {"catalog": "sports", "season": 2, "groups": []}, {"season": 1}])
def test_a_value_of_another_kind_is_named_with_the_remedy(value):
    cursors = told(cursor("season:sports", value))
    with pytest.raises(InvalidValue, match=r"m0\.cursors\.v1 holds under key season:sports .* or an empty one"):
        cursors.get("season:sports", SeasonRequest)


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"])
def test_a_record_under_no_key_that_can_be_read_is_nobodys(key):
    cursors = told(cursor("a", 1))
    cursors.take(Record(CURSORS.name, 0, 9, key, b"\xc1"))
    assert cursors.get("a", int) == 1
