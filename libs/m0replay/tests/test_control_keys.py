"""Certificates of control keys: made by the old key, one behind the other, refused where one is missing."""

import msgspec
import pytest
from m0common.errors import SettingsError
from m0lanes.authority import control_keys
from m0replay.control_keys import ControlKey, certify, chained, read_certificate
from solders.keypair import Keypair

GENESIS, ELSEWHERE = bytes([7]) * 32, bytes([8]) * 32
FIRST, SECOND, THIRD = (Keypair.from_seed(bytes([n]) * 32) for n in (1, 2, 3))


def public(key: Keypair) -> bytes:
    return bytes(key.pubkey())


TO_SECOND = certify(FIRST, public(SECOND), GENESIS)
TO_THIRD = certify(SECOND, public(THIRD), GENESIS)


def chain(known, *given):
    return chained(known, given, public(FIRST), GENESIS)


def test_a_certificate_is_what_lanes_take_for_one():
    assert control_keys(public(FIRST), GENESIS, [TO_SECOND, TO_THIRD]) == [public(k) for k in (FIRST, SECOND, THIRD)]


def test_certificates_are_added_behind_those_that_are_known():
    assert chain((), TO_SECOND, TO_THIRD) == (TO_SECOND, TO_THIRD)
    assert chain((TO_SECOND,), TO_THIRD) == (TO_SECOND, TO_THIRD)


def test_a_certificate_that_is_known_is_passed_over():
    assert chain((TO_SECOND, TO_THIRD), TO_SECOND, TO_THIRD) == (TO_SECOND, TO_THIRD)


def test_a_chain_with_a_gap_is_refused_naming_the_key_that_has_to_sign():
    missing = public(FIRST).hex()
    with pytest.raises(SettingsError, match=f"the chain has come to {missing}: give the certificate that {missing}"):
        chain((), TO_THIRD)
    with pytest.raises(SettingsError, match=f"the chain has come to {missing}"):
        chain((), TO_THIRD, TO_SECOND)


def test_a_certificate_for_another_chain_or_with_a_bent_signature_is_refused():
    bent = msgspec.structs.replace(TO_SECOND, signature=TO_THIRD.signature)
    for wrong in (bent, certify(FIRST, public(SECOND), ELSEWHERE)):
        with pytest.raises(SettingsError, match=f"is not signed by {public(FIRST).hex()} for the chain"):
            chain((), wrong)


def test_a_key_does_not_certify_itself():
    with pytest.raises(SettingsError, match="is the old control key itself"):
        certify(FIRST, public(FIRST), GENESIS)


def test_the_last_key_of_the_chain_signs_and_no_other():
    assert ControlKey(THIRD, public(FIRST), GENESIS, (TO_SECOND, TO_THIRD)).certificates == (TO_SECOND, TO_THIRD)
    with pytest.raises(SettingsError, match=f"was replaced by {public(THIRD).hex()}"):
        ControlKey(SECOND, public(FIRST), GENESIS, (TO_SECOND, TO_THIRD))
    with pytest.raises(SettingsError, match="is not the deployment's"):
        ControlKey(THIRD, public(FIRST), GENESIS, (TO_SECOND,))


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    path = tmp_path / "word.json"
    with pytest.raises(SettingsError, match=r"word\.json is no certificate"):
        read_certificate(path)
    path.write_text('{"old": "ab"}')
    with pytest.raises(SettingsError, match=r"word\.json is no certificate"):
        read_certificate(path)
    path.write_bytes(msgspec.json.encode(TO_SECOND))
    assert read_certificate(path) == TO_SECOND
