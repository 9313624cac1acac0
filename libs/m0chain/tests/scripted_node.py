"""A node that answers as a script says, to see what the sender does when a real one misbehaves."""

import asyncio
import base64
import json

from solders.hash import Hash
from solders.transaction import VersionedTransaction


class ScriptedNode:
    """JSON-RPC over HTTP on a free port; tests set what the next calls answer."""

    def __init__(self) -> None:
        self.height = 100
        self.valid_for = 50
        self.statuses = {}
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
                answer = self._answer(body["method"], body.get("params", []))
                if answer is None:
                    break
                raw = json.dumps({"jsonrpc": "2.0", "id": body["id"], **answer}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw)
                )
                writer.write(raw)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _answer(self, method, params):
        if self.dropping:
            self.dropping -= 1
            return None
        context = {"context": {"slot": 5}}
        match method:
            case "getLatestBlockhash":
                value = {"blockhash": str(Hash.new_unique()), "lastValidBlockHeight": self.height + self.valid_for}
                return {"result": {**context, "value": value}}
            case "getBlockHeight":
                return {"result": self.height}
            case "getSignatureStatuses":
                return {"result": {**context, "value": [self.statuses.get(s) for s in params[0]]}}
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


def preflight_failure(error, logs=()):
    """What a node answers when the simulation before sending fails."""
    return {
        "code": -32002,
        "message": "Transaction simulation failed",
        "data": {"accounts": None, "err": error, "logs": list(logs), "unitsConsumed": 0, "returnData": None},
    }
