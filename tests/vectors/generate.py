"""Write the golden vectors in this folder from m0common.canonical and m0lanes; `--check` compares instead of writing.

Bytes are lower-case hex, integers are JSON integers below 2**53 so that every language reads them exactly. Python, Rust
and TypeScript tests read the same files; a difference here is a change of the protocol.
"""

import hashlib
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from m0common.canonical import (
    BundleHeader,
    LaneDigest,
    MerkleTree,
    MountainRange,
    Outcome,
    PredictionLeaf,
    attestation_digest,
    commitment,
    input_root,
    leaf_hash,
    node_hash,
    signer_set_digest,
    state_digest,
    state_root,
)
from m0common.canonical.leaf import FLAGS
from m0common.fixedpoint import PPB
from m0common.ids import catalog_bytes, market_key
from m0lanes.chain import Chain
from m0quant.fixed import simplex
from solders.keypair import Keypair

HERE = Path(__file__).parent
EPOCH_MS = 30_000
EPOCH_ID = 59_000_000
Vector = dict[str, Any]  # JSON of many shapes


def h(label: str) -> bytes:
    """A 32-byte hash that stands for anything."""
    return hashlib.sha256(label.encode()).digest()


PROGRAM = h("program")


def _signers(count: int) -> list[Keypair]:
    pairs = [Keypair.from_seed(h(f"signer {i}")) for i in range(count)]
    return sorted(pairs, key=lambda pair: bytes(pair.pubkey()))


