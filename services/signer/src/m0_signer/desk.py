"""Where a claimed epoch (`m0.headers`) meets the one this signer computed itself, and is decided on.

A claim is decided once: signed when both are the same bytes and every policy rule holds, otherwise never. An epoch
without leaves is compared and not voted on. Decisions are on disk, together with the place to read on from, before
anything is signed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from m0common.canonical import BundleHeader
from m0common.chain import ChainError
from m0common.chain.keystore import KeyStore
from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.messages import HeaderMessage, Submission
from m0common.stream.broker import TopicPartition
from m0common.telemetry.logs import logger

from m0_signer import metrics
from m0_signer.chain import ChainPort
from m0_signer.compare import first_difference
from m0_signer.depth import KEPT_PER_CATALOG
from m0_signer.guard import Decision, EquivocationRefused, Guard
from m0_signer.links import Links, linked
from m0_signer.policy import Refusal, check_chain, check_header

_RETRY_S = 1.0

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Claim:
    header: HeaderMessage
    where: TopicPartition
    offset: int


class Computed(Protocol):
    """What computes bundles: told when an epoch is decided, so that it may go on from behind it after a restart."""

    def decided(self, catalog: str, epoch_id: int) -> None:
        """Called inside the guard's transaction."""
        ...


class Desk:
    """Decides. `start` gets every decision to sign; `report` hears of disagreements."""

    def __init__(
        self,
        guard: Guard,
        chain: ChainPort,
        key: KeyStore,
        clock: Clock,
        start: Callable[[Decision], None],
        report: Callable[[Submission], None],
    ) -> None:
        self._guard, self._chain, self._key, self._clock = guard, chain, key, clock
        self._start, self._report = start, report
        self._computed_by: Computed | None = None
        self._claims: dict[str, OrderedDict[int, _Claim]] = {}
        self._mine: dict[str, OrderedDict[int, HeaderMessage]] = {}
        self._read: dict[TopicPartition, int] = {}
        self._links = Links(guard)
        self._lock = asyncio.Lock()
        self.problem: str | None = None
        """Why nothing is decided at the moment: the chain that must be asked does not answer."""

    def attach(self, computed_by: Computed) -> None:
        """Name who computes."""
        self._computed_by = computed_by

    async def claim(self, header: HeaderMessage, where: TopicPartition, offset: int) -> None:
        """An epoch as the bundle service closed it."""
        async with self._lock:
            self._read[where] = offset + 1
            self._links.saw(header)
            decided = self._guard.decision(header.catalog, header.epoch_id)
            if decided is not None:  # a repeat, or a message read again after a restart
                if decided.header != header.header:
                    again = f"epoch was decided for bundle {decided.bundle_hash.hex()}"
                    self._refuse(_Claim(header, where, offset), Refusal("equivocation", again))
                return
            waiting = self._claims.setdefault(header.catalog, OrderedDict())
            if header.epoch_id not in waiting:
                waiting[header.epoch_id] = _Claim(header, where, offset)
            await self._match(header.catalog, header.epoch_id)
            if len(waiting) > KEPT_PER_CATALOG:
                epoch_id, dropped = waiting.popitem(last=False)
                self._settle(dropped, "unmatched", f"epoch {epoch_id} was not computed here in time")

    async def mine(self, header: HeaderMessage) -> None:
        """An epoch as computed here."""
        async with self._lock:
            waiting = self._mine.setdefault(header.catalog, OrderedDict())
            waiting[header.epoch_id] = header
            await self._match(header.catalog, header.epoch_id)
            while len(waiting) > KEPT_PER_CATALOG:
                waiting.popitem(last=False)
            # Epochs are computed in ascending order: what was passed over will not come any more.
            claims = self._claims.setdefault(header.catalog, OrderedDict())
            for epoch_id in [e for e in claims if e < header.epoch_id and e not in waiting]:
                self._settle(claims.pop(epoch_id), "unmatched", "never computed here since the last decision")

    async def _match(self, catalog: str, epoch_id: int) -> None:
        claims = self._claims.setdefault(catalog, OrderedDict())
        mine = self._mine.setdefault(catalog, OrderedDict())
        if epoch_id in claims and epoch_id in mine:
            await self._decide(claims[epoch_id], mine[epoch_id])
            del claims[epoch_id], mine[epoch_id]

    async def _decide(self, claim: _Claim, mine: HeaderMessage) -> None:
        header = check_header(claim.header)
        if isinstance(header, Refusal):
            self._refuse(claim, header)
            return
        difference = first_difference(claim.header, linked(mine, self._links.before(claim.header)))
        if difference is not None:
            metrics.DISAGREEMENTS.labels(header.catalog).inc()
            self._settle(claim, "disagreed", difference)
            self._report(self._disagreement(header, difference))
            return
        if not header.leaf_count:
            self._settle(claim, "empty", "an epoch without leaves is not voted on")
            return
        refusal = await self._against_chain(header)
        if refusal is not None:
            self._refuse(claim, refusal)
            return
        try:
            decision = self._settle(claim, "signed", "", header)
        except EquivocationRefused as error:
            self._refuse(claim, Refusal("equivocation", str(error)))
            return
        if decision is not None:
            self._start(decision)

    def _refuse(self, claim: _Claim, refusal: Refusal) -> None:
        metrics.REFUSALS.labels(refusal.rule).inc()
        self._settle(claim, "refused", f"{refusal.rule}: {refusal.detail}")

    async def _against_chain(self, header: BundleHeader) -> Refusal | None:
        while True:
            try:
                view = await self._chain.view(header.catalog, header.epoch_id)
                if view is None:
                    self.problem = None
                    return Refusal("catalog", f"catalog {header.catalog} does not exist on chain")
                members = await self._chain.signer_set(view.catalog.signer_set_id)
            except (ChainError, Unavailable) as error:
                self.problem = f"the chain is asked before anything is signed: {error}"
                _log.warning("chain_away", error=str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            self.problem = None
            if members is None:
                return Refusal("signer_set", f"set {view.catalog.signer_set_id} does not exist on chain")
            refusal = check_chain(header, view.catalog, members, self._key.public_key)
            if refusal is not None:
                return refusal
            deadline = header.window_end_ms + view.catalog.commit_ms
            if view.now_ms > deadline and self._guard.decision(header.catalog, header.epoch_id) is None:
                return Refusal("late", f"commits closed at {deadline}, the chain's clock says {view.now_ms}")
            return None

    def _settle(self, claim: _Claim, outcome: str, detail: str, header: BundleHeader | None = None) -> Decision | None:
        """Write everything about a claim to disk at once."""
        said, decision = claim.header, None
        with self._guard.transaction():
            if header is not None:
                decision = self._guard.decide(said.catalog, said.epoch_id, header.bundle_hash, said.header)
            self._guard.move(*claim.where, self._resume_at(claim))
            waiting = [c.header.epoch_id for c in self._claims.get(said.catalog, {}).values() if c is not claim]
            self._links.keep(said.catalog, min(waiting, default=None))
            if self._computed_by is not None:
                self._computed_by.decided(said.catalog, said.epoch_id)
        metrics.BUNDLES.labels(outcome).inc()
        note = _log.info if outcome == "signed" else _log.warning
        note("bundle_decided", catalog=said.catalog, epoch_id=said.epoch_id, outcome=outcome, detail=detail)
        return decision

    def _resume_at(self, settled: _Claim) -> int:
        """The lowest offset of the partition that is not decided yet."""
        others = [
            c.offset
            for waiting in self._claims.values()
            for c in waiting.values()
            if c.where == settled.where and c is not settled
        ]
        return min(others, default=self._read.get(settled.where, settled.offset + 1))

    def _disagreement(self, header: BundleHeader, difference: str) -> Submission:
        return Submission(
            header.catalog, header.epoch_id, bytes(self._key.public_key), "disagree", header.bundle_hash,
            b"", "", 0, self._clock.now_ms(), difference,
        )  # fmt: skip
