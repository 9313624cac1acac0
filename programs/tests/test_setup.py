"""Signer sets and catalogs of the oracle."""

import pytest
from m0common.canonical import signer_set_digest
from m0svm.oracle import CATALOG, FIRST_EPOCH, Oracle
from solders.pubkey import Pubkey


def keys(count):
    return sorted((Pubkey.new_unique() for _ in range(count)), key=bytes)


@pytest.mark.parametrize("count", [1, 2, 31, 32])
def test_a_signer_set_holds_one_to_thirty_two_keys(oracle, count):
    members = keys(count)
    call = oracle.create_signer_set(7, threshold=count, keys=members)
    event = call.ok().event("SignerSetCreated")
    digest = signer_set_digest(7, count, [bytes(k) for k in members])
    assert event == {"id": 7, "threshold": count, "activation_epoch": 0, "digest": digest, "keys": members}
    stored = oracle.chain.account("SignerSet", oracle.set_at(7))
    assert (stored["keys"], stored["digest"], stored["threshold"]) == (members, digest, count)
    assert (stored["count"], stored["retired"], stored["id"]) == (count, False, 7)


@pytest.mark.parametrize("threshold", [0, 4, 255])
def test_a_threshold_outside_one_to_the_number_of_keys_is_refused(oracle, threshold):
    oracle.create_signer_set(2, threshold=threshold).fails("InvalidSignerSet")


def test_keys_that_are_none_unordered_or_repeated_are_refused(oracle):
    a, b, c = keys(3)
    for wrong in ([], [b, a], [a, a], [a, c, b], [a, b, b]):
        oracle.create_signer_set(2, threshold=1, keys=wrong).fails("InvalidSignerSet")


def test_a_key_count_that_the_data_does_not_hold_is_refused(oracle):
    call = oracle.create_signer_set(2)
    data = bytearray(call.instruction().data)
    at = 8 + 4 + 1 + 8
    assert data[at] == 3
    for count in (2, 4, 255):
        data[at] = count
        call.with_data(bytes(data)).fails("InvalidInstruction")
    data[at : at + 4] = b"\xff" * 4
    call.with_data(bytes(data)).fails("InvalidInstruction")


def test_a_retired_set_is_refused_everywhere_a_new_use_would_begin(oracle):
    retire = oracle.call("retire_signer_set", {})
    assert retire.ok().event("SignerSetRetired") == {"id": 1}
    retire.fails("SignerSetRetired")
    oracle.create_catalog(b"crypto".ljust(16, b"\0")).fails("SignerSetRetired")
    oracle.call("set_catalog_signer_set", {}).fails("SignerSetRetired")
    oracle.at_end_of(FIRST_EPOCH)
    oracle.open(FIRST_EPOCH).fails("SignerSetRetired")


def test_a_set_is_used_from_its_activation_epoch_on(oracle):
    oracle.create_signer_set(2).with_args(activation_epoch=FIRST_EPOCH + 1).ok()
    changed = oracle.call("set_catalog_signer_set", {"signer_set": oracle.set_at(2)}).ok()
    assert changed.event("CatalogSignerSetChanged") == {"catalog": CATALOG, "signer_set_id": 2}
    oracle.at_end_of(FIRST_EPOCH)
    oracle.open(FIRST_EPOCH, set_id=2).fails("SignerSetNotActive")
    oracle.at_end_of(FIRST_EPOCH + 1)
    oracle.open(FIRST_EPOCH + 1, set_id=2).ok()
    assert oracle.epoch(FIRST_EPOCH + 1)["signer_set_id"] == 2


def test_an_epoch_keeps_the_set_it_was_opened_with(oracle):
    oracle.create_signer_set(2, threshold=3).ok()
    oracle.opened(FIRST_EPOCH)
    oracle.call("set_catalog_signer_set", {"signer_set": oracle.set_at(2)}).ok()
    value = bytes([1]) * 32
    oracle.commit(FIRST_EPOCH, 0, value).with_accounts(signer_set=oracle.set_at(2)).fails("WrongSignerSet")
    oracle.commit(FIRST_EPOCH, 0, value).ok()
    oracle.at_end_of(FIRST_EPOCH + 1)
    oracle.open(FIRST_EPOCH + 1, set_id=1).fails("WrongSignerSet")
    oracle.open(FIRST_EPOCH + 1, set_id=2).ok()
    assert oracle.epoch(FIRST_EPOCH + 1)["threshold"] == 3


def test_a_catalog_starts_with_its_phases_and_nothing_finalized():
    oracle = Oracle()
    oracle.initialize().ok()
    oracle.create_signer_set().ok()
    call = oracle.create_catalog()
    event = call.ok().event("CatalogCreated")
    phases = {n: call.args[n] for n in ("epoch_ms", "commit_ms", "reveal_ms")}
    assert event == {"catalog": CATALOG, "signer_set_id": 1, **phases}
    catalog = oracle.catalog()
    assert {n: catalog[n] for n in phases} == phases
    assert (catalog["finalized_count"], catalog["last_finalized_epoch"], catalog["ring_head"]) == (0, 0, 0)
    assert len(catalog["ring"]) == 64
    assert catalog["peaks"] == [bytes(32)] * 32


@pytest.mark.parametrize("phase", ["epoch_ms", "commit_ms", "reveal_ms"])
@pytest.mark.parametrize("value", [0, 999])
def test_a_phase_below_one_second_is_refused(oracle, phase, value):
    call = oracle.create_catalog(b"crypto".ljust(16, b"\0"))
    call.with_args(**{phase: value}).fails("InvalidPhase")
    call.with_args(**{phase: 1000}).ok()


NAMES = [b"", b"Sports", b"a b", b"a\0b", b"caf\xc3\xa9", b"a.b", b"a/b", b"a" * 15 + b"A", b"\0a"]


@pytest.mark.parametrize("name", NAMES)
def test_a_catalog_name_outside_the_alphabet_is_refused(oracle, name):
    oracle.create_catalog(name.ljust(16, b"\0")).fails("InvalidCatalogName")


@pytest.mark.parametrize("name", [b"a", b"a-b_c", b"0123456789abcdef", b"zz9"])
def test_a_catalog_name_of_one_to_sixteen_bytes_is_accepted(oracle, name):
    oracle.create_catalog(name.ljust(16, b"\0")).ok()


@pytest.mark.parametrize("phase", ["epoch_ms", "commit_ms", "reveal_ms"])
def test_phases_that_leave_the_range_of_time_are_refused_when_an_epoch_is_opened(oracle, phase):
    name = b"absurd".ljust(16, b"\0")
    oracle.create_catalog(name).with_args(**{phase: 2**64 - 1}).ok()
    oracle.open(FIRST_EPOCH, name).fails("Overflow")


def test_an_epoch_id_that_leaves_the_range_of_time_is_refused(oracle):
    for epoch_id in (2**64 - 1, 2**63 // 30_000, 2**64 // 30_000):
        oracle.open(epoch_id).fails("Overflow")
