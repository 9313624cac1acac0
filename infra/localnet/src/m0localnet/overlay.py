"""The state as it was: the present state of the VM with the changes of later slots undone."""

from __future__ import annotations

from collections import deque

from solders.account import Account
from solders.pubkey import Pubkey

from m0localnet.slot import Slot
from m0localnet.vm import Vm


class Overlay:
    """Reads accounts at the end of a slot. ``unfinalized`` holds the frozen slots that are not final, oldest first."""

    def __init__(self, vm: Vm, unfinalized: deque[Slot], running: Slot) -> None:
        self._vm = vm
        self._unfinalized = unfinalized
        self.running = running

    def account(self, key: Pubkey, slot: int) -> Account | None:
        """Return an account as it was at the end of ``slot`` (the running slot: as it is now)."""
        for later in self._unfinalized:
            if later.number > slot and key in later.before:
                return later.before[key]
        if self.running.number > slot and key in self.running.before:
            return self.running.before[key]
        return self._vm.get(key)

    def changed_since(self, slot: int) -> dict[Pubkey, Account | None]:
        """Return every account that changed after ``slot``, as it was at its end."""
        changed: dict[Pubkey, Account | None] = {}
        for later in (*self._unfinalized, self.running):
            if later.number > slot:
                for key, account in later.before.items():
                    changed.setdefault(key, account)
        return changed

    def owned_by(self, owner: Pubkey, slot: int) -> list[tuple[Pubkey, Account]]:
        """Return the accounts owned by a program at the end of ``slot``, in key order."""
        changed = self.changed_since(slot)
        rows = [(key, account) for key, account in self._vm.owned_by(owner) if key not in changed]
        rows += [(key, old) for key, old in changed.items() if old is not None and old.owner == owner]
        return sorted(rows, key=lambda row: bytes(row[0]))
