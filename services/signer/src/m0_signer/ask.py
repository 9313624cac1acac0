"""What the chain must say about a header before it waits here, and again before it is signed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from m0chain import ChainError
from m0common.canonical import BundleHeader
from m0common.errors import Unavailable
from m0common.telemetry.logs import logger
from solders.pubkey import Pubkey

from m0_signer.chain import ChainPort
from m0_signer.policy import Refusal, check_chain, check_time

_RETRY_S = 1.0
T = TypeVar("T")

_log = logger(__name__)


class ChainAsked:
    """Asks until there is an answer. `problem` says why there is none at the moment."""

    def __init__(self, chain: ChainPort, me: Pubkey) -> None:
        self._chain, self._me = chain, me
        self._times: dict[str, tuple[int, int]] = {}
        """By catalog, the length of its epochs and what the chain's clock said last, in ms."""
        self.problem: str | None = None

    async def at_the_door(self, header: BundleHeader) -> Refusal | None:
        """Whether the header may wait to be judged; the chain is asked only for what its clock did not show before."""
        known = self._times.get(header.catalog)
        if known is not None and check_time(header, *known) is None:
            return None
        view = await self._answer(lambda: self._chain.view(header.catalog, header.epoch_id))
        if view is None:
            return _no_catalog(header)
        known = self._times[header.catalog] = view.catalog.epoch_ms, view.now_ms
        return check_time(header, *known)

    async def before_signing(self, header: BundleHeader) -> Refusal | None:
        """Whether the chain would take the header from this signer, and a commit for it now."""
        view = await self._answer(lambda: self._chain.view(header.catalog, header.epoch_id))
        if view is None:
            return _no_catalog(header)
        set_id = view.catalog.signer_set_id
        members = await self._answer(lambda: self._chain.signer_set(set_id))
        if members is None:
            return Refusal("signer_set", f"set {set_id} does not exist on chain")
        refusal = check_chain(header, view.catalog, members, self._me)
        if refusal is not None:
            return refusal
        deadline = header.window_end_ms + view.catalog.commit_ms
        if view.now_ms > deadline:
            return Refusal("late", f"commits closed at {deadline}, the chain's clock says {view.now_ms}")
        return None

    async def _answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await ask()
            except (ChainError, Unavailable) as error:
                self.problem = f"the chain is asked before anything is signed: {error}"
                _log.warning("chain_away", error=str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            self.problem = None
            return answer


def _no_catalog(header: BundleHeader) -> Refusal:
    return Refusal("catalog", f"catalog {header.catalog} does not exist on chain")
