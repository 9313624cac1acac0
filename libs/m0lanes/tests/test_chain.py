"""The chained stages: the same log gives the same bundles, from the beginning or from any epoch's cut."""

import random

import lanes_log as log
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, input_root, leaf_hash, state_root
from m0common.messages import BundleMessage
from m0common.stream.records import Record
from m0lanes.chain import Chain
from m0lanes.stages import normalize_core


def run(records: list[Record], chain: Chain | None = None) -> list[BundleMessage]:
    chain = chain or Chain()
    return [bundle for record in records for bundle in chain.feed(record)]


def by_epoch(bundles: list[BundleMessage]) -> dict[tuple[str, int], bytes]:
    return {(b.catalog, b.epoch_id): b.header for b in bundles}


def test_every_epoch_of_both_catalogs_becomes_one_bundle_whose_roots_are_recomputable():
    chain = Chain()
    bundles = run(log.season().records, chain)
    assert chain.dead_letters == []
    assert sorted(by_epoch(bundles)) == [(c, log.FIRST_EPOCH + i) for c in ("crypto", "sports") for i in range(4)]
    prev = {"crypto": bytes(32), "sports": bytes(32)}
    for bundle in bundles:
        header = BundleHeader.decode(bundle.header)
        assert header.merkle_root == MerkleTree([leaf_hash(leaf) for leaf in bundle.leaves]).root
        assert header.leaf_count == len(bundle.leaves) == len(bundle.market_ids)
        assert header.input_root == input_root(dict(bundle.input_digests))
        assert header.state_root == state_root({(p, s): d for p, s, d in bundle.state_digests})
        assert [s for _, s, _ in bundle.state_digests] == [1, 2, 3] * log.PARTITIONS
        assert header.prev_bundle_hash == prev[bundle.catalog]
        prev[bundle.catalog] = header.bundle_hash
        keys = [PredictionLeaf.decode(leaf).market_key for leaf in bundle.leaves]
        assert keys == sorted(keys)


def test_predictions_differ_between_markets_and_move_with_events():
    bundles = [b for b in run(log.season().records) if b.catalog == "crypto"]
    seen = {PredictionLeaf.decode(leaf).outcomes for b in bundles for leaf in b.leaves}
    assert len(seen) == 4
    assert all(sum(o.p for o in outcomes) == 10**9 for outcomes in seen)


