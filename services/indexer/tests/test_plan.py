"""What to do about a listing."""

from hypothesis import given
from hypothesis import strategies as st
from m0_indexer.chain import Listing
from m0_indexer.plan import plan
from m0chain.rpc import SignatureInfo
from m0index.tables.history import Stored


def info(number, slot=None, error=None):
    return SignatureInfo(f"s{number}", number if slot is None else slot, None, error)


@given(
    total=st.integers(0, 30),
    final=st.integers(0, 30),
    stored=st.integers(0, 30),
    chunk=st.integers(1, 7),
    failed=st.sets(st.integers(0, 29)),
)
def test_everything_listed_is_stored_once_in_order_and_the_cursor_is_the_newest_final(
    total, final, stored, chunk, failed
):
    history = [info(i, error="failed" if i in failed else None) for i in range(total)]
    known = {f"s{i}": Stored(i, "confirmed") for i in range(min(stored, total)) if i not in failed}
    todo = plan(Listing(history[:final], history[final:]), known, chunk)
    fresh = [i.signature for c in todo.chunks for i, _ in c.fresh]
    assert fresh == [i.signature for i in history if i.error is None and i.signature not in known]
    promoted = [s for c in todo.chunks for s in c.promoted]
    assert promoted == [i.signature for i in history[:final] if i.signature in known]
    cursors = [c.cursor for c in todo.chunks if c.cursor]
    assert (cursors[-1].signature if cursors else None) == (f"s{min(final, total) - 1}" if min(final, total) else None)
    assert todo.missing == {}
    assert todo.moved == []


def test_a_cursor_never_passes_a_chunk_that_is_not_written():
    history = [info(i) for i in range(4)]
    chunks = plan(Listing(history, []), {}, 2).chunks
    assert [c.cursor.signature for c in chunks] == ["s1", "s3"]


def test_what_is_stored_and_not_listed_is_missing_unless_it_is_final():
    stored = {"a": Stored(5, "confirmed"), "b": Stored(5, "finalized")}
    assert plan(Listing([], []), stored).missing == {"a": 5}


def test_what_became_final_between_the_two_answers_is_stored_once():
    (chunk,) = plan(Listing([info(1), info(2)], [info(2), info(3)]), {}).chunks
    assert [(i.signature, level) for i, level in chunk.fresh] == [
        ("s1", "finalized"),
        ("s2", "finalized"),
        ("s3", "confirmed"),
    ]
