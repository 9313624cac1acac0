"""A node that answers as a script says, to see what the sender does when a real one misbehaves."""

import asyncio
import base64
import json

from solders.hash import Hash
from solders.transaction import VersionedTransaction

EPOCH = {"epoch": 0, "slotIndex": 0, "slotsInEpoch": 432_000, "transactionCount": 1}
BEHIND = {"code": -32016, "message": "Minimum context slot has not been reached", "data": {"contextSlot": 1}}


class ScriptedNode:
    """JSON-RPC over HTTP on a free port; tests set what the next calls answer.

    `raw(body)` answers everything with an HTTP status and bytes of its own (None: it hangs up), `answers[method]` one
    method; `heads` and `statuses_slot` are those of other nodes behind the same address.
    """

    def __init__(self) -> None:
        self.slot = 1_000
        self.height = 900
        self.valid_for = 150
        self.statuses = {}
        self.statuses_slot = lambda: self.slot
        self.heads = lambda: (self.slot, self.height)
        self.answers = {}
        self.asked: list[tuple[str, list]] = []
        self.raw = None
        self.on_send = lambda signature, count, skip_preflight: None
        self.sent: list[tuple[str, str, bool]] = []
        self.dropping = 0
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    @property
    def signatures(self):
        return list(dict.fromkeys(signature for signature, _, _ in self.sent))

    def grow(self, blocks):
        self.slot += blocks
        self.height += blocks

    def land(self, signature, error=None):
        self.statuses[signature] = {
            "slot": 5, "confirmations": 3, "err": error, "status": {"Ok": None} if error is None else {"Err": error},
            "confirmationStatus": "confirmed",
        }  # fmt: skip

    async def _serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
                size = next(int(v) for k, v in fields.items() if k.lower() == "content-length")
                body = json.loads(await reader.readexactly(size))
                body["params"] = [_said(param) for param in body.get("params", [])]
                self.asked.append((body["method"], body["params"]))
                status, raw = 200, None
                if self.raw is not None:
                    status, raw = self.raw(body)
                else:
                    answer = self._answer(body["method"], body["params"])
                    if answer is not None:
                        raw = json.dumps({"jsonrpc": "2.0", "id": body["id"], **answer}).encode()
                if raw is None:
                    break
                head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
                writer.write(head.encode() + raw)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _answer(self, method, params):
        if self.dropping:
            self.dropping -= 1
            return None
        if method in self.answers:
            return self.answers[method](*params)
        context = {"context": {"slot": self.slot}}
        match method:
            case "getLatestBlockhash":
                value = {"blockhash": str(Hash.new_unique()), "lastValidBlockHeight": self.height + self.valid_for}
                return {"result": {**context, "value": value}}
            case "getEpochInfo":
                slot, height = self.heads()
                if slot < params[0].get("minContextSlot", 0):
                    return {"error": BEHIND}
                return {"result": {"absoluteSlot": slot, "blockHeight": height, **EPOCH}}
            case "getSignatureStatuses":
                found = [self.statuses.get(s) for s in params[0]]
                return {"result": {"context": {"slot": self.statuses_slot()}, "value": found}}
            case "sendTransaction":
                signature = str(VersionedTransaction.from_bytes(base64.b64decode(params[0])).signatures[0])
                skip = params[1].get("skipPreflight", False)
                self.sent.append((signature, params[0], skip))
                outcome = self.on_send(signature, len(self.sent), skip)
                if outcome == "drop":
                    return None
                return {"error": outcome} if outcome else {"result": signature}
            case _:
                raise AssertionError(f"not in the script: {method}")


def _said(param):
    """A parameter without the members that are null."""
    return {k: v for k, v in param.items() if v is not None} if isinstance(param, dict) else param


def preflight_failure(error, logs=()):
    """What a node answers when the simulation before sending fails."""
    return {
        "code": -32002,
        "message": "Transaction simulation failed",
        "data": {"accounts": None, "err": error, "logs": list(logs), "unitsConsumed": 0, "returnData": None},
    }
