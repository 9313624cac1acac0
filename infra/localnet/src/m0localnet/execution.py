"""Executing one transaction in the running slot: with its record, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from m0localnet import budget, message, tokens
from m0localnet.message import Keys
from m0localnet.records import TxRecord, encode_record
from m0localnet.slot import Landed, Slot
from m0localnet.vm import UPGRADEABLE_LOADER, Outcome, Vm

_PROGRAM_DATA: Final = b"\x03\x00\x00\x00"


def execute(vm: Vm, tx: VersionedTransaction, keys: Keys, slot: Slot) -> Landed | str:
    """
    Execute ``tx`` as the next transaction of ``slot``; returns it, or why it was dropped.

    A dropped one has changed nothing, and neither has one over which this raises, whatever that is.
    """
    every = keys.all
    before = {key: vm.get(key) for key in keys.written}
    balances = [vm.balance(key) for key in every]
    token_balances = tokens.balances(every, vm.get)
    try:
        outcome = vm.execute(tx)
        if not outcome.landed:
            return str(outcome.err)
        if outcome.err is not None:
            _advance_nonce_of_failed(vm, tx)
        record = TxRecord(
            signature=bytes(tx.signatures[0]),
            slot=slot.number,
            index=len(slot.landed),
            wire=bytes(tx),
            err=outcome.err,
            fee=outcome.fee,
            pre_balances=balances,
            post_balances=[vm.balance(key) for key in every],
            pre_tokens=token_balances,
            post_tokens=tokens.balances(every, vm.get),
            logs=outcome.logs,
            inner=outcome.inner,
            units=outcome.units,
            return_data=outcome.return_data,
            loaded_writable=[bytes(key) for key in keys.loaded_writable],
            loaded_readonly=[bytes(key) for key in keys.loaded_readonly],
            memo=message.memo_text(tx),
            price=budget.unit_price(tx.message),
        )
        landed = Landed(record, encode_record(record), frozenset(every), frozenset(keys.written))
        note_changes(vm, slot, before, every)
    except BaseException:
        vm.reset(before)
        raise
    return landed


def _advance_nonce_of_failed(vm: Vm, tx: VersionedTransaction) -> None:
    # A failed transaction still uses up its durable nonce, or it could be sent again.
    nonce = message.nonce_account(tx)
    blockhash = bytes(tx.message.recent_blockhash)
    account = vm.get(nonce) if nonce is not None else None
    if nonce is None or account is None or not message.nonce_matches(account, blockhash):
        return
    data = account.data[:40] + vm.next_nonce() + account.data[72:]
    vm.put(nonce, Account(account.lamports, data, account.owner, account.executable, account.rent_epoch))


def note_changes(vm: Vm, slot: Slot, before: Mapping[Pubkey, Account | None], every: Iterable[Pubkey]) -> None:
    """Note in ``slot`` which accounts are no longer as in ``before``, and which programs of ``every`` have new code."""
    code = False
    for key, old in before.items():
        new = vm.get(key)
        if new != old:
            slot.before.setdefault(key, old)
            latest = new or old
            assert latest is not None
            code |= latest.owner == UPGRADEABLE_LOADER and latest.data[:4] == _PROGRAM_DATA
    if code:
        for key in every:
            account = vm.get(key)
            if account is not None and account.executable and account.owner == UPGRADEABLE_LOADER:
                slot.code.add(key)


def simulate(vm: Vm, tx: VersionedTransaction, past: Mapping[Pubkey, Account | None]) -> Outcome:
    """
    Run ``tx`` on the present state with the accounts in ``past`` as they were, keeping nothing.

    Programs stay as they are: setting one would load its code again.
    """
    undone: dict[Pubkey, Account | None] = {}
    try:
        for key, old in past.items():
            present = vm.get(key)
            if not any(a is not None and a.owner == UPGRADEABLE_LOADER for a in (present, old)):
                undone[key] = present
                vm.put(key, old)
        return vm.simulate(tx)
    finally:
        vm.reset(undone)
