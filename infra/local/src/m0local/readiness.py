"""Is a process up, and is it ours: a protocol's own answer, from a port that the supervised process itself holds."""

import http.client
import json
from contextlib import closing

import psutil

from m0local.ports import LOOPBACK

TIMEOUT_S = 3


def holds_port(pid: int, port: int) -> bool:
    """Whether the process `pid` or a child of it listens on `port`."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(
            conn.status == psutil.CONN_LISTEN and conn.laddr and conn.laddr[1] == port
            for member in family
            for conn in member.net_connections("tcp")
        )
    except psutil.Error:
        return False


def http_ready(pid: int, port: int) -> bool:
    """`GET /ready` is answered with 200 by our process."""
    # the answer first: whose port it is takes a walk through all processes
    return request(port, "GET", "/ready")[0] == http.client.OK and holds_port(pid, port)


def rpc_ready(pid: int, port: int) -> bool:
    """`getHealth` is answered with "ok" by our localnet."""
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"})
    status, body = request(port, "POST", "/", call)
    return status == http.client.OK and b'"ok"' in body and holds_port(pid, port)


def request(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    """One HTTP request to loopback: status and body, or (0, reason) when nobody answered in time."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
    with closing(connection):
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as exc:
            return 0, str(exc).encode()