@given(st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_interleaving_of_partitions_does_not_matter(rng: random.Random):
    records = log.season(3).records
    lanes = [[r for r in records if r.partition == p] for p in range(log.PARTITIONS)]
    mixed = []
    while any(lanes):
        mixed.append(rng.choice([lane for lane in lanes if lane]).pop(0))
    assert by_epoch(run(mixed)) == by_epoch(run(records))


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_going_on_from_a_cut_gives_the_same_bundles_as_from_the_beginning(epoch: int):
    records = log.season().records
    full = Chain()
    bundles = run(records, full)
    for catalog in ("crypto", "sports"):
        cut = full.cut(catalog, log.FIRST_EPOCH + epoch)
        start = cut.start()
        resumed = Chain(only=frozenset([catalog]))
        resumed.restore(cut)
        again = run([r for r in records if r.offset >= start[r.partition]], resumed)
        expected = [b for b in bundles if b.catalog == catalog and b.epoch_id > log.FIRST_EPOCH + epoch]
        assert again == expected


def test_repeated_events_and_markers_change_nothing():
    records = log.season(3).records
    offsets = [0] * log.PARTITIONS
    doubled = []
    for record in records:
        for _ in range(2):
            doubled.append(record._replace(offset=offsets[record.partition]))
            offsets[record.partition] += 1
    assert [b.header for b in run(doubled)] == [b.header for b in run(records)]


@pytest.mark.parametrize("mutation", ["drop", "swap", "change", "add"])
def test_any_mutation_of_an_event_changes_the_header(mutation: str):
    records = log.season(2).records
    honest = by_epoch(run(records))
    at = next(i for i, r in enumerate(records) if b'"book"' in r.value)
    before, event, after = records[:at], records[at], records[at + 1 :]
    mutated = {
        "drop": [*before, *after],
        "swap": [*before, after[0]._replace(offset=event.offset), event._replace(offset=after[0].offset), *after[1:]],
        "change": [*before, event._replace(value=event.value.replace(b"900000", b"900001")), *after],
        "add": [
            *before,
            event,
            event._replace(offset=event.offset, value=event.value.replace(b'_id":"e', b'_id":"x')),
            *after,
        ],
    }[mutation]
    offsets = [0] * log.PARTITIONS
    renumbered = []
    for record in mutated:
        renumbered.append(record._replace(offset=offsets[record.partition]))
        offsets[record.partition] += 1
    changed = by_epoch(run(renumbered))
    key = ("crypto", log.FIRST_EPOCH)
    assert BundleHeader.decode(changed[key]).input_root != BundleHeader.decode(honest[key]).input_root


def test_an_observation_after_its_marker_is_late_and_counts_for_the_next_epoch_a_control_event_is_never_late():
    def late_after(*more):
        made = log.Log()
        made.catalogs()
        made.open_book("BTC_0", log.BASE_MS)
        made.book("BTC_0", 500_000_000, 510_000_000, log.BASE_MS + 1)
        made.end(0)
        for add in more:
            add(made)
        made.end(1)
        core = normalize_core()
        for record in made.records:
            core.feed(record)
        return core.late_events, [b for b in run(made.records) if b.catalog == "crypto"]

    def book(made):
        made.book("BTC_0", 700_000_000, 710_000_000, log.BASE_MS + 2)

    def control(made):
        made.open_book("BTC_1", log.BASE_MS)
        made.close("btc", "crypto", "BTC_1", log.BASE_MS)

    none, before = late_after()
    count, after = late_after(book)
    assert (none, count, late_after(control)[0]) == (0, 1, 0)
    assert after[0] == before[0]
    assert after[1].leaves != before[1].leaves


def test_an_epoch_that_a_lane_skipped_is_dropped_when_a_later_one_closes():
    made = log.season(1)
    made.end(1, partitions=(0,))
    made.end(2)
    epochs = [b.epoch_id for b in run(made.records) if b.catalog == "sports"]
    assert epochs == [log.FIRST_EPOCH, log.FIRST_EPOCH + 2]


BAD = {
    "empty": b"",
    "not_json": b'{"source": "x", ',
    "invalid_event": b"[1,2,3]",
    "too_deep": b'{"source":"s","source_event_id":"1","group":"btc","market_id":"BTC_0","kind":"book","event_ms":1,'
    b'"received_ms":2,"payload":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
}


def raw(
    kind: str, payload: bytes, market_id: str = '"BTC_0"', event_ms: int = log.BASE_MS + 2, group: str = "btc"
) -> bytes:
    return (
        b'{"source":"s","source_event_id":"1","group":"%s","market_id":%s,"kind":"%s","event_ms":%d,"received_ms":%d,"payload":%s}'
        % (group.encode(), market_id.encode(), kind.encode(), event_ms, log.BASE_MS + 3, payload)
    )


BOOK = b'{"bids":[[400000000,1000]],"asks":[[500000000,1000]],"original_ms":1}'
BAD |= {
    "unknown_kind": raw("gossip", b"{}"),
    "invalid_payload:nan": raw("quote", b'{"p_ppb":[NaN,1],"original_ms":1}'),
    "invalid_payload:sum": raw("quote", b'{"p_ppb":[500000000,500000001],"original_ms":1}'),
    "invalid_payload:count": raw("quote", b'{"p_ppb":[500000000,250000000,250000000],"original_ms":1}'),
    "invalid_payload:crossed": raw("book", b'{"bids":[[600000000,1]],"asks":[[500000000,1]],"original_ms":1}'),
    "invalid_payload:field": raw("book", b'{"bids":[]}'),
    "unknown_market": raw("book", BOOK, market_id='"BTC_999"'),
    "unknown_group": raw("book", BOOK, group="moon"),
    "impossible_time": raw("book", BOOK, event_ms=log.BASE_MS + 10**7),
    "invalid_event:time": raw("book", BOOK, event_ms=-5),
    "not_json:utf8": b'{"source":"\xff\xfe"}',
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_message_is_one_dead_letter_with_origin_and_reason_and_the_lane_goes_on(name: str):
    made = log.Log()
    made.catalogs()
    made.open_book("BTC_0", log.BASE_MS)
    made.book("BTC_0", 500_000_000, 510_000_000, log.BASE_MS + 1)
    clean = list(made.records)
    made.bytes(1, BAD[name])
    bad_offset = made.records[-1].offset
    made.end(0)
    chain = Chain()
    bundles = run(made.records, chain)
    (letter,) = chain.dead_letters
    assert (letter.topic, letter.partition, letter.offset) == ("m0.raw.v1", 1, bad_offset)
    assert letter.error in (name.split(":", maxsplit=1)[0], "not_json"), letter.reason
    assert letter.reason
    assert [b.catalog for b in bundles] == ["crypto"]
    assert len(clean) == 6
