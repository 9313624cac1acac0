"""Ports: which one each process has, whether one is free, and who holds it if not."""

import contextlib
import random
import socket
from collections.abc import Iterable

import psutil

LOOPBACK = "127.0.0.1"
MAX_PORT = 32767  # the kernel hands out ports above as source ports, so a listener there can find its own taken


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could bind `host:port` now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(1)
        except OSError:
            return False
    return True


def is_open(port: int, host: str = LOOPBACK, timeout_s: float = 0.5) -> bool:
    """Whether something accepts connections on `host:port`."""
    try:
        with socket.create_connection((host, port), timeout_s):
            return True
    except OSError:
        return False


def any_open(endpoints: Iterable[tuple[str, int]], timeout_s: float) -> bool:
    """Whether something accepts connections on one of these hosts and ports."""
    return any(is_open(port, host, timeout_s) for host, port in endpoints)


def listeners() -> dict[int, int | None]:
    """Every listening TCP port of this machine with the pid behind it (None where the kernel does not tell us)."""
    found: dict[int, int | None] = {}
    with contextlib.suppress(psutil.Error, OSError):
        for conn in psutil.net_connections("tcp"):
            if conn.status == psutil.CONN_LISTEN and conn.laddr:
                found[conn.laddr[1]] = conn.pid or found.get(conn.laddr[1])
    return found


def owner(port: int) -> str | None:
    """Name and pid of the program listening on `port`, or None when nobody may know."""
    pid = listeners().get(port)
    if pid is None:
        return None
    with contextlib.suppress(psutil.Error):
        return f"{psutil.Process(pid).name()} (pid {pid})"
    return f"pid {pid}"


def free_port(low: int = 20000, high: int = 32000, count: int = 1) -> int:
    """The first of `count` consecutive free ports in [low, high), chosen at random.

    Raises OSError when a thousand draws found none.
    """
    for _ in range(1000):
        port = random.randrange(low, high - count)
        if all(is_free(port + i) for i in range(count)):
            return port
    raise OSError(f"no {count} consecutive free ports between {low} and {high}: stop some servers and try again")
