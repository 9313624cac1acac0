"""Whose word counts: a signature is that of one key over one event of one deployment, in one encoding."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import certificate_message, control_message
from m0common.messages import RawEvent, encode_raw, raw_event
from m0lanes.authority import control_keys, identity, is_signed_by, signed, verifies
from m0lanes.control import Certificate
from solders.keypair import Keypair

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"
GENESIS = hashlib.sha256(b"genesis").digest()
ELSEWHERE = hashlib.sha256(b"another chain").digest()
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
"""The order of the group, RFC 8032 section 5.1."""
SMALL_ORDER = [
    (1).to_bytes(32, "little"),
    (P - 1).to_bytes(32, "little"),
    bytes(32),
    bytes(31) + b"\x80",
    *[
        bytes.fromhex(y)
        for y in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        )
    ],
    # other encodings of the first ones: y of p or more, the sign of x = 0 set
    (1 + P).to_bytes(32, "little"),
    P.to_bytes(32, "little"),
    (1 | 1 << 255).to_bytes(32, "little"),
    (P - 1 | 1 << 255).to_bytes(32, "little"),
    (1 + P | 1 << 255).to_bytes(32, "little"),
    (P | 1 << 255).to_bytes(32, "little"),
]
"""Points of order 1, 2, 4 and 8: with one of them as key, signatures hold for messages that nobody signed."""


def pair(label: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(label.encode()).digest())


def public(keypair: Keypair) -> bytes:
    return bytes(keypair.pubkey())


def sign(keypair: Keypair):
    return lambda message: bytes(keypair.sign_message(message))


CLOCK = pair("clock")
MARKER = raw_event("clock", "sports:3", "", None, "epoch_end", 60_000, 60_001, {"catalog": "sports", "epoch_id": 2})


def holds(event: RawEvent, key: bytes = public(CLOCK), genesis: bytes = GENESIS) -> bool:
    return is_signed_by(event, identity(event), genesis, key)


def test_a_signed_event_is_that_of_its_key_and_survives_the_wire():
    event = signed(MARKER, GENESIS, sign(CLOCK))
    assert holds(event)
    assert holds(msgspec.json.decode(encode_raw(event), type=RawEvent))
    assert identity(event) == identity(MARKER)


@pytest.mark.parametrize("vector", json.loads((VECTORS / "events.json").read_text())["events"], ids=lambda v: v["name"])
def test_events_of_the_vectors_have_their_ids_and_signatures(vector):
    genesis_hash = bytes.fromhex(json.loads((VECTORS / "events.json").read_text())["genesis_hash"])
    fields = {name: vector[name] for name in ("source", "source_event_id", "group", "market_id", "kind", "event_ms")}
    payload = msgspec.Raw(vector["payload"].encode())
    event = raw_event(**fields, received_ms=0, payload=payload, source_seq=vector["source_seq"] or 0)
    assert identity(event).hex() == vector["event_id"]
    event = msgspec.structs.replace(event, signature=vector["signature"])
    assert holds(event, bytes.fromhex(vector["key"]), genesis_hash)


def test_an_event_without_a_signature_is_nobodys():
    assert not holds(MARKER)


def test_a_signature_counts_on_its_own_chain_only():
    event = signed(MARKER, ELSEWHERE, sign(CLOCK))
    assert holds(event, genesis=ELSEWHERE)
    assert not holds(event)


def test_a_signature_by_another_key_does_not_count():
    assert not holds(signed(MARKER, GENESIS, sign(pair("stranger"))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "registry"),
        ("source_event_id", "sports:4"),
        ("group", "eng.1"),
        ("market_id", "M"),
        ("kind", "rebase"),
        ("event_ms", 60_001),
        ("source_seq", 1),
        ("payload", msgspec.Raw(b'{"catalog": "sports","epoch_id":2}')),
    ],
)
def test_a_signature_does_not_move_to_an_event_that_differs_in_one_field(field, value):
    event = msgspec.structs.replace(signed(MARKER, GENESIS, sign(CLOCK)), **{field: value})
    assert not holds(event)


def test_the_time_of_receipt_is_the_senders_business_and_not_signed():
    event = msgspec.structs.replace(signed(MARKER, GENESIS, sign(CLOCK)), received_ms=99)
    assert holds(event)


def test_it_is_pure_ed25519():
    """RFC 8032 section 7.1, test 2: no hash before the signature, no context."""
    key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verifies(key, signature, b"\x72")
    assert not verifies(key, signature, b"\x73")


@pytest.mark.parametrize("times", [1, 2, 7])
def test_another_encoding_of_a_signature_does_not_count(times):
    """S + L means the same scalar; who accepts it has two signatures where one was made."""
    message = control_message(GENESIS, identity(MARKER))
    raw = sign(CLOCK)(message)
    scalar = int.from_bytes(raw[32:], "little") + times * L
    again = raw[:32] + scalar.to_bytes(32, "little")
    assert verifies(public(CLOCK), raw.hex(), message)
    assert not verifies(public(CLOCK), again.hex(), message)


@pytest.mark.parametrize("key", SMALL_ORDER, ids=bytes.hex)
def test_a_key_of_small_order_signs_nothing(key):
    """With S = 0 and R of small order a lax check accepts one message in eight or more."""
    for number in range(32):
        message = control_message(GENESIS, hashlib.sha256(bytes([number])).digest())
        for r in SMALL_ORDER:
            assert not verifies(key, (r + bytes(32)).hex(), message)


def test_a_signature_with_a_nonce_of_small_order_does_not_count():
    """Made with the secret key itself: R is the neutral element, S = k * a; a lax check accepts it."""
    message, r = control_message(GENESIS, identity(MARKER)), SMALL_ORDER[0]
    secret = bytearray(hashlib.sha512(hashlib.sha256(b"clock").digest()).digest()[:32])
    secret[0] &= 248
    secret[31] = secret[31] & 63 | 64
    k = int.from_bytes(hashlib.sha512(r + public(CLOCK) + message).digest(), "little")
    scalar = k * int.from_bytes(secret, "little") % L
    assert not verifies(public(CLOCK), (r + scalar.to_bytes(32, "little")).hex(), message)


@pytest.mark.parametrize("signature", ["", "00", "zz" * 64, "00" * 63, "00" * 65, "0" * 127, "ü" * 128])
def test_what_is_no_signature_at_all_is_an_answer_and_not_an_error(signature):
    assert not verifies(public(CLOCK), signature, b"")


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\xff" * 32, (2).to_bytes(32, "little")])
def test_what_is_no_key_at_all_signs_nothing(key):
    assert not verifies(key, sign(CLOCK)(b"m").hex(), b"m")


@given(st.integers(0, 511))
@settings(max_examples=40)
def test_a_signature_with_any_bit_turned_does_not_count(bit):
    raw = bytearray(sign(CLOCK)(b"m"))
    raw[bit // 8] ^= 1 << bit % 8
    assert not verifies(public(CLOCK), raw.hex(), b"m")


@pytest.mark.parametrize("change", [str.upper, lambda text: text[:2] + " " + text[2:], lambda text: text + "\n"])
def test_an_event_whose_signature_is_spelled_otherwise_is_not_read(change):
    event = signed(MARKER, GENESIS, sign(CLOCK))
    spelled = msgspec.structs.replace(event, signature=change(event.signature or ""))
    with pytest.raises(msgspec.ValidationError, match="signature"):
        msgspec.json.decode(encode_raw(spelled), type=RawEvent)


# Control keys

FIRST, SECOND, THIRD, STRANGER = (pair(f"control key {i}") for i in ("0", "1", "2", "of a stranger"))


def certificate(old: Keypair, new: Keypair, by: Keypair | None = None, genesis: bytes = GENESIS) -> Certificate:
    message = certificate_message(genesis, public(old), public(new))
    return Certificate(public(old).hex(), public(new).hex(), sign(by or old)(message).hex())


def keys(*certificates: Certificate) -> list[bytes]:
    return control_keys(public(FIRST), GENESIS, certificates)


def chain(*pairs: Keypair) -> list[bytes]:
    return [public(each) for each in pairs]


def test_without_certificates_the_first_key_is_the_only_one():
    assert keys() == chain(FIRST)


def test_an_old_key_vouches_for_a_new_one_and_so_on():
    assert keys(certificate(FIRST, SECOND), certificate(SECOND, THIRD)) == chain(FIRST, SECOND, THIRD)


def test_certificates_of_the_vectors_form_a_chain():
    vectors = json.loads((VECTORS / "control.json").read_text())
    certificates = [msgspec.convert(each, Certificate) for each in vectors["certificates"]]
    first = bytes.fromhex(certificates[0].old)
    found = control_keys(first, bytes.fromhex(vectors["genesis_hash"]), certificates)
    assert [key.hex() for key in found] == [certificates[0].old, *(each.new for each in certificates)]


def test_a_chain_broken_in_the_middle_ends_there():
    forged = certificate(SECOND, STRANGER, by=STRANGER)
    assert keys(certificate(FIRST, SECOND), forged, certificate(STRANGER, THIRD)) == chain(FIRST, SECOND)
    assert keys(certificate(FIRST, SECOND), forged, certificate(SECOND, THIRD)) == chain(FIRST, SECOND)


def test_a_chain_that_leaves_out_a_link_ends_before_it():
    assert keys(certificate(SECOND, THIRD)) == chain(FIRST)
    assert keys(certificate(SECOND, THIRD), certificate(FIRST, SECOND)) == chain(FIRST)


def test_a_stranger_vouches_for_nobody():
    assert keys(certificate(STRANGER, SECOND)) == chain(FIRST)
    assert keys(certificate(FIRST, STRANGER, by=STRANGER)) == chain(FIRST)


def test_a_certificate_counts_on_its_own_chain_only():
    assert keys(certificate(FIRST, SECOND, genesis=ELSEWHERE)) == chain(FIRST)


def test_an_old_key_cannot_vouch_twice():
    assert keys(certificate(FIRST, SECOND), certificate(FIRST, STRANGER)) == chain(FIRST, SECOND)


def test_a_chain_may_come_back_to_a_key_that_the_newest_one_vouches_for():
    there_and_back = (certificate(FIRST, SECOND), certificate(SECOND, FIRST))
    assert keys(*there_and_back) == chain(FIRST, SECOND, FIRST)
    assert keys(*there_and_back, *there_and_back) == chain(FIRST, SECOND, FIRST, SECOND, FIRST)
    assert keys(certificate(FIRST, FIRST)) == chain(FIRST, FIRST)


def test_a_signature_for_an_event_is_no_certificate():
    """The tags differ, so that no message of the one kind reads as one of the other."""
    message = control_message(GENESIS, public(SECOND))
    forged = Certificate(public(FIRST).hex(), public(SECOND).hex(), sign(FIRST)(message).hex())
    assert keys(forged) == chain(FIRST)
