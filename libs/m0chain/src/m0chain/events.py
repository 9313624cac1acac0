"""Typed events out of a transaction's logs.

An event is one `Program data:` line; which program wrote it follows from the invoke stack that the runtime logs
around it. Lines that programs print themselves start with `Program log:` and cannot imitate those of the runtime.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from m0common.errors import InvalidValue
from m0common.ids import catalog_name
from solders.pubkey import Pubkey

from m0chain import event_types, idl
from m0chain.errors import DecodeError

_INVOKE = re.compile(r"Program ([1-9A-HJ-NP-Za-km-z]{32,44}) invoke \[(\d+)\]")
_LEAVE = re.compile(r"Program ([1-9A-HJ-NP-Za-km-z]{32,44}) (?:success|failed: .*)", re.DOTALL)
_DATA = "Program data: "

# The runtime runs these without a line in the log.
_SILENT = frozenset(
    {
        "Ed25519SigVerify111111111111111111111111111",
        "KeccakSecp256k11111111111111111111111111111",
        "Secp256r1SigVerify1111111111111111111111111",
    }
)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event and its place: top-level instruction, and its number among that instruction's events, both from 0.

    `(signature, instruction, inner)` names an event for ever.
    """

    program: str
    name: str
    instruction: int
    inner: int
    event: msgspec.Struct


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """A line of a program of ours that is no event of its IDL, and why; it has a place like any other."""

    program: str
    instruction: int
    inner: int
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedLogs:
    """All events of a transaction; `truncated` says that the runtime cut the log, so that some may be missing."""

    events: list[LoggedEvent]
    unreadable: list[UnreadableEvent]
    truncated: bool


class EventParser:
    """Finds the events that our programs wrote; what other programs write is none of ours, whatever it looks like."""

    def __init__(self, oracle: Pubkey, registry: Pubkey) -> None:
        self._programs = {str(oracle): idl.oracle(), str(registry): idl.registry()}

    def parse(self, logs: Sequence[str], top_level: Sequence[Pubkey] | None = None) -> ParsedLogs:
        """Events in the logs of a *successful* transaction.

        `top_level` are the programs of the transaction's instructions in order; without them, instructions that the
        runtime does not log (signature precompiles) are not counted. A malformed event of ours costs no other.
        """
        events: list[LoggedEvent] = []
        unreadable: list[UnreadableEvent] = []
        stack: list[str] = []
        truncated = False
        instruction, inner = -1, 0
        for line in logs:
            if invoked := _INVOKE.fullmatch(line):
                if invoked[2] == "1":
                    instruction, inner = _next_instruction(instruction, top_level), 0
                    stack = []
                stack.append(invoked[1])
            elif _LEAVE.fullmatch(line):
                if stack:
                    stack.pop()
            elif line.startswith(_DATA) and stack:
                try:
                    found = self._decode(stack[-1], line[len(_DATA) :])
                except DecodeError as error:
                    unreadable.append(UnreadableEvent(stack[-1], instruction, inner, str(error)))
                    inner += 1
                    continue
                if found is not None:
                    events.append(LoggedEvent(stack[-1], found[0], instruction, inner, found[1]))
                    inner += 1
            elif line == "Log truncated":
                truncated = True
        return ParsedLogs(events, unreadable, truncated)

    def _decode(self, program: str, line: str) -> tuple[str, msgspec.Struct] | None:
        interface = self._programs.get(program)
        if interface is None:
            return None
        try:
            data = b"".join(base64.b64decode(part, validate=True) for part in line.split(" "))
        except binascii.Error as error:
            raise DecodeError(f"{interface.name}: event line is not base64: {line[:60]}") from error
        decoded = interface.decode_event(data)
        if decoded is None:
            return None
        name, fields = decoded
        return name, _typed(interface.name, name, fields)


def _next_instruction(current: int, top_level: Sequence[Pubkey] | None) -> int:
    following = current + 1
    while top_level is not None and following < len(top_level) and str(top_level[following]) in _SILENT:
        following += 1
    return following


def _typed(program: str, name: str, fields: dict[str, Any]) -> msgspec.Struct:
    try:
        if "catalog" in fields:
            fields["catalog"] = catalog_name(fields["catalog"])
    except InvalidValue as error:
        raise DecodeError(f"{program}.{name}: {error}") from error
    return event_types.BY_PROGRAM[program][name](**fields)
