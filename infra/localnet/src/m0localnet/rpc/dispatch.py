"""From the bytes of a request to the bytes of its answer: JSON-RPC 2.0, single and batch."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog
from m0common.messages.codec import UNDECODABLE

from m0localnet.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
)
from m0localnet.node import Node
from m0localnet.rpc import methods as _methods
from m0localnet.rpc.registry import METHODS, Method

TOPICS: Final = _methods.TOPICS  # imported for their registrations
_log: Final = structlog.get_logger(__name__)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    """Return an error response."""
    return {"jsonrpc": "2.0", "error": error.to_json(), "id": request_id}


def parse(body: bytes | str) -> Any:
    """Return the decoded request (an object or a list of objects), None when it is no JSON-RPC at all."""
    try:
        request = _decode(body)
    except UNDECODABLE:
        return None
    if isinstance(request, list):
        return request if all(isinstance(item, dict) for item in request) else None
    return request if isinstance(request, dict) else None


def read_call(request: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return method and positional parameters of one request; raises :class:`RpcError`."""
    name = request.get("method")
    if "jsonrpc" not in request and name is not None:
        raise RpcError(INVALID_REQUEST, "Unsupported JSON-RPC protocol version")
    if request.get("jsonrpc") != "2.0" or not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    params = request.get("params", [])
    if params is None:
        params = []
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "`params` should be an array")
    return name, params


def _find(node: Node, name: str) -> Method:
    found = METHODS.get(name)
    if found is None or (found.admin and not node.config.allow_admin):
        raise RpcError(METHOD_NOT_FOUND, "Method not found")
    return found


def answer(node: Node, request: dict[str, Any]) -> dict[str, Any] | None:
    """Run one request; None for a notification (a request without id), which gets no answer."""
    request_id = request.get("id")
    try:
        name, params = read_call(request)
        if "id" not in request:
            return None
        return {"jsonrpc": "2.0", "result": _find(node, name)(node, params), "id": request_id}
    except RpcError as error:
        return failure(request_id, error)
    except Exception:  # noqa: BLE001 - whatever fails in one request must not take the others down
        _log.exception("request failed", method=request.get("method"))
        return failure(request_id, RpcError(INTERNAL_ERROR, "Internal error"))


def handle(node: Node, body: bytes) -> bytes:
    """Answer the body of an HTTP request; empty when nothing is to be answered."""
    request = parse(body)
    if request is None:
        return _encode(failure(None, RpcError(PARSE_ERROR, "Parse error")))
    if isinstance(request, list):
        answers = [reply for item in request if (reply := answer(node, item)) is not None]
        return _encode(answers) if answers else b""
    reply = answer(node, request)
    return _encode(reply) if reply is not None else b""
