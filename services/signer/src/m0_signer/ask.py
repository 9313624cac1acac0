"""What the chain must say about a header before it waits here, and again before it is signed."""

import asyncio
from dataclasses import dataclass

from m0chain import ChainError
from m0chain.accounts import Catalog, SignerSet
from m0common.canonical import BundleHeader
from m0common.errors import Unavailable
from m0common.telemetry.logs import logger
from solders.pubkey import Pubkey

from m0_signer.chain import ChainPort
from m0_signer.policy import Refusal, check_chain, check_time

_RETRY_S = 1.0

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A catalog as the chain has it, its signer set, and the chain's clock in ms; None for what does not exist."""

    catalog: Catalog | None
    members: SignerSet | None
    now_ms: int

    def at_the_door(self, header: BundleHeader) -> Refusal | None:
        """Whether the header may wait to be judged."""
        if self.catalog is None:
            return _no_catalog(header)
        return check_time(header, self.catalog.epoch_ms, self.now_ms)

    def before_signing(self, header: BundleHeader, me: Pubkey) -> Refusal | None:
        """Whether the chain would take the header from this signer, and a commit for it now."""
        if self.catalog is None:
            return _no_catalog(header)
        if self.members is None:
            return Refusal("signer_set", f"set {self.catalog.signer_set_id} does not exist on chain")
        refusal = check_chain(header, self.catalog, self.members, me)
        if refusal is not None:
            return refusal
        deadline = header.window_end_ms + self.catalog.commit_ms
        if self.now_ms > deadline:
            return Refusal("late", f"commits closed at {deadline}, the chain's clock says {self.now_ms}")
        return None


class ChainAsked:
    """Asks the chain about one catalog at a time, and remembers what time it was there and why it does not answer."""

    def __init__(self, chain: ChainPort) -> None:
        self._chain = chain
        self._times: dict[str, tuple[int, int]] = {}
        """By catalog, the length of its epochs and what the chain's clock said last, in ms."""
        self._failed: dict[str, str] = {}

    def problem(self) -> str | None:
        """Why the chain does not answer at the moment."""
        return next((f"about catalog {catalog}: {why}" for catalog, why in sorted(self._failed.items())), None)

    def shows_over(self, header: BundleHeader) -> bool:
        """Whether what the chain's clock said before is enough to let a header in."""
        known = self._times.get(header.catalog)
        return known is not None and check_time(header, *known) is None

    async def ask(self, catalog: str) -> Answer | None:
        """What the chain says of a catalog; None, after a pause, when it says nothing."""
        try:
            answer = await self._answer(catalog)
        except (ChainError, Unavailable) as error:
            self._failed[catalog] = str(error)
            _log.warning("chain_away", catalog=catalog, error=str(error))
            await asyncio.sleep(_RETRY_S)
            return None
        self._failed.pop(catalog, None)
        if answer.catalog is not None:
            self._times[catalog] = answer.catalog.epoch_ms, answer.now_ms
        return answer

    async def _answer(self, catalog: str) -> Answer:
        view = await self._chain.view(catalog, 0)
        if view is None:
            return Answer(None, None, 0)
        return Answer(view.catalog, await self._chain.signer_set(view.catalog.signer_set_id), view.now_ms)


def _no_catalog(header: BundleHeader) -> Refusal:
    return Refusal("catalog", f"catalog {header.catalog} does not exist on chain")
