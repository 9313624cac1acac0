"""Write the golden vectors in this folder from `independent.py`; `--check` compares instead of writing.

Bytes are lower-case hex, integers are JSON integers below 2**53 so that every language reads them exactly. Python, Rust
and TypeScript tests read the same files and hold the code against them; a difference here is a change of the protocol.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import independent as spec
from solders.keypair import Keypair

HERE = Path(__file__).parent
EPOCH_MS = 30_000
EPOCH_ID = 59_000_000
PPB = 10**9
BLOCKED, STALE, LOW_COVERAGE, THIN_BOOK, ALL_FLAGS = 1 << 7, 1 << 0, 1 << 1, 1 << 8, (1 << 10) - 1
Vector = dict[str, Any]  # JSON of many shapes


def h(label: str) -> bytes:
    """A 32-byte hash that stands for anything."""
    return hashlib.sha256(label.encode()).digest()


PROGRAM = h("program")
GENESIS = h("genesis")


def key_pair(label: str) -> Keypair:
    """An ed25519 key that everybody knows."""
    return Keypair.from_seed(h(label))


def _signers(count: int) -> list[Keypair]:
    return sorted((key_pair(f"signer {i}") for i in range(count)), key=lambda pair: bytes(pair.pubkey()))


def _shares(weights: list[int]) -> list[int]:
    """Parts per billion by the largest remainder, ties to the lower index."""
    exact = [Fraction(weight * PPB, sum(weights)) for weight in weights]
    parts = [int(each) for each in exact]
    by_rest = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_rest[: PPB - sum(parts)]:
        parts[i] += 1
    return parts


def _leaf(name: str, market_id: str, weights: list[int], **changed: Any) -> Vector:
    fields: Vector = {
        "epoch_id": EPOCH_ID,
        "window_end_ms": (EPOCH_ID + 1) * EPOCH_MS,
        "schema_version": 1,
        "risk_bps": 125,
        "quality_flags": 0,
    } | changed
    outcomes = [(p, p - p // 10, min(PPB, p + p // 10)) for p in _shares(weights)] if weights else []
    hashes = {"model_key": h("model"), "features_hash": h(f"features of {market_id}")}
    encoded = spec.leaf(
        market_id,
        fields["epoch_id"],
        fields["window_end_ms"],
        fields["schema_version"],
        outcomes,
        fields["risk_bps"],
        fields["quality_flags"],
        *hashes.values(),
    )
    return {
        "name": name,
        "market_id": market_id,
        "market_key": spec.market_key(market_id).hex(),
        **fields,
        "outcomes": [list(outcome) for outcome in outcomes],
        **{each: value.hex() for each, value in hashes.items()},
        "encoded": encoded.hex(),
        "leaf_hash": spec.leaf_hash(encoded).hex(),
    }


def leaves() -> list[Vector]:
    return [
        _leaf("home, draw, away", "EPL_2016_ARSENAL_CHELSEA", [45, 27, 28]),
        _leaf("two outcomes", "BTC_UP_15M_1700000000", [1, 2], risk_bps=10_000, quality_flags=THIN_BOOK),
        _leaf("blocked, without outcomes", "EPL_2016_BLOCKED", [], quality_flags=BLOCKED | STALE | LOW_COVERAGE),
        _leaf("thirty-two outcomes", "CUP_WINNER", list(range(1, 33)), schema_version=65_535),
        _leaf("a certain outcome and an impossible one", "DONE", [1, 0], risk_bps=0),
        _leaf("largest remainder of thirds", "THIRDS", [1, 1, 1], quality_flags=ALL_FLAGS),
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
    encoded = spec.header(**fields, **values)
    return {
        "name": name,
        **fields,
        **{each: value.hex() for each, value in values.items()},
        "catalog_bytes": spec.padded(fields["catalog"]).hex(),
        "encoded": encoded.hex(),
        "bundle_hash": spec.bundle_hash(encoded).hex(),
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
        hashes = [spec.leaf_hash(f"leaf {i}".encode()) for i in range(count)]
        vectors.append(
            {
                "leaf_count": count,
                "leaf_hashes": [each.hex() for each in hashes],
                "root": spec.merkle_root(hashes).hex(),
                "paths": [[sibling.hex() for sibling in spec.merkle_path(hashes, i)] for i in range(count)],
            },
        )
    return vectors


def signer_sets() -> list[Vector]:
    vectors = []
    for set_id, threshold, count in ((1, 2, 3), (0, 1, 1), (7, 32, 32), (2**32 - 1, 3, 5)):
        keys = [bytes(pair.pubkey()) for pair in _signers(count)]
        digest = spec.signer_set_digest(set_id, threshold, keys)
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
        made = spec.commitment(*parts.values())
        vectors.append({name: value.hex() for name, value in parts.items()} | {"commitment": made.hex()})
    return vectors


def attestations() -> list[Vector]:
    vectors = []
    pairs = _signers(3)
    set_digest = spec.signer_set_digest(1, 2, [bytes(pair.pubkey()) for pair in pairs])
    for epoch_id in (0, EPOCH_ID, 2**53 - 1):
        for pair in pairs:
            bundle_hash = h(f"bundle {epoch_id}")
            digest = spec.attestation_digest(PROGRAM, "sports", epoch_id, bundle_hash, set_digest)
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
    vectors = []
    hashes = [h(f"bundle {i}") for i in range(20)]
    for i, appended in enumerate(hashes):
        found = spec.mountain_peaks(hashes[: i + 1])
        peaks = [found[height].hex() if height in found else None for height in range(8)]
        vectors.append({"append": appended.hex(), "count": i + 1, "peaks": peaks})
    return vectors


def _event(name: str, payload: str, **changed: Any) -> Vector:
    fields: Vector = {
        "source": "registry",
        "source_event_id": "EPL_2016_ARSENAL_CHELSEA:open",
        "group": "eng.1",
        "market_id": "EPL_2016_ARSENAL_CHELSEA",
        "kind": "market_open",
        "event_ms": EPOCH_ID * EPOCH_MS,
        "source_seq": None,
    } | changed
    pair = key_pair(f"key of {fields['source']}")
    made = spec.event_id(**fields, payload=payload.encode())
    return {
        "name": name,
        **fields,
        "payload": payload,
        "event_id": made.hex(),
        "key": bytes(pair.pubkey()).hex(),
        "signature": bytes(pair.sign_message(spec.control_message(GENESIS, made))).hex(),
    }


def events() -> Vector:
    """Event ids, and the signatures of the sources that said them on the chain of one genesis hash."""
    return {
        "genesis_hash": GENESIS.hex(),
        "events": [
            _event("a market is opened", '{"catalog":"sports"}'),
            _event("a marker concerns a whole lane", "{}", source="clock", kind="epoch_end", group="", market_id=None),
            _event("a dense source", '{"bids":[]}', source="books", kind="book", group="btc", source_seq=1),
            _event("the largest number JSON can say", "null", source="books", kind="book", source_seq=2**53 - 1),
            _event("at the beginning of time", "[]", event_ms=0, source="x", source_event_id="1", kind="quote"),
            _event("the payload counts as it was sent", '{ "catalog" : "sports" }'),
            _event("letters outside ASCII count as UTF-8", '{"title":"K\u00f6ln \u2013 M\u00fcnchen"}'),
            _event("other quotes of one string are other bytes", '{"title":"\\u00fc"}'),
            _event("what stands in one field is not in the next", "{}", source="a", source_event_id="bc"),
            _event("nor the other way about", "{}", source="ab", source_event_id="c"),
        ],
    }


def _config(name: str, lanes: Iterable[tuple[int, int, bytes]]) -> Vector:
    lanes = list(lanes)
    return {
        "name": name,
        "set_hash": h("set").hex(),
        "control_key": h("control key").hex(),
        "lanes": [{"partition": p, "life": life, "rebase_hash": rebase.hex()} for p, life, rebase in lanes],
        "hash": spec.config_hash(h("set"), h("control key"), lanes).hex(),
    }


def _manifest(name: str, partitions: Iterable[int]) -> Vector:
    lanes = [(p, h(f"release {p % 2}"), h("model key")) for p in partitions]
    return {
        "name": name,
        "lanes": [{"partition": p, "release": r.hex(), "model_key": m.hex()} for p, r, m in lanes],
        "hash": spec.model_manifest_hash(lanes).hex(),
    }


def control() -> Vector:
    """What is in force: sets, rebases, certificates of control keys, config and model manifest hashes."""
    keys = [key_pair(f"control key {i}") for i in range(3)]
    certificates = []
    for old, new in pairwise(keys):
        message = spec.certificate_message(GENESIS, bytes(old.pubkey()), bytes(new.pubkey()))
        certificates.append(
            {
                "old": bytes(old.pubkey()).hex(),
                "new": bytes(new.pubkey()).hex(),
                "signature": bytes(old.sign_message(message)).hex(),
            }
        )
    payloads = ('{"catalog":"sports","generation":1}', '{"catalog": "sports", "generation": 1}', "")
    return {
        "genesis_hash": GENESIS.hex(),
        "certificates": certificates,
        "payloads": [
            {
                "payload": payload,
                "set_hash": spec.set_hash(payload.encode()).hex(),
                "rebase_hash": spec.rebase_hash(payload.encode()).hex(),
            }
            for payload in payloads
        ],
        "config_hash": [
            _config("no lanes", []),
            _config("one lane in its first life", [(0, 0, bytes(32))]),
            _config("in whatever order they come", [(256, 0, bytes(32)), (1, 7, h("rebase")), (3, 2**32 - 1, h("r"))]),
        ],
        "model_manifest_hash": [
            _manifest("no lanes", []),
            _manifest("one lane", [0]),
            _manifest("in whatever order they come", [256, 1, 3]),
        ],
    }


def roots() -> Vector:
    ids = [h(f"event {i}") for i in range(4)]
    inputs: dict[int, bytes] = {0: h("lane 0"), 3: h("lane 3"), 256: h("lane 256")}
    states = {(p, stage): h(f"state {p} {stage}") for p in (0, 256) for stage in (1, 2, 3)}
    left, right = h("left"), h("right")
    return {
        "lane_digest": [
            {"event_id": each.hex(), "digest": spec.lane_digest(ids[: i + 1]).hex()} for i, each in enumerate(ids)
        ],
        "input_root": [
            {
                "lanes": [{"partition": p, "digest": d.hex()} for p, d in chosen.items()],
                "root": spec.input_root(chosen).hex(),
            }
            for chosen in (inputs, {0: bytes(32)}, {})
        ],
        "state_root": [
            {
                "lanes": [{"partition": p, "stage": s, "digest": d.hex()} for (p, s), d in chosen.items()],
                "root": spec.state_root(chosen).hex(),
            }
            for chosen in (states, {(1, 3): h("one")}, {})
        ],
        "node_hash": {"left": left.hex(), "right": right.hex(), "hash": spec.node_hash(left, right).hex()},
    }


def _state(name: str, entities: dict[bytes, bytes]) -> Vector:
    return {
        "name": name,
        "entities": [{"key": key.hex(), "value": value.hex()} for key, value in entities.items()],
        "digest": spec.state_digest(entities).hex(),
    }


def _trie(name: str, key_hashes: Iterable[bytes]) -> Vector:
    entities = {key_hash: h(f"value of {key_hash.hex()}") for key_hash in key_hashes}
    return {
        "name": name,
        "entities": [{"key_hash": key.hex(), "value_hash": value.hex()} for key, value in entities.items()],
        "root": spec.trie_root(entities).hex(),
    }


def trie() -> Vector:
    """State digests by entity, and roots of tries whose key hashes are chosen to part late."""
    ratings = {spec.entity_key(3, b"eng.1", f"team {i}".encode()): f"rating {i}".encode() for i in range(40)}
    base = int.from_bytes(h("base"))
    late = [base.to_bytes(32), (base ^ 1).to_bytes(32), (base ^ 1 << 4).to_bytes(32), (base ^ 1 << 200).to_bytes(32)]
    return {
        "entity_key": [
            {"tag": tag, "parts": [part.hex() for part in parts], "key": spec.entity_key(tag, *parts).hex()}
            for tag, parts in ((0, []), (255, [b""]), (3, [b"eng.1", b"Arsenal"]), (3, [b"eng.1Arsenal"]))
        ],
        "state_digest": [
            _state("no entity", {}),
            _state("one entity is its leaf", {b"a": b"\x01"}),
            _state("two entities", {b"a": b"\x01", b"b": b"x" * 300}),
            _state("empty key and empty value", {b"": b"", b"ab": b""}),
            _state("forty entities", ratings),
        ],
        "trie": [
            _trie("no key", []),
            _trie("keys that part at the first bit", [bytes(32), b"\x80" + bytes(31)]),
            _trie("keys that part at the last bit", late[:2]),
            _trie("keys that part here and there", late),
            _trie("every value of the first byte", [bytes([i]) + h("rest")[1:] for i in range(256)]),
        ],
    }


def features() -> list[Vector]:
    rows: tuple[tuple[str, dict[str, int]], ...] = (
        ("EMPTY", {}),
        ("EPL_2016_ARSENAL_CHELSEA", {"home.elo": 1_612_000_000, "away.elo": -1, "rest_days": 0}),
        ("ORDER", {"b": 1, "a": 2, "a.b": 3, "ab": 4}),
        ("WIDE", {"low": -(2**53) + 1, "high": 2**53 - 1}),
    )
    return [
        {
            "market_id": market_id,
            "values": [[name, value] for name, value in sorted(values.items())],
            "features_hash": spec.features_hash(market_id, values).hex(),
        }
        for market_id, values in rows
    ]


def models() -> list[Vector]:
    kinds = (("football", 1, b""), ("book_consensus", 2**32 - 1, bytes(range(256))), ("f", 0, b"\x00"))
    return [
        {
            "name": name,
            "version": version,
            "artifact": artifact.hex(),
            "model_key": spec.model_key(name, version, artifact).hex(),
        }
        for name, version, artifact in kinds
    ]


FILES: dict[str, Callable[[], list[Vector] | Vector]] = {
    "leaves": leaves,
    "headers": headers,
    "merkle": merkle,
    "signer_sets": signer_sets,
    "commitments": commitments,
    "attestations": attestations,
    "mountains": mountains,
    "events": events,
    "control": control,
    "roots": roots,
    "trie": trie,
    "features": features,
    "models": models,
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
        print(f"vectors that differ from independent.py: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
