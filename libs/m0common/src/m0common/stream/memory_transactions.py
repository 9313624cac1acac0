"""The transactional producer of the in-memory broker."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from m0common.errors import MessageTooLarge, Unavailable
from m0common.stream.records import Produce

if TYPE_CHECKING:
    from m0common.stream.memory import MemoryBroker


class MemoryTransactions:
    """See m0common.stream.broker.Transactions."""

    def __init__(self, broker: "MemoryBroker", name: str) -> None:
        self._broker = broker
        self._name = name
        self._writer: int | None = None

    async def start(self) -> None:
        """See Transactions."""
        self._broker.check_up()
        self._writer = await self._broker.logs.claim(self._name)

    async def stop(self) -> None:
        """See Transactions."""
        self._writer = None

    async def send(self, messages: Sequence[Produce]) -> None:
        """See Transactions."""
        if not messages:
            return
        writer, self._writer = self._writer, None  # whatever fails, it has to start again
        if writer is None:
            raise Unavailable(f"the producer {self._name} is not started, or a transaction of it has failed")
        await self._write(writer, messages)
        self._writer = writer

    async def _write(self, writer: int, messages: Sequence[Produce]) -> None:
        faults = self._broker.faults
        if faults.send_delay_s:
            await asyncio.sleep(faults.send_delay_s)
        self._broker.check_up()
        transaction = self._broker.logs.begin(self._name, writer)
        if faults.refuse_sends:
            faults.refuse_sends -= 1
            raise Unavailable("the broker refused the connection")
        try:
            await transaction.send(*messages)
        except MessageTooLarge:
            self._writer = writer
            raise
        if faults.die_in_transactions:
            faults.die_in_transactions -= 1
            raise Unavailable("the connection broke in the middle of a transaction")
        await transaction.commit()
        if faults.lose_acks:
            faults.lose_acks -= 1
            raise Unavailable("the connection broke before the answer came")
