"""One instruction before it is sent, so that a test can bend any part of it."""

from dataclasses import dataclass, replace
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0svm.chain import Chain, Result
from m0svm.idl import Idl


@dataclass(frozen=True)
class Call:
    """`accounts` by the IDL's names: a Keypair where the account signs, else a Pubkey."""

    chain: Chain
    idl: Idl
    program: Pubkey
    name: str
    accounts: dict[str, Keypair | Pubkey]
    args: dict[str, Any]
    unsigned: frozenset[str] = frozenset()
    readonly: frozenset[str] = frozenset()
    raw: bytes | None = None
    drop: int = 0

    def instruction(self) -> Instruction:
        metas = []
        for account in self.idl.instructions[self.name]["accounts"]:
            name = account["name"]
            key = self.accounts[name]
            address = key if isinstance(key, Pubkey) else key.pubkey()
            signer = account.get("signer", False) and name not in self.unsigned
            writable = account.get("writable", False) and name not in self.readonly
            metas.append(AccountMeta(address, signer, writable))
        metas = metas[: len(metas) - self.drop]
        data = self.idl.data(self.name, self.args) if self.raw is None else self.raw
        return Instruction(self.program, data, metas)

    def signers(self) -> list[Keypair]:
        listed = self.idl.instructions[self.name]["accounts"]
        listed = listed[: len(listed) - self.drop]
        names = [a["name"] for a in listed if a.get("signer") and a["name"] not in self.unsigned]
        return [k for n in names if isinstance(k := self.accounts[n], Keypair)]

    def send(self) -> Result:
        return self.chain.send([self.instruction()], [self.chain.payer, *self.signers()])

    def ok(self) -> Result:
        return self.send().ok()

    def fails(self, error: str) -> Result:
        result = self.send()
        assert result.error == error, (self.name, result.error, error, result.logs)
        return result

    def with_args(self, **args: Any) -> "Call":
        return replace(self, args={**self.args, **args})

    def with_accounts(self, **accounts: Keypair | Pubkey) -> "Call":
        return replace(self, accounts={**self.accounts, **accounts})

    def without_signature(self, name: str) -> "Call":
        return replace(self, unsigned=self.unsigned | {name})

    def read_only(self, name: str) -> "Call":
        return replace(self, readonly=self.readonly | {name})

    def with_data(self, raw: bytes) -> "Call":
        return replace(self, raw=raw)

    def dropping(self, count: int) -> "Call":
        """Without the last `count` accounts."""
        return replace(self, drop=count)
