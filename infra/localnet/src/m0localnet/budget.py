"""The instructions of the compute budget program, read as the runtime reads them before anything is executed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey

COMPUTE_BUDGET_PROGRAM: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_ARGUMENT_BYTES: Final = {1: 4, 2: 4, 3: 8, 4: 4}  # heap size, unit limit, unit price, size of the loaded accounts
_PRICE_TAG: Final = 3


def _requests(message: Message | MessageV0 | MessageV1) -> Iterator[tuple[int, bytes]]:
    static = message.account_keys
    for index, instruction in enumerate(message.instructions):
        if static[instruction.program_id_index] == COMPUTE_BUDGET_PROGRAM:
            yield index, bytes(instruction.data)


def _readable(data: bytes) -> bool:
    return bool(data) and data[0] in _ARGUMENT_BYTES and len(data) > _ARGUMENT_BYTES[data[0]]


def refusal(message: Message | MessageV0 | MessageV1) -> Any:
    """Return the transaction error (its JSON form) for which no node takes the message, None when there is none."""
    seen: set[int] = set()
    for index, data in _requests(message):
        if not _readable(data):
            return {"InstructionError": [index, "InvalidInstructionData"]}
        if data[0] in seen:
            return {"DuplicateInstruction": index}
        seen.add(data[0])
    return None


def unit_price(message: Message | MessageV0 | MessageV1) -> int:
    """Return the priority price asked for by a message that is not refused, in micro-lamports per compute unit."""
    for _, data in _requests(message):
        if _readable(data) and data[0] == _PRICE_TAG:
            return int.from_bytes(data[1:9], "little")
    return 0
