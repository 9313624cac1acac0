"""A state as a map: its digest, what a checkpoint must say of it, what it counts."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import Trie, state_digest
from m0lanes.entities import SHARES, Entities, Entry, entity_key, key_parts

keys = st.integers(0, 30).map(lambda n: b"key-%d" % n)
values = st.binary(max_size=6)
changes = st.lists(st.tuples(keys, st.one_of(st.none(), values)), max_size=12)
few = st.sampled_from([1, 3, 8])


def change(entities: Entities, state: dict[bytes, bytes], done) -> None:
    for key, value in done:
        if value is None:
            entities.drop(key)
            state.pop(key, None)
        else:
            entities.put(key, value)
            state[key] = value


@given(st.dictionaries(keys, values), st.lists(changes, max_size=6))
@settings(max_examples=100)
def test_the_digest_and_the_counts_are_those_of_the_set_whatever_led_to_it(start, rounds):
    entities, state = Entities(start.items()), dict(start)
    for done in rounds:
        change(entities, state, done)
        assert dict(entities.items()) == state
        assert entities.digest() == state_digest(state.items())
        assert entities.count == len(state)
        assert entities.bytes == sum(len(key) + len(value) for key, value in state.items())
        assert all(entities.get(key) == state.get(key) for key in [b"nothing", *state])


@given(st.dictionaries(keys, values), changes, few)
@settings(max_examples=100)
def test_a_checkpoint_says_what_changed_and_no_more_than_one_share_beside_it(start, done, shares):
    entities, state = Entities(start.items(), shares), dict(start)
    change(entities, state, done)
    said = entities.unsaid(whole=False)
    assert said == sorted(said)
    assert dict(said).items() <= {key: state.get(key) for key in {*start, *state, *dict(done)}}.items()
    touched = {key for key, _ in done if start.get(key) != state.get(key)}
    assert touched <= dict(said).keys()
    rest = Entities(start.items(), shares)
    assert dict(said).keys() - {key for key, _ in done} <= {entry.key for entry in rest.unsaid(whole=False)}


@given(st.dictionaries(keys, values), st.lists(changes, min_size=8, max_size=12), few, st.booleans())
@settings(max_examples=100)
def test_k_checkpoints_one_after_another_say_the_whole_state(start, rounds, shares, restored):
    """Also from a restored one on, whose first checkpoint is not whole."""
    entities, state = Entities(start.items() if restored else (), shares), dict(start) if restored else {}
    said: list[list[Entry]] = []
    for done in rounds:
        change(entities, state, done)
        said.append(entities.unsaid(whole=False))
        if len(said) >= shares:
            newest = {entry.key: entry.value for checkpoint in said[-shares:] for entry in checkpoint}
            assert {key: value for key, value in newest.items() if value is not None} == state


@given(st.dictionaries(keys, values), changes)
@settings(max_examples=50)
def test_a_whole_checkpoint_says_everything_and_every_deletion(start, done):
    entities, state = Entities(start.items()), dict(start)
    change(entities, state, done)
    said = dict(entities.unsaid(whole=True))
    assert {key: value for key, value in said.items() if value is not None} == state
    assert {key for key, value in said.items() if value is None} <= {key for key, _ in done}
    assert dict(entities.unsaid(whole=True)) == state


def test_putting_what_is_there_and_dropping_what_is_not_are_no_changes():
    entities = Entities([(b"k", b"v")], shares=1 << 16)
    entities.put(b"k", b"v")
    entities.drop(b"other")
    assert entities.unsaid(whole=False) == []
    entities.put(b"k", b"w")
    entities.put(b"k", b"v")
    assert entities.unsaid(whole=False) == [Entry(b"k", b"v")]


def test_a_deletion_is_said_once_and_a_key_that_came_and_went_with_it():
    entities = Entities([(b"old", b"v")], shares=1 << 16)
    entities.put(b"brief", b"v")
    for key in (b"old", b"brief"):
        entities.drop(key)
    assert entities.unsaid(whole=False) == [Entry(b"brief", None), Entry(b"old", None)]
    assert entities.unsaid(whole=False) == []
    assert (entities.count, entities.bytes, entities.digest()) == (0, 0, bytes(32))


@pytest.mark.parametrize("size", [100, 1000, 20_000])
def test_what_a_checkpoint_says_is_what_changed_and_a_kth_of_the_rest(size):
    entities = Entities((entity_key(1, str(n)), b"v") for n in range(size))
    shares = []
    for turn in range(SHARES):
        touched = [entity_key(1, str(n)) for n in range(turn, turn + 20)]
        for key in touched:
            entities.put(key, b"w%d" % turn)
        said = {entry.key for entry in entities.unsaid(whole=False)}
        assert said >= set(touched)
        shares.append(said - set(touched))
    assert max(map(len, shares)) <= 2 * size / SHARES + 10
    assert sum(map(len, shares)) <= size


@given(st.dictionaries(keys, values), changes)
@settings(max_examples=50)
def test_a_trie_that_somebody_made_already_is_taken_over_and_left_as_it_is(start, done):
    trie = Trie.of(start.items())
    entities, state = Entities(start.items(), trie=trie), dict(start)
    assert entities.digest() == trie.root == state_digest(start.items())
    change(entities, state, done)
    assert entities.digest() == state_digest(state.items())
    assert trie.root == state_digest(start.items())


def test_entities_of_a_prefix_come_in_order():
    entities = Entities((entity_key(tag, name), b"%d" % tag) for tag in (2, 1) for name in ("b", "a", "ab"))
    assert entities.each(bytes((1,))) == [(entity_key(1, name), b"1") for name in ("a", "b", "ab")]
    assert entities.each(b"") == sorted(entities.items())


@given(st.integers(0, 255), st.lists(st.one_of(st.text(max_size=5), st.binary(max_size=5)), max_size=4))
@settings(max_examples=100)
def test_a_key_is_a_tag_and_parts_and_gives_the_parts_back(tag, parts):
    key = entity_key(tag, *parts)
    assert key[0] == tag
    assert key_parts(key) == tuple(part.encode() if isinstance(part, str) else part for part in parts)


def test_what_a_share_is_follows_from_the_key_alone_so_that_every_process_takes_the_same_turns():
    whole = {b"%d" % n: hashlib.sha256(b"%d" % n).digest() for n in range(200)}
    one, other = Entities(whole.items()), Entities(reversed(whole.items()))
    for _ in range(SHARES):
        assert one.unsaid(whole=False) == other.unsaid(whole=False)
