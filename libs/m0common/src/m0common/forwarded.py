"""Whose connection it is when proxies stand before a server: limits per address count clients, not the ingress."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def network(text: object) -> Network:
    """A network as `10.0.0.0/8`, or one address. Raises ValueError naming what is none."""
    try:
        return ip_network(str(text))
    except ValueError as error:
        raise ValueError(f"{error}: write a network like 10.0.0.0/8") from None


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address of the client behind `peer`, which is believed about whom it forwards when it is in `trusted`.

    `forwarded` are the values of X-Forwarded-For, in order: each proxy appends the one that asked it, so the list is
    read from its end, as long as the address before was a trusted one. What is no address ends the reading.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    current = peer
    while hops and _is_trusted(current, trusted):
        candidate = hops.pop()
        if _parsed(candidate) is None:
            break
        current = candidate
    return current


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in trusted)
