"""Looks at what is on its way: one poller asks for the statuses of all signatures together, however many wait."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from solders.signature import Signature
from solders.transaction_status import TransactionStatus

from m0chain.errors import ChainError
from m0chain.rpc import ChainClient, Head


@dataclass(frozen=True, slots=True)
class Look:
    """What a node that had reached `slot` knew of a signature, and the newest block, of a node asked just before."""

    slot: int
    status: TransactionStatus | None
    head: Head | None


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    signature: Signature
    head_from: int | None
    answer: "asyncio.Future[Look | None]"


class Looks:
    """Answers every `look` in rounds, `poll_s` apart; nothing runs while nobody waits."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client
        self._asked: list[_Asked] = []
        self._rounds: asyncio.Task[None] | None = None
        self._next_s = 0.0

    async def look(self, signature: Signature, *, head_from: int | None = None) -> Look | None:
        """The next look at a signature, None when the node does not answer.

        With `head_from` the newest block is looked at too, of a node that has reached that slot.
        """
        asked = _Asked(signature, head_from, asyncio.get_running_loop().create_future())
        self._asked.append(asked)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._look_while_asked(), name="looks at signatures")
        return await asked.answer

    async def _look_while_asked(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            await asyncio.sleep(self._next_s - loop.time())
            self._next_s = loop.time() + self._client.timing.poll_s
            # who was cancelled in the meantime waits no more
            asked, self._asked = [each for each in self._asked if not each.answer.done()], []
            looks = await self._round(asked)
            for each, look in zip(asked, looks, strict=True):
                if not each.answer.done():
                    each.answer.set_result(look)

    async def _round(self, asked: Sequence[_Asked]) -> list[Look | None]:
        """The height before the statuses: what is not found after the last valid height was passed never lands."""
        head, after = None, [each.head_from for each in asked if each.head_from is not None]
        try:
            if after:
                # a node that lags refuses: no height is learnt, and the statuses are worth a look all the same
                with contextlib.suppress(ChainError):
                    head = await self._client.head(max(after))
            statuses = await self._client.statuses([each.signature for each in asked], history=bool(after))
        except ChainError:
            return [None] * len(asked)
        return [Look(statuses.slot, status, head) for status in statuses.found]
