"""No test talks to another machine: what a test's process connects to is a server of its own, on loopback.

With M0_RPC_URL the node may be anywhere, and nothing is refused.
"""

import ipaddress
import os
import sys


def _loopback_alone(event: str, args: tuple) -> None:
    if event != "socket.connect" or not isinstance(args[1], tuple):
        return  # a path is a socket of this machine
    host = args[1][0]
    try:
        inside = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        inside = host in {"localhost", ""}
    if not inside:
        raise ConnectionRefusedError(f"a test connects to {host}: start what it needs on 127.0.0.1")


if "M0_RPC_URL" not in os.environ:
    sys.addaudithook(_loopback_alone)
