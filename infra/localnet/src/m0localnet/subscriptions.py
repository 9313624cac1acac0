"""Who is told what: the subscriptions of all connections, fed by the bank as the chain grows."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from m0localnet.bank import Bank
from m0localnet.commitment import Commitment
from m0localnet.encodings import encode_account
from m0localnet.errors import RpcError
from m0localnet.filters import Filter, passes
from m0localnet.slot import Landed, Slot

_GONE: Final = Account(0, b"", Pubkey.default())
_TOO_LARGE: Final = "error: data too large for bs58 encoding"
_encode: Final = msgspec.json.Encoder().encode

Deliver = Callable[[bytes], None]


@dataclass(eq=False, slots=True)
class Subscription:
    """
    One subscription. ``topic`` is the index it is filed under (kind and, where there is one, the key it watches);
    ``deliver`` queues an encoded frame on its connection; ``drop`` makes the connection forget it.
    """

    number: int
    kind: str
    topic: tuple[str, object]
    level: Commitment
    deliver: Deliver
    encoding: str = "binary"
    data_slice: tuple[int, int] | None = None
    filters: list[Filter] = field(default_factory=list)
    received: bool = False
    drop: Callable[[int], None] | None = None


def _shown(account: Account, sub: Subscription) -> dict[str, Any]:
    try:
        return encode_account(account, sub.encoding, sub.data_slice)
    except RpcError:
        shown = encode_account(account, "base64", (0, 0))
        shown["data"] = _TOO_LARGE if sub.encoding == "binary" else [_TOO_LARGE, "base58"]
        return shown


def frame(sub: Subscription, result: Any) -> bytes:
    """Return the notification frame for one subscription."""
    return _encode(
        {
            "jsonrpc": "2.0",
            "method": f"{sub.kind}Notification",
            "params": {"result": result, "subscription": sub.number},
        }
    )


def _at(slot: int, value: Any) -> dict[str, Any]:
    return {"context": {"slot": slot}, "value": value}


class Subscriptions:
    """The registry of subscriptions; implements the bank's :class:`~m0localnet.bank.Watcher`."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._numbers = itertools.count(1)
        self._topics: defaultdict[tuple[str, object], dict[int, Subscription]] = defaultdict(dict)
        self._by_number: dict[int, Subscription] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def number(self) -> int:
        """Return an unused subscription number."""
        return next(self._numbers)

    def add(self, sub: Subscription) -> None:
        """File a subscription."""
        self._topics[sub.topic][sub.number] = sub
        self._by_number[sub.number] = sub

    def remove(self, number: int) -> None:
        """Forget a subscription; unknown numbers are ignored."""
        sub = self._by_number.pop(number, None)
        if sub is None:
            return
        filed = self._topics[sub.topic]
        del filed[number]
        if not filed:
            del self._topics[sub.topic]
        if sub.drop is not None:
            sub.drop(number)

    def tell_known(self, sub: Subscription) -> None:
        """Tell a new signature subscription at once when its transaction has reached its level already."""
        if sub.kind != "signature":
            return
        signature = sub.topic[1]
        assert isinstance(signature, bytes)
        status = self._bank.statuses.get(signature)
        if status is not None and status.slot <= self._bank.slot_at(sub.level):
            self._finish(sub, status.slot, status.err)

    def _of(self, kind: str, key: object = None) -> Iterable[Subscription]:
        filed = self._topics.get((kind, key))
        return tuple(filed.values()) if filed else ()

    def _finish(self, sub: Subscription, slot: int, err: Any) -> None:
        sub.deliver(frame(sub, _at(slot, {"err": err})))
        self.remove(sub.number)

    # ---- Watcher

    def received(self, signature: bytes) -> None:
        """Tell the signature subscriptions that asked for it that the node has the transaction."""
        for sub in self._of("signature", signature):
            if sub.received:
                sub.deliver(frame(sub, _at(self._bank.running.number, "receivedSignature")))

    def landed(self, landed: Landed) -> None:
        """Tell the subscribers at ``processed`` of a transaction."""
        self._tell_transaction(Commitment.PROCESSED, landed)

    def reached(self, level: Commitment, slot: Slot) -> None:
        """Tell the subscribers at ``level`` what a slot changed."""
        if not self._by_number:
            return
        if level is not Commitment.PROCESSED:
            for landed in slot.landed:
                self._tell_transaction(level, landed)
        for key, account in slot.after.items():
            for sub in self._of("account", key):
                if sub.level is level:
                    sub.deliver(frame(sub, _at(slot.number, _shown(account or _GONE, sub))))
            if account is None:
                continue
            for sub in self._of("program", account.owner):
                if sub.level is level and passes(account, sub.filters):
                    value = {"account": _shown(account, sub), "pubkey": str(key)}
                    sub.deliver(frame(sub, _at(slot.number, value)))
        if level is Commitment.FINALIZED:
            for sub in self._of("root"):
                sub.deliver(frame(sub, slot.number))

    def slot_started(self, slot: int, parent: int, root: int) -> None:
        """Tell the slot subscribers of a new slot."""
        for sub in self._of("slot"):
            sub.deliver(frame(sub, {"parent": parent, "root": root, "slot": slot}))

    def _tell_transaction(self, level: Commitment, landed: Landed) -> None:
        if not self._by_number:
            return
        record = landed.record
        for sub in self._of("signature", record.signature):
            if sub.level is level:
                self._finish(sub, record.slot, record.err)
        value: dict[str, Any] | None = None
        for topic in (None, *landed.keys):
            for sub in self._of("logs", topic):
                if sub.level is level:
                    value = value or {
                        "err": record.err,
                        "logs": record.logs or [],
                        "signature": str(Signature.from_bytes(record.signature)),
                    }
                    sub.deliver(frame(sub, _at(record.slot, value)))
