"""Where claimed epochs (`m0.headers`) meet the ones this signer computed itself, and are decided on.

Anybody may have written a claim, so a claim that is refused costs its epoch nothing: what was computed here stays until
a claim says the same. An epoch is decided once: signed when both are the same bytes and every policy rule holds. One
without leaves is compared and not voted on. Decisions are on disk, together with the place to read on from, before
anything is signed.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from m0chain.keystore import KeyStore
from m0common.canonical import BundleHeader
from m0common.clock import Clock
from m0common.messages import HeaderMessage, Submission
from m0common.stream.broker import TopicPartition
from m0common.telemetry.logs import logger

from m0_signer import metrics
from m0_signer.agreement import Agreement
from m0_signer.ask import ChainAsked
from m0_signer.chain import ChainPort
from m0_signer.compare import first_difference
from m0_signer.depth import KEPT_PER_CATALOG
from m0_signer.guard import Decision, Guard
from m0_signer.links import Links, linked
from m0_signer.policy import Refusal, check_header
from m0_signer.standing import HEADERS_PER_EPOCH, Claim, Standing

_log = logger(__name__)


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
        self._guard, self._key, self._clock = guard, key, clock
        self._chain = ChainAsked(chain, key.public_key)
        self._start, self._report = start, report
        self._computed_by: Computed | None = None
        self._standing = Standing()
        self._mine: dict[str, dict[int, HeaderMessage]] = {}
        self._read: dict[TopicPartition, int] = {}
        self._links = Links(guard)
        self._agreement = Agreement()
        self._lock = asyncio.Lock()
        self.reads_again = False
        """Claims that had no room can be judged now: read again from the noted place."""

    def attach(self, computed_by: Computed) -> None:
        """Name who computes."""
        self._computed_by = computed_by

    def problem(self) -> str | None:
        """Why nothing is decided at the moment: the chain that must be asked does not answer."""
        return self._chain.problem

    def notes(self) -> str | None:
        """Catalogs whose headers say something else for some epochs running."""
        return self._agreement.notes()

    def begin(self) -> None:
        """Claims are read from the noted place on."""
        self.reads_again = False
        self._standing.forget_read_again()

    async def claim(self, said: HeaderMessage, where: TopicPartition, offset: int) -> None:
        """An epoch as somebody, the bundle service perhaps, says that it was closed."""
        header = check_header(said)
        # before the lock is taken: what is computed here need not wait until the chain answers
        refusal = None if isinstance(header, Refusal) else await self._at_the_door(header)
        async with self._lock:
            self._read[where] = offset + 1
            if isinstance(header, Refusal):
                self._refuse(said, where, header)
                return
            if refusal is not None:
                self._refuse(said, where, refusal)
                return
            decided = self._guard.decision(said.catalog, said.epoch_id)
            if decided is not None:
                self._again(said, where, decided)
                return
            claim = Claim(said, header, where, offset)
            if not self._standing.add(claim):
                crowded = f"{HEADERS_PER_EPOCH} other headers of epoch {said.epoch_id} wait already"
                self._refuse(said, where, Refusal("crowded", crowded))
                return
            self._links.saw(header)
            await self._meet(said.catalog, said.epoch_id)
            for epoch_id in self._standing.epochs(said.catalog)[:-KEPT_PER_CATALOG]:
                self._unmatched(said.catalog, epoch_id, f"epoch {epoch_id} was not computed here in time")

    async def _at_the_door(self, header: BundleHeader) -> Refusal | None:
        if self._guard.decision(header.catalog, header.epoch_id) is not None:
            return None
        return await self._chain.at_the_door(header)

    async def mine(self, header: HeaderMessage) -> None:
        """An epoch as computed here."""
        catalog, epoch_id = header.catalog, header.epoch_id
        async with self._lock:
            if self._guard.decision(catalog, epoch_id) is not None:  # computed again after a restart
                with self._guard.transaction():
                    self._done(catalog, epoch_id)
                return
            waiting = self._mine.setdefault(catalog, {})
            waiting[epoch_id] = header
            if epoch_id > self._links.newest_agreed(catalog):
                self._agreement.computed(catalog, epoch_id)
            await self._meet(catalog, epoch_id)
            if epoch_id in waiting and self._standing.has_dropped(catalog, epoch_id):
                self.reads_again = True
            while len(waiting) > KEPT_PER_CATALOG:
                del waiting[min(waiting)]
            # Epochs are computed in ascending order: what was passed over will not come any more.
            for passed in self._standing.epochs(catalog):
                if passed < epoch_id:
                    self._unmatched(catalog, passed, "never computed here since the last decision")

    async def _meet(self, catalog: str, epoch_id: int) -> None:
        """Judge every claim of an epoch that was computed here, until one is what was computed."""
        for claim in self._standing.of(catalog, epoch_id):
            mine = self._mine.get(catalog, {}).get(epoch_id)
            if mine is None:
                return
            await self._judge(claim, mine)
            if epoch_id not in self._mine[catalog]:
                self._unmatched(catalog, epoch_id, "another header of the epoch is the one computed here")

    async def _judge(self, claim: Claim, mine: HeaderMessage) -> None:
        header = claim.header
        before = self._links.before(header, BundleHeader.decode(mine.header))
        difference = first_difference(claim.said, linked(mine, before))
        if difference is not None:
            if header.epoch_id > self._links.newest_agreed(header.catalog):
                self._agreement.differed(header.catalog, header.epoch_id, difference)
            metrics.DISAGREEMENTS.labels(header.catalog).inc()
            self._leave_unsigned(claim, "disagreed", difference)
            self._report(self._disagreement(header, difference))
            return
        refusal = await self._chain.before_signing(header) if header.leaf_count else None
        del self._mine[header.catalog][header.epoch_id]
        self._agreement.matched(header.catalog)
        self._links.agreed(header)
        if not header.leaf_count:
            self._leave_unsigned(claim, "empty", "an epoch without leaves is not voted on", matched=True)
        elif refusal is not None:
            self._count(refusal)
            self._leave_unsigned(claim, "refused", f"{refusal.rule}: {refusal.detail}", matched=True)
        else:
            self._sign(claim)

    def _sign(self, claim: Claim) -> None:
        said = claim.said
        self._standing.remove(claim)
        with self._guard.transaction():
            decision = self._guard.decide(said.catalog, said.epoch_id, claim.header.bundle_hash, said.header)
            self._done(said.catalog, said.epoch_id)
            self._go_on(said.catalog, claim.where)
        self._tell(said, "signed", "")
        self._start(decision)

    def _again(self, said: HeaderMessage, where: TopicPartition, decided: Decision) -> None:
        """A header of an epoch that is decided: a repeat, one read again after a restart, or a second bundle."""
        self._links.agreed(BundleHeader.decode(decided.header))
        if decided.header != said.header:
            again = f"epoch was decided for bundle {decided.bundle_hash.hex()}"
            self._refuse(said, where, Refusal("equivocation", again))

    def _unmatched(self, catalog: str, epoch_id: int, detail: str) -> None:
        self._standing.forget_dropped(catalog, epoch_id)
        for claim in self._standing.of(catalog, epoch_id):
            self._leave_unsigned(claim, "unmatched", detail)

    def _leave_unsigned(self, claim: Claim, outcome: str, detail: str, *, matched: bool = False) -> None:
        """Nothing is signed; `matched` says that the epoch is over for what was computed here."""
        self._standing.remove(claim)
        with self._guard.transaction():
            if matched:
                self._done(claim.said.catalog, claim.said.epoch_id)
            self._go_on(claim.said.catalog, claim.where)
        self._tell(claim.said, outcome, detail)

    def _refuse(self, said: HeaderMessage, where: TopicPartition, refusal: Refusal) -> None:
        """A message that never waits here."""
        self._count(refusal)
        with self._guard.transaction():
            self._go_on(said.catalog, where)
        self._tell(said, "refused", f"{refusal.rule}: {refusal.detail}")

    def _done(self, catalog: str, epoch_id: int) -> None:
        self._standing.forget_dropped(catalog, epoch_id)
        if self._computed_by is not None:
            self._computed_by.decided(catalog, epoch_id)

    def _go_on(self, catalog: str, where: TopicPartition) -> None:
        """Note the lowest offset of the partition that is not decided yet, and the link before it."""
        first = self._standing.first_offset(where)
        self._guard.move(*where, self._read[where] if first is None else first)
        self._links.keep(catalog, min(self._standing.epochs(catalog), default=None))

    @staticmethod
    def _count(refusal: Refusal) -> None:
        metrics.REFUSALS.labels(refusal.rule).inc()

    @staticmethod
    def _tell(said: HeaderMessage, outcome: str, detail: str) -> None:
        metrics.BUNDLES.labels(outcome).inc()
        note = _log.info if outcome == "signed" else _log.warning
        note("bundle_decided", catalog=said.catalog, epoch_id=said.epoch_id, outcome=outcome, detail=detail)

    def _disagreement(self, header: BundleHeader, difference: str) -> Submission:
        return Submission(
            header.catalog, header.epoch_id, bytes(self._key.public_key), "disagree", header.bundle_hash,
            b"", "", 0, self._clock.now_ms(), difference,
        )  # fmt: skip
