"""A LiteSVM with a clock one can set, upgradeable deployment, and transactions that name their error."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from m0svm.idl import Idl

SYSTEM = Pubkey.default()
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")


@dataclass
class Result:
    """What a transaction did: the error's name (None when it succeeded), cost, events and return data."""

    error: str | None
    units: int
    events: list[tuple[str, dict[str, Any]]]
    returned: bytes
    logs: list[str]

    def ok(self) -> "Result":
        assert self.error is None, (self.error, self.logs)
        return self

    def event(self, name: str) -> dict[str, Any]:
        return dict(self.events)[name]


class Chain:
    """A fresh virtual machine whose time is `start_ms`."""

    def __init__(self, start_ms: int) -> None:
        self.svm = LiteSVM()
        self.payer = self.funded()
        self.idls: dict[Pubkey, Idl] = {}
        self.at(start_ms)

    def funded(self) -> Keypair:
        key = Keypair()
        self.svm.airdrop(key.pubkey(), 1_000_000_000_000)
        return key

    def at(self, ms: int) -> None:
        """Set the clock; time on chain has whole seconds."""
        assert ms % 1000 == 0
        clock = self.svm.get_clock()
        clock.unix_timestamp = ms // 1000
        self.svm.set_clock(clock)

    def deploy(self, so: Path, idl: Idl, authority: Keypair | None) -> Pubkey:
        """Deploy through the upgradeable loader, or immutably without an authority."""
        program, code = Keypair(), so.read_bytes()
        self.idls[program.pubkey()] = idl
        if authority is None:
            self.svm.add_program(program.pubkey(), code)
            return program.pubkey()
        buffer, payer = Keypair(), self.payer.pubkey()
        steps = [Instruction(LOADER, struct.pack("<I", 0), [_meta(buffer.pubkey(), w=True), _meta(authority.pubkey())])]
        self._send([self._create(buffer, 37 + len(code)), *steps], [self.payer, buffer])
        for at in range(0, len(code), 900):
            part = code[at : at + 900]
            data = struct.pack("<IIQ", 1, at, len(part)) + part
            metas = [_meta(buffer.pubkey(), w=True), _meta(authority.pubkey(), s=True)]
            self._send([Instruction(LOADER, data, metas)], [self.payer, authority])
        metas = [
            _meta(payer, s=True, w=True),
            _meta(program_data(program.pubkey()), w=True),
            _meta(program.pubkey(), w=True),
            _meta(buffer.pubkey(), w=True),
            _meta(RENT),
            _meta(CLOCK),
            _meta(SYSTEM),
            _meta(authority.pubkey(), s=True),
        ]
        final = Instruction(LOADER, struct.pack("<IQ", 2, 2 * len(code)), metas)
        self._send([self._create(program, 36), final], [self.payer, program, authority])
        clock = self.svm.get_clock()
        self.svm.warp_to_slot(clock.slot + 2)
        self.svm.set_clock(clock.__class__(clock.slot + 2, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
        return program.pubkey()

    def _create(self, key: Keypair, space: int) -> Instruction:
        lamports = self.svm.minimum_balance_for_rent_exemption(space)
        params = CreateAccountParams(
            from_pubkey=self.payer.pubkey(), to_pubkey=key.pubkey(), lamports=lamports, space=space, owner=LOADER
        )
        return create_account(params)

    def _send(self, instructions: list[Instruction], signers: list[Keypair]) -> None:
        result = self.send(instructions, signers)
        assert result.error is None, (result.error, result.logs)

    def send(self, instructions: list[Instruction], signers: list[Keypair]) -> Result:
        """Send one transaction; the first signer pays."""
        self.svm.expire_blockhash()
        unique = list({k.pubkey(): k for k in signers}.values())
        message = Message(instructions, signers[0].pubkey())
        return self.result(self.svm.send_transaction(Transaction(unique, message, self.svm.latest_blockhash())))

    def result(self, raw: Any) -> Result:
        failed = isinstance(raw, FailedTransactionMetadata)
        meta = raw.meta() if failed else raw
        logs = meta.logs()
        error = self._error(raw.err(), logs) if failed else None
        events = []
        for log in logs:
            if log.startswith("Program data: "):
                data = base64.b64decode(log.removeprefix("Program data: "))
                owner = next(i for i in self.idls.values() if data[:8] in i.events)
                events.append(owner.event(data))
        return Result(error, meta.compute_units_consumed(), events, bytes(meta.return_data().data), logs)

    def _error(self, error: Any, logs: list[str]) -> str:
        code = getattr(getattr(error, "err", None), "code", None)
        failing = [line.split()[1] for line in logs if line.startswith("Program ") and "failed: " in line]
        for program in failing:
            names = self.idls.get(Pubkey.from_string(program))
            if code is not None and names:
                return names.error_names[code]
        return str(error)

    def account(self, kind: str, address: Pubkey) -> dict[str, Any]:
        """A decoded program account."""
        raw = self.svm.get_account(address)
        assert raw is not None, f"no account at {address}"
        return self.idls[raw.owner].account(kind, bytes(raw.data))

    def put(self, address: Pubkey, owner: Pubkey, data: bytes) -> None:
        """Set an account as no program could."""
        lamports = self.svm.minimum_balance_for_rent_exemption(len(data))
        self.svm.set_account(address, Account(lamports, data, owner, False, 0))


def _meta(key: Pubkey, *, s: bool = False, w: bool = False) -> AccountMeta:
    return AccountMeta(key, s, w)


def program_data(program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]
