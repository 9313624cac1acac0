"""The state digest is a pure function of the set, whatever its history: a recursion over the set says the same."""

import independent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import Trie, state_digest
from m0common.canonical.trie import leaf_of

BASE = int.from_bytes(independent.h(b"base"))
NEAR = [(BASE ^ flip).to_bytes(32) for flip in (0, 1, 2, 3, 1 << 8, 1 << 9 | 1, 1 << 100, 1 << 254, 1 << 255)]
"""Key hashes that share long beginnings, as no sha256 would within a lifetime."""
key_hashes = st.one_of(
    st.sampled_from(NEAR),
    st.builds(lambda bit: (BASE ^ 1 << bit).to_bytes(32), st.integers(0, 255)),
    st.binary(min_size=32, max_size=32),
)
values = st.binary(max_size=3)
changes = st.tuples(key_hashes, st.one_of(st.none(), values), st.booleans())
"""A key, its new value or None to drop it, and whether the root is asked for then (inner nodes keep their hashes)."""


def recursion(entities):
    return independent.trie_root({key: independent.h(value) for key, value in entities.items()})


def filled(entities):
    trie = Trie()
    for key_hash, value in entities:
        trie.put(key_hash, leaf_of(key_hash, value))
    return trie


@given(st.lists(changes, max_size=40))
@settings(max_examples=150)
def test_after_any_puts_and_drops_the_root_is_that_of_the_set(history):
    trie, entities = Trie(), {}
    for key_hash, value, ask in history:
        if value is None:
            trie.drop(key_hash)
            entities.pop(key_hash, None)
        else:
            trie.put(key_hash, leaf_of(key_hash, value))
            entities[key_hash] = value
        if ask:
            assert trie.root == recursion(entities)
    assert trie.root == recursion(entities)


@given(st.dictionaries(key_hashes, values, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_puts_does_not_show(entities, random):
    items = list(entities.items())
    random.shuffle(items)
    assert filled(items).root == filled(entities.items()).root == recursion(entities)


@given(st.dictionaries(key_hashes, values, min_size=1, max_size=20), st.data())
@settings(max_examples=60)
def test_what_was_put_and_dropped_leaves_no_trace(entities, data):
    gone = data.draw(st.sets(st.sampled_from(sorted(entities))))
    trie = filled(entities.items())
    for key_hash in sorted(gone):
        trie.drop(key_hash)
    assert trie.root == recursion({k: v for k, v in entities.items() if k not in gone})


def test_no_entity_is_zero_bytes_and_one_is_its_leaf():
    assert Trie().root == bytes(32)
    assert filled([(NEAR[0], b"v")]).root == leaf_of(NEAR[0], b"v")
    trie = filled([(NEAR[0], b"v"), (NEAR[1], b"w")])
    trie.drop(NEAR[1])
    assert trie.root == leaf_of(NEAR[0], b"v")
    trie.drop(NEAR[0])
    assert trie.root == bytes(32)


@pytest.mark.parametrize("shared", [0, 1, 7, 8, 254, 255])
def test_two_entities_part_below_a_node_for_every_bit_they_share(shared):
    other = (BASE ^ 1 << 255 - shared).to_bytes(32)
    left, right = sorted([NEAR[0], other])
    root = independent.h(b"\x01", leaf_of(left, b"a"), leaf_of(right, b"b"))
    for level in reversed(range(shared)):
        sides = (bytes(32), root) if BASE >> 255 - level & 1 else (root, bytes(32))
        root = independent.h(b"\x01", *sides)
    assert filled([(left, b"a"), (right, b"b")]).root == root


def test_dropping_a_key_that_is_not_there_changes_nothing():
    trie = filled([(NEAR[0], b"v"), (NEAR[4], b"w")])
    before = trie.root
    for key_hash in (NEAR[1], NEAR[8], bytes(32)):
        trie.drop(key_hash)
    assert trie.root == before
    Trie().drop(NEAR[0])


@given(st.dictionaries(st.binary(max_size=4), st.binary(max_size=4), max_size=6), st.data())
@settings(max_examples=60)
def test_every_other_set_has_another_digest(entities, data):
    digest = state_digest(entities.items())
    assert digest == independent.state_digest(entities)
    key = data.draw(st.binary(max_size=4))
    value = data.draw(st.binary(max_size=4).filter(lambda value: entities.get(key) != value))
    assert state_digest((entities | {key: value}).items()) != digest