def _outcomes(weights: list[int]) -> tuple[Outcome, ...]:
    parts = simplex(weights)
    return tuple(Outcome(p, p - p // 10, min(PPB, p + p // 10)) for p in parts)


def _leaf(name: str, market_id: str, weights: list[int], **changed: Any) -> Vector:
    fields: Vector = {
        "epoch_id": EPOCH_ID,
        "window_end_ms": (EPOCH_ID + 1) * EPOCH_MS,
        "schema_version": 1,
        "risk_bps": 125,
        "quality_flags": 0,
    } | changed
    leaf = PredictionLeaf(
        market_key=market_key(market_id),
        outcomes=_outcomes(weights) if weights else (),
        model_key=h("model"),
        features_hash=h(f"features of {market_id}"),
        **fields,
    )
    encoded = leaf.encode()
    return {
        "name": name,
        "market_id": market_id,
        "market_key": leaf.market_key.hex(),
        **fields,
        "outcomes": [list(o) for o in leaf.outcomes],
        "model_key": leaf.model_key.hex(),
        "features_hash": leaf.features_hash.hex(),
        "encoded": encoded.hex(),
        "leaf_hash": leaf_hash(encoded).hex(),
    }


def leaves() -> list[Vector]:
    blocked = int(FLAGS.BLOCKED | FLAGS.STALE | FLAGS.LOW_COVERAGE)
    every = int(sum(FLAGS))
    return [
        _leaf("home, draw, away", "EPL_2016_ARSENAL_CHELSEA", [45, 27, 28]),
        _leaf("two outcomes", "BTC_UP_15M_1700000000", [1, 2], risk_bps=10_000, quality_flags=int(FLAGS.THIN_BOOK)),
        _leaf("blocked, without outcomes", "EPL_2016_BLOCKED", [], quality_flags=blocked),
        _leaf("thirty-two outcomes", "CUP_WINNER", list(range(1, 33)), schema_version=65_535),
        _leaf("a certain outcome and an impossible one", "DONE", [1, 0], risk_bps=0),
        _leaf("largest remainder of thirds", "THIRDS", [1, 1, 1], quality_flags=every),
        _leaf("largest epoch JSON can say", "A" * 64, [3, 7], epoch_id=2**53 - 1, window_end_ms=2**53 - 1),
        _leaf("first epoch, every bit of the mask", "_", [1, 1], epoch_id=0, window_end_ms=0, quality_flags=2**32 - 1),
        _leaf("before 1970", "OLD", [1, 1], window_end_ms=-1),
    ]


def _header(name: str, **changed: Any) -> Vector:
    fields: Vector = {
        "catalog": "sports",
        "epoch_id": EPOCH_ID,
        "window_start_ms": EPOCH_ID * EPOCH_MS,
        "window_end_ms": (EPOCH_ID + 1) * EPOCH_MS,
        "signer_set_id": 1,
        "leaf_count": 17,
    } | changed
    hashes = ("merkle_root", "prev_bundle_hash", "model_manifest_hash", "config_hash", "input_root", "state_root")
    values = {each: h(f"{name} {each}") for each in hashes}
    if changed.get("epoch_id") == 0:
        values["prev_bundle_hash"] = bytes(32)
    header = BundleHeader(**fields, **values)
    return {
        "name": name,
        **fields,
        **{each: value.hex() for each, value in values.items()},
        "catalog_bytes": catalog_bytes(fields["catalog"]).hex(),
        "encoded": header.encode().hex(),
        "bundle_hash": header.bundle_hash.hex(),
    }


def headers() -> list[Vector]:
    return [
        _header("an ordinary epoch"),
        _header("the first bundle of a catalog", epoch_id=0, window_start_ms=0, window_end_ms=EPOCH_MS, leaf_count=1),
        _header("the longest catalog name", catalog="abcdefghij_-0123", signer_set_id=2**32 - 1),
        _header("largest numbers", epoch_id=2**53 - 1, window_end_ms=2**53 - 1, leaf_count=2**32 - 1),
    ]


def merkle() -> list[Vector]:
    vectors = []
    for count in range(1, 18):
        hashes = [leaf_hash(f"leaf {i}".encode()) for i in range(count)]
        tree = MerkleTree(hashes)
        vectors.append(
            {
                "leaf_count": count,
                "leaf_hashes": [each.hex() for each in hashes],
                "root": tree.root.hex(),
                "paths": [[sibling.hex() for sibling in tree.path(i)] for i in range(count)],
            },
        )
    return vectors


def signer_sets() -> list[Vector]:
    vectors = []
    for set_id, threshold, count in ((1, 2, 3), (0, 1, 1), (7, 32, 32), (2**32 - 1, 3, 5)):
        keys = [bytes(pair.pubkey()) for pair in _signers(count)]
        digest = signer_set_digest(set_id, threshold, keys)
        vectors.append(
            {"id": set_id, "threshold": threshold, "keys": [key.hex() for key in keys], "digest": digest.hex()}
        )
    return vectors


def commitments() -> list[Vector]:
    vectors = []
    for i, pair in enumerate(_signers(3)):
        parts = {
            "program_id": PROGRAM,
            "epoch_pda": h(f"epoch account {i}"),
            "signer": bytes(pair.pubkey()),
            "bundle_hash": h(f"bundle {i}"),
            "salt": h(f"salt {i}"),
        }
        made = commitment(*parts.values())
        vectors.append({name: value.hex() for name, value in parts.items()} | {"commitment": made.hex()})
    return vectors


def attestations() -> list[Vector]:
    vectors = []
    pairs = _signers(3)
    set_digest = signer_set_digest(1, 2, [bytes(pair.pubkey()) for pair in pairs])
    for epoch_id in (0, EPOCH_ID, 2**53 - 1):
        for pair in pairs:
            bundle_hash = h(f"bundle {epoch_id}")
            digest = attestation_digest(PROGRAM, "sports", epoch_id, bundle_hash, set_digest)
            vectors.append(
                {
                    "program_id": PROGRAM.hex(),
                    "catalog": "sports",
                    "epoch_id": epoch_id,
                    "bundle_hash": bundle_hash.hex(),
                    "signer_set_digest": set_digest.hex(),
                    "digest": digest.hex(),
                    "seed": pair.secret().hex(),
                    "signer": bytes(pair.pubkey()).hex(),
                    "signature": bytes(pair.sign_message(digest)).hex(),
                },
            )
    return vectors


def mountains() -> list[Vector]:
    vectors, mountain = [], MountainRange()
    for i in range(20):
        bundle_hash = h(f"bundle {i}")
        mountain.append(bundle_hash)
        peaks = [peak.hex() if mountain.count >> height & 1 else None for height, peak in enumerate(mountain.peaks[:8])]
        vectors.append({"append": bundle_hash.hex(), "count": mountain.count, "peaks": peaks})
    return vectors


def roots() -> Vector:
    digest, folds = LaneDigest(), []
    for i in range(4):
        digest.add(h(f"event {i}"))
        folds.append({"event_id": h(f"event {i}").hex(), "digest": digest.value.hex()})
    inputs: dict[int, bytes] = {0: h("lane 0"), 3: h("lane 3"), 256: h("lane 256")}
    states = {(p, stage): h(f"state {p} {stage}") for p in (0, 256) for stage in (1, 2, 3)}
    entities = [(b"", b""), (b"a", b"\x01"), (b"ab", b"two bytes"), (b"b", b"x" * 300)]
    return {
        "lane_digest": folds,
        "input_root": [
            {
                "lanes": [{"partition": p, "digest": d.hex()} for p, d in chosen.items()],
                "root": input_root(chosen).hex(),
            }
            for chosen in (inputs, {0: bytes(32)}, {})
        ],
        "state_root": [
            {
                "lanes": [{"partition": p, "stage": s, "digest": d.hex()} for (p, s), d in chosen.items()],
                "root": state_root(chosen).hex(),
            }
            for chosen in (states, {(1, 3): h("one")}, {})
        ],
        "state_digest": [
            {
                "entities": [{"key": key.hex(), "value": value.hex()} for key, value in chosen],
                "digest": state_digest(chosen).hex(),
            }
            for chosen in (entities, entities[:1], [])
        ],
        "node_hash": {
            "left": h("left").hex(),
            "right": h("right").hex(),
            "hash": node_hash(h("left"), h("right")).hex(),
        },
    }


def lanes() -> Vector:
    """A raw log of two catalogs, and what the lanes make of it: the models' numbers, on any machine."""
    season = runpy.run_path(str(HERE.parents[1] / "libs" / "m0lanes" / "tests" / "log.py"))["season"]
    chain, records = Chain(), season(3).records
    bundles = [bundle for record in records for bundle in chain.feed(record)]
    return {
        "log": [{"partition": r.partition, "offset": r.offset, "value": r.value.decode()} for r in records],
        "bundles": [
            {
                "catalog": bundle.catalog,
                "epoch_id": bundle.epoch_id,
                "merkle_root": header.merkle_root.hex(),
                "input_root": header.input_root.hex(),
                "state_root": header.state_root.hex(),
                "leaves": {
                    market_id: leaf.hex() for market_id, leaf in zip(bundle.market_ids, bundle.leaves, strict=True)
                },
            }
            for bundle in bundles
            for header in [BundleHeader.decode(bundle.header)]
        ],
    }


FILES: dict[str, Callable[[], list[Vector] | Vector]] = {
    "leaves": leaves,
    "headers": headers,
    "merkle": merkle,
    "signer_sets": signer_sets,
    "commitments": commitments,
    "attestations": attestations,
    "mountains": mountains,
    "roots": roots,
    "lanes": lanes,
}


def render(name: str) -> str:
    """The text of `name`.json."""
    return json.dumps(FILES[name](), indent=1) + "\n"


def main() -> int:
    """Write every file, or with `--check` name those that differ and return 1."""
    stale = []
    for name in FILES:
        path, text = HERE / f"{name}.json", render(name)
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"vectors that differ from the code: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
