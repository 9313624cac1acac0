"""The golden run: a committed log gives the committed leaves and roots, on every machine and Python."""

import json
from pathlib import Path

import pytest
from m0common.canonical import BundleHeader
from m0common.stream.records import Record
from m0lanes.chain import Chain

VECTOR = json.loads((Path(__file__).parents[3] / "tests" / "vectors" / "lanes.json").read_text())


@pytest.fixture(scope="module")
def bundles():
    chain = Chain()
    made = []
    for entry in VECTOR["log"]:
        record = Record("m0.raw.v1", entry["partition"], entry["offset"], None, entry["value"].encode())
        made += chain.feed(record)
    assert chain.dead_letters == []
    return {(bundle.catalog, bundle.epoch_id): bundle for bundle in made}


def test_the_log_closes_the_epochs_of_the_vector_and_no_others(bundles):
    assert list(bundles) == [(want["catalog"], want["epoch_id"]) for want in VECTOR["bundles"]]


@pytest.mark.parametrize("want", VECTOR["bundles"], ids=lambda want: f"{want['catalog']}-{want['epoch_id']}")
def test_leaves_and_roots_are_those_of_the_vector(bundles, want):
    bundle = bundles[want["catalog"], want["epoch_id"]]
    leaves = dict(zip(bundle.market_ids, [leaf.hex() for leaf in bundle.leaves], strict=True))
    header = BundleHeader.decode(bundle.header)
    # leaves first: a difference there names the market
    assert leaves == want["leaves"]
    for root in ("input_root", "state_root", "merkle_root"):
        assert getattr(header, root).hex() == want[root], root
