"""Addresses that settings hold, and what is wrong with one, in words that do not hold it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

PLACEHOLDER = "REPLACE"
"""Begins a value that stands where an operator has to put one; m0common.preflight refuses those that are used."""
HTTP = ("http", "https")
WEBSOCKET = ("ws", "wss")
_BROKER = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s:/@\[\],]+):([0-9]{1,5})")


def brokers_in(value: str) -> list[str]:
    """The brokers that have commas between them; blanks around them and a comma behind the last are no part of them."""
    return [part.strip() for part in value.removesuffix(",").split(",")]


def brokers_fault(value: str) -> str | None:
    """None for brokers as `host:port` or `[host]:port` with commas between, and for a placeholder."""
    found = [_BROKER.fullmatch(part) for part in brokers_in(value)]
    if value.startswith(PLACEHOLDER) or all(match is not None and 0 < int(match[1]) < 65536 for match in found):
        return None
    return "write brokers as host:port with commas between, for example kafka-1:9092,kafka-2:9092"


def url_fault(schemes: tuple[str, ...], value: str) -> str | None:
    """None for an address with a host that begins with one of `schemes`, for a placeholder, and for none at all."""
    if not value or value.startswith(PLACEHOLDER):
        return None
    try:
        parts = urlsplit(value)
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", value)
    except ValueError:  # a port that is none, brackets that do not close
        fits = False
    return None if fits else f"write an address like {schemes[-1]}://host:port"


def _without(fault_of: Callable[[str], str | None]) -> AfterValidator:
    def check(value: str) -> str:
        if (fault := fault_of(value)) is not None:
            raise ValueError(fault)
        return value

    return AfterValidator(check)


Brokers = Annotated[str, _without(brokers_fault), AfterValidator(lambda value: ",".join(brokers_in(value)))]
PublicUrl = Annotated[str, _without(partial(url_fault, HTTP))]
"""Shown to anybody."""
PublicStreamUrl = Annotated[str, _without(partial(url_fault, WEBSOCKET))]
