"""Every hash of the protocol a second time, from its description (docs/protocol.md) and the standard library alone.

The golden vectors are made here and the code under test is held against them. So this file imports nothing of ours,
prefers the shortest form to the fastest, and does not change when the code does: only when the protocol does.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from struct import pack

ZERO = bytes(32)
Outcomes = Sequence[tuple[int, int, int]]  # p, lo, hi, each in parts per billion


def h(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return pack("<I", len(raw)) + raw


def padded(catalog: str) -> bytes:
    return catalog.encode().ljust(16, b"\0")


def market_key(market_id: str) -> bytes:
    return h(market_id.encode())


# What enters: events, signatures, sets, lives


def event_id(
    source: str,
    source_event_id: str,
    group: str,
    market_id: str | None,
    kind: str,
    event_ms: int,
    source_seq: int | None,
    payload: bytes,
) -> bytes:
    strings = [text(each) for each in (source, source_event_id, group, market_id or "", kind)]
    return h(b"M0EVENT1", *strings, pack("<qQ", event_ms, source_seq or 0), text(payload))


def control_message(genesis_hash: bytes, event: bytes) -> bytes:
    return b"M0CONTROL1" + genesis_hash + event


def certificate_message(genesis_hash: bytes, old: bytes, new: bytes) -> bytes:
    return b"M0KEYCERT1" + genesis_hash + old + new


def set_hash(payload: bytes) -> bytes:
    return h(b"M0SET1", payload)


def rebase_hash(payload: bytes) -> bytes:
    return h(b"M0REBASE1", payload)


def config_hash(set_in_force: bytes, control_key: bytes, lanes: Iterable[tuple[int, int, bytes]]) -> bytes:
    """`lanes`: (partition, life, hash of its last rebase) of every lane in the marker."""
    rows = sorted(lanes)
    each = [pack("<II", partition, life) + rebase for partition, life, rebase in rows]
    return h(b"M0CONFIG2", set_in_force, control_key, pack("<I", len(rows)), *each)


def model_manifest_hash(lanes: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """`lanes`: (partition, release, model key) of every lane in the marker."""
    rows = sorted(lanes)
    each = [pack("<I", partition) + release + model_key for partition, release, model_key in rows]
    return h(b"M0MANIFEST2", pack("<I", len(rows)), *each)


# What lanes make of it: digests and roots


def lane_digest(event_ids: Iterable[bytes]) -> bytes:
    digest = ZERO
    for each in event_ids:
        digest = h(digest, each)
    return digest


def input_root(digests: Mapping[int, bytes]) -> bytes:
    each = [pack("<I", partition) + digest for partition, digest in sorted(digests.items())]
    return h(b"M0INPUT1", pack("<I", len(digests)), *each)


def state_root(digests: Mapping[tuple[int, int], bytes]) -> bytes:
    each = [pack("<IB", partition, stage) + digest for (partition, stage), digest in sorted(digests.items())]
    return h(b"M0STATE2", pack("<I", len(digests)), *each)


def entity_key(tag: int, *parts: bytes) -> bytes:
    return pack("B", tag) + b"".join(pack("<H", len(part)) + part for part in parts)


def trie_root(entities: Mapping[bytes, bytes], depth: int = 0) -> bytes:
    """`entities`: hash of the key to hash of the value; all of them agree in their first `depth` bits."""
    if not entities:
        return ZERO
    if len(entities) == 1:
        ((key_hash, value_hash),) = entities.items()
        return h(b"\x00", key_hash, value_hash)
    sides: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
    for key_hash, value_hash in entities.items():
        sides[key_hash[depth // 8] >> 7 - depth % 8 & 1][key_hash] = value_hash
    return h(b"\x01", trie_root(sides[0], depth + 1), trie_root(sides[1], depth + 1))


def state_digest(entities: Mapping[bytes, bytes]) -> bytes:
    """`entities`: key to value."""
    return trie_root({h(key): h(value) for key, value in entities.items()})


def features_hash(market_id: str, values: Mapping[str, int]) -> bytes:
    each = [text(name) + pack("<q", value) for name, value in sorted(values.items())]
    return h(b"M0FEATURE1", market_key(market_id), pack("<I", len(values)), *each)


def model_key(name: str, version: int, artifact: bytes) -> bytes:
    return h(b"M0MODEL1", name.encode(), b"\x00", pack("<I", version), artifact)


# What leaves: a prediction, a bundle, a vote


def leaf(
    market_id: str,
    epoch_id: int,
    window_end_ms: int,
    schema_version: int,
    outcomes: Outcomes,
    risk_bps: int,
    quality_flags: int,
    model_key: bytes,
    features: bytes,
) -> bytes:
    start = pack("<H", 1) + market_key(market_id) + pack("<QqH", epoch_id, window_end_ms, schema_version)
    middle = pack("<I", len(outcomes)) + b"".join(pack("<III", *outcome) for outcome in outcomes)
    return start + middle + pack("<HI", risk_bps, quality_flags) + model_key + features


def leaf_hash(encoded: bytes) -> bytes:
    return h(b"\x00", encoded)


def node_hash(left: bytes, right: bytes) -> bytes:
    return h(b"\x01", left, right)


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    if len(hashes) < 2:
        return hashes[0] if hashes else h()
    cut = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(merkle_root(hashes[:cut]), merkle_root(hashes[cut:]))


def merkle_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    if len(hashes) < 2:
        return []
    cut = 1 << (len(hashes) - 1).bit_length() - 1
    if index < cut:
        return [*merkle_path(hashes[:cut], index), merkle_root(hashes[cut:])]
    return [*merkle_path(hashes[cut:], index - cut), merkle_root(hashes[:cut])]


def mountain_peaks(bundle_hashes: Sequence[bytes]) -> dict[int, bytes]:
    """Height to peak: the perfect trees, largest first, over the hashes in the order they became final."""
    leaves, peaks = [leaf_hash(each) for each in bundle_hashes], {}
    for height in reversed(range(len(leaves).bit_length())):
        if len(leaves) >> height & 1:
            peaks[height], leaves = merkle_root(leaves[: 1 << height]), leaves[1 << height :]
    return peaks


def header(
    catalog: str,
    epoch_id: int,
    window_start_ms: int,
    window_end_ms: int,
    signer_set_id: int,
    leaf_count: int,
    *,
    merkle_root: bytes,
    prev_bundle_hash: bytes,
    model_manifest_hash: bytes,
    config_hash: bytes,
    input_root: bytes,
    state_root: bytes,
) -> bytes:
    numbers = pack("<QqqII", epoch_id, window_start_ms, window_end_ms, signer_set_id, leaf_count)
    hashes = merkle_root + prev_bundle_hash + model_manifest_hash + config_hash + input_root + state_root
    return b"M0BUNDLE" + pack("<H", 1) + padded(catalog) + numbers + hashes


def bundle_hash(header_bytes: bytes) -> bytes:
    return h(header_bytes)


def signer_set_digest(set_id: int, threshold: int, keys: Sequence[bytes]) -> bytes:
    return h(b"M0SIGNERS1", pack("<IBB", set_id, threshold, len(keys)), *sorted(keys))


def attestation_digest(program: bytes, catalog: str, epoch_id: int, bundle: bytes, signers: bytes) -> bytes:
    return h(b"M0ATTEST1", program, padded(catalog), pack("<Q", epoch_id), bundle, signers)


def commitment(program: bytes, epoch_account: bytes, signer: bytes, bundle: bytes, salt: bytes) -> bytes:
    return h(b"M0COMMIT1", program, epoch_account, signer, bundle, salt)
