import pytest
from m0chain import DecodeError, Oracle, Registry, accounts, idl, pda
from m0chain.accounts import EpochStatus
from m0common.ids import catalog_bytes
from solders.pubkey import Pubkey

KEY = Pubkey.new_unique()


def epoch_data(**changes):
    fields = {
        "version": 1, "bump": 255, "catalog": catalog_bytes("sports"), "epoch_id": 7, "status": 2, "signer_set_id": 1,
        "count": 3, "threshold": 2, "opener": KEY, "window_start_ms": 70, "window_end_ms": 80, "commit_deadline_ms": 90,
        "reveal_deadline_ms": 100, "committed": 0b111, "revealed": 0b1, "finalized_tally": 255, "finalized_slot": 0,
        "commitments": [b"c" * 32] * 3,
        "tallies": [{"bundle_hash": b"b" * 32, "merkle_root": b"m" * 32, "leaf_count": 5, "mask": 0b1}],
    }  # fmt: skip
    return idl.oracle().encode_account("Epoch", {**fields, **changes})


def catalog_data(finalized):
    zeros = dict.fromkeys(("epoch_id", "window_end_ms", "leaf_count", "signers"), 0)
    entry = {**zeros, "merkle_root": bytes(32), "bundle_hash": bytes(32)}
    ring = [dict(entry) for _ in range(64)]
    for n, epoch_id in enumerate(finalized):
        ring[n % 64]["epoch_id"] = epoch_id
    fields = {
        "version": 1, "bump": 1, "catalog": catalog_bytes("sports"), "signer_set_id": 1, "epoch_ms": 1000,
        "commit_ms": 1000, "reveal_ms": 1000, "last_finalized_epoch": finalized[-1] if finalized else 0,
        "finalized_count": len(finalized), "ring_head": len(finalized) % 64, "ring": ring, "peaks": [bytes(32)] * 32,
    }  # fmt: skip
    return idl.oracle().encode_account("Catalog", fields)


def test_an_epoch_decodes_with_unused_space_behind_it():
    epoch = accounts.epoch(epoch_data() + bytes(200))
    assert (epoch.catalog, epoch.epoch_id, epoch.status) == ("sports", 7, EpochStatus.REVEALING)
    assert epoch.status.label == "revealing"
    assert epoch.all_committed
    assert epoch.tallies[0].leaf_count == 5


def test_a_quorum_needs_as_many_distinct_signers_as_the_threshold():
    tally = {"bundle_hash": b"b" * 32, "merkle_root": b"m" * 32, "leaf_count": 5, "mask": 0b1}
    other = {**tally, "bundle_hash": b"x" * 32, "mask": 0b10}
    assert accounts.epoch(epoch_data(tallies=[tally, other])).quorum() is None
    assert accounts.epoch(epoch_data(tallies=[other, {**tally, "mask": 0b101}])).quorum().mask == 0b101


def test_another_account_type_a_cut_one_and_an_unknown_status_are_refused():
    with pytest.raises(DecodeError, match="starts with"):
        accounts.config(epoch_data())
    with pytest.raises(DecodeError, match="wanted at offset"):
        accounts.epoch(epoch_data()[:100])
    with pytest.raises(DecodeError, match="9 is not a valid EpochStatus"):
        accounts.epoch(epoch_data(status=9))
    with pytest.raises(DecodeError, match="catalog"):
        accounts.epoch(epoch_data(catalog=b"\xff" * 16))


def test_the_ring_finds_the_latest_64_epochs_and_no_other():
    catalog = accounts.catalog(catalog_data(range(1, 71)))
    assert catalog.finalized(70).epoch_id == 70
    assert catalog.finalized(7).epoch_id == 7
    assert catalog.finalized(6) is None
    assert accounts.catalog(catalog_data([])).finalized(0) is None


def test_instructions_carry_the_flags_and_order_of_the_idl():
    oracle, payer = Oracle(KEY), Pubkey.new_unique()
    made = oracle.open_epoch(payer, "sports", 7, 1)
    assert [(m.pubkey, m.is_signer, m.is_writable) for m in made.accounts] == [
        (payer, True, True),
        (pda.config(KEY), False, False),
        (pda.catalog(KEY, "sports"), False, False),
        (pda.signer_set(KEY, 1), False, False),
        (pda.epoch(KEY, "sports", 7), False, True),
        (Pubkey.default(), False, False),
    ]
    assert idl.oracle().decode_args(bytes(made.data)) == ("open_epoch", {"epoch_id": 7})


def test_every_instruction_of_both_programs_has_a_builder():
    assert set(idl.oracle().instructions) <= set(dir(Oracle))
    assert set(idl.registry().instructions) <= set(dir(Registry))


def test_signer_sets_are_created_with_ascending_keys():
    keys = [Pubkey.new_unique() for _ in range(5)]
    made = Oracle(KEY).create_signer_set(KEY, KEY, 1, 2, keys[::-1])
    args = idl.oracle().decode_args(bytes(made.data))[1]
    assert args["keys"] == sorted(keys, key=bytes)


@pytest.mark.parametrize("resolved", [False, True])
def test_the_first_bytes_of_a_market_say_what_changes_in_it(resolved):
    fields = {
        "version": 1, "bump": 2, "market_key": bytes(range(32)), "catalog": b"sports".ljust(16, b"\0"), "state": 3,
        "outcome_count": 3, "resolved": resolved, "resolution": 2, "schema_version": 1, "opens_ms": 1,
        "resolves_after_ms": 2, "resolved_ms": 3, "evidence_hash": bytes(32), "created_slot": 4, "market_id": "M",
        "group": "g", "title": "t", "outcomes": ["A", "B", "C"],
    }  # fmt: skip
    data = idl.registry().encode_account("Market", fields)
    head = accounts.market_head(data[: accounts.MARKET_HEAD_BYTES])
    whole = accounts.market(data)
    assert (head.market_key, head.state) == (whole.market_key, whole.state)
    assert head.resolution == (whole.resolution if resolved else None)
    assert data[accounts.MARKET_KEY_AT :].startswith(whole.market_key)
    for bad in (data, data[:61], bytes(62), data[:58] + b"\x09" + data[59:62]):
        with pytest.raises(DecodeError, match="Market account"):
            accounts.market_head(bad)


def test_the_id_of_an_epoch_lies_where_epochs_are_asked_for_by_it():
    assert idl.oracle().fields("Epoch")[:4] == ["version", "bump", "catalog", "epoch_id"]
    assert accounts.EPOCH_ID_AT == 8 + 1 + 1 + 16
