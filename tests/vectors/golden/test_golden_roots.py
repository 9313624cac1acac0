"""What the lanes said of the golden log, hashed again by code that shares nothing with the heart (`independent.py`).

Messages are read as plain MessagePack, states as plain bytes; nothing here imports what made them.
"""

import json
from collections import defaultdict

import golden_log
import golden_run
import independent as spec
import msgspec
import pytest

ARTIFACTS = {
    model.name: (model.version, model.artifact())
    for domain in golden_run.HEART.domains.values()
    for model in domain.models.values()
}


@pytest.fixture(scope="module")
def run():
    return golden_run.Run(golden_run.read(golden_run.LOG.read_text()))


@pytest.fixture(scope="module")
def bodies(run):
    """By stage and kind: `(catalog, partition, life, release, body)`."""
    found = defaultdict(list)
    for (stage, *_), value in sorted(run.said.messages.items()):
        if stage == "bundle":
            continue
        catalog, partition, life, _, release, _, kind, body = msgspec.msgpack.decode(value)
        found[stage, kind].append((catalog, partition, life, release, body))
    return found


@pytest.fixture(scope="module")
def sets():
    """By catalog and generation: the payload of a `catalog_set` as it was sent, and what it says."""
    found = {}
    for line in golden_run.LOG.read_text().splitlines():
        value = json.loads(line)[3]
        if '"kind":"catalog_set"' in value:
            payload = json.loads(value)["payload"]
            raw = json.dumps(payload, separators=(",", ":"))
            assert raw in value
            found[payload["catalog"], payload["generation"]] = raw.encode(), payload
    return found


@pytest.fixture(scope="module")
def leaves(bodies):
    """By catalog and epoch, in the order of their keys: leaves made of the predictions that the models said."""
    found = defaultdict(list)
    for catalog, _, _, _, (market, epoch, end_ms, schema, outcomes, risk, flags, model, _, features) in bodies[
        "model", "prediction"
    ]:
        key = spec.model_key(model, *ARTIFACTS[model])
        leaf = spec.leaf(market, epoch, end_ms, schema, outcomes, risk, flags, key, features)
        found[catalog, epoch].append((spec.market_key(market), leaf))
    return {place: [leaf for _, leaf in sorted(each)] for place, each in found.items()}


def test_rows_hash_to_what_predictions_name(bodies):
    rows = {
        (market, epoch): spec.features_hash(market, dict(values))
        for _, _, _, _, (market, epoch, _, values, _, _) in bodies["feature", "feature_row"]
    }
    assert len(rows) > 100
    assert rows == {(body[0], body[1]): body[-1] for *_, body in bodies["model", "prediction"]}


def test_leaves_are_the_predictions(run, leaves):
    assert {(e.header.catalog, e.header.epoch_id): list(e.leaves) for e in run.closed if e.leaves} == leaves


def test_states_hash_to_the_digests_of_the_lanes(run):
    keeper = run.pipeline.keeper
    at = {(m.catalog, m.epoch_id, m.partition, m.stage): m for m in keeper.manifests if m.epoch_id is not None}
    for closed in run.closed:
        message = closed.header
        for lane in message.lanes:
            for stage, digest in enumerate(lane.stage_digests, 1):
                manifest = at[message.catalog, message.epoch_id, lane.partition, stage]
                assert spec.state_digest(keeper.restored(manifest).entities) == digest


def test_headers_are_made_of_what_the_lanes_said(run, bodies, sets, leaves):
    markers = defaultdict(list)
    for catalog, partition, life, release, body in bodies["model", "marker"]:
        markers[catalog, body[0]].append((partition, life, release, body))
    prev = {}
    for closed in run.closed:
        catalog, epoch = place = closed.header.catalog, closed.header.epoch_id
        said = markers[place]
        raw, payload = sets[catalog, said[0][3][3]]
        hashes = [spec.leaf_hash(leaf) for leaf in leaves.get(place, ())]
        header = spec.header(
            catalog,
            epoch,
            epoch * golden_log.EPOCH_MS,
            (epoch + 1) * golden_log.EPOCH_MS,
            payload["params"]["signer_set_id"],
            len(hashes),
            merkle_root=spec.merkle_root(hashes),
            prev_bundle_hash=prev.get(catalog, spec.ZERO),
            model_manifest_hash=spec.model_manifest_hash(
                (partition, release, spec.model_key(payload["model"], *ARTIFACTS[payload["model"]]))
                for partition, _, release, _ in said
            ),
            config_hash=spec.config_hash(
                spec.set_hash(raw),
                golden_run.HEART.deployment.control_key,
                [(partition, life, spec.ZERO) for partition, life, _, _ in said],
            ),
            input_root=spec.input_root({partition: body[12] for partition, _, _, body in said}),
            state_root=spec.state_root(
                {(partition, stage): d for partition, _, _, body in said for stage, d in enumerate(body[14], 1)}
            ),
        )
        assert header == closed.header.header
        if hashes:
            prev[catalog] = spec.bundle_hash(header)
    assert len(prev) == 2
