"""Where claimed epochs (`m0.headers`) meet the ones this signer computed itself, and are decided on.

Anybody may have written a claim, so a claim that is refused costs its epoch nothing: what was computed here stays until
a claim says the same. An epoch is decided once: signed when both are the same bytes and every policy rule holds. One
without leaves is compared and not voted on. Decisions are on disk, together with the place to read on from, before
anything is signed.

The chain is asked about each catalog by itself, and about nothing while anything else has to wait: the lock is held for
what is in memory and on this disk.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from m0chain.keystore import KeyStore
from m0common.canonical import BundleHeader
from m0common.clock import Clock
from m0common.messages import HeaderMessage, Submission
from m0common.stream.broker import TopicPartition
from m0common.telemetry.logs import logger

from m0_signer import metrics
from m0_signer.agreement import Agreement
from m0_signer.ask import Answer, ChainAsked
from m0_signer.chain import ChainPort
from m0_signer.compare import first_difference
from m0_signer.database import Statement
from m0_signer.depth import KEPT_PER_CATALOG
from m0_signer.guard import Decision, Guard, noted_place
from m0_signer.links import Links, linked
from m0_signer.policy import Refusal, check_header
from m0_signer.standing import HEADERS_PER_EPOCH, Claim, Standing
from m0_signer.waiting import Waiting

_ANOTHER = "another header of the epoch is the one computed here"
_log = logger(__name__)


class Computed(Protocol):
    """What computes bundles: told when an epoch is decided, so that it may go on from behind it after a restart."""

    def decided(self, catalog: str, epoch_id: int) -> Statement:
        """What is to be written with the decision, before anything that was computed is saved again."""
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
        self._chain, self._waiting = ChainAsked(chain), Waiting()
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
        """Why nothing is signed at the moment: the chain that must be asked does not answer."""
        why = self._chain.problem()
        return None if why is None else f"{self.waiting} claims wait for the chain, which does not answer {why}"

    def notes(self) -> str | None:
        """Catalogs whose headers say something else for some epochs running."""
        return self._agreement.notes()

    @property
    def waiting(self) -> int:
        """Claims that wait until the chain answers."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the chain, and nothing is being decided."""
        return not self.waiting and not self._lock.locked()

    # --- what the chain says -----------------------------------------------------------------------------------------

    async def run(self, catalogs: Collection[str]) -> None:
        """Ask the chain about what waits for it, each catalog by itself; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for catalog in sorted(catalogs):
                tasks.create_task(self._ask(catalog), name=f"ask about {catalog}")

    async def _ask(self, catalog: str) -> None:
        while True:
            await self._waiting.ask(catalog)
            answer = await self._chain.ask(catalog)
            if answer is not None:
                async with self._lock:
                    await self._heard(catalog, answer)

    async def _heard(self, catalog: str, answer: Answer) -> None:
        while (claim := self._waiting.next_asked(catalog)) is not None:
            refusal = answer.at_the_door(claim.header)
            if refusal is None:
                await self._enter(claim)
            else:
                await self._refuse(claim.said, claim.where, refusal)
        while (claim := self._waiting.next_matched(catalog)) is not None:
            refusal = answer.before_signing(claim.header, self._key.public_key)
            if refusal is None:
                await self._sign(claim)
            else:
                await self._drop(claim, refusal)
        if self._waiting.has_turned_away(catalog) and not self._waiting.is_crowded(catalog):
            self.reads_again = True

    # --- what is claimed ---------------------------------------------------------------------------------------------

    async def read_from(self, topic: str, cluster: str) -> bool:
        """See Guard: places noted of another cluster's topic are forgotten, and so are the links before them."""
        async with self._lock:
            is_another = await self._guard.read_from(topic, cluster)
            if is_another:
                self._links.forget()
            return is_another

    async def begin(self, begins: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Where claims are read on from, in a log that begins at `begins`: behind what is decided.

        Claims that the log no longer holds are of epochs that are long over: they are let go.
        """
        async with self._lock:
            self.reads_again = False
            self._standing.forget_read_again()
            self._waiting.forget_coming()
            for where, begin in begins.items():
                noted = await self._guard.place(*where)
                self._read[where] = begin if noted is None else max(noted, begin)
                if noted is not None and noted < begin:
                    _log.warning("claims_gone", partition=where.partition, wanted=noted, first=begin)
                    await self._guard.forget_links()
            return {where: self._read[where] for where in begins}

    async def claim(self, said: HeaderMessage, where: TopicPartition, offset: int) -> None:
        """An epoch as somebody, the bundle service perhaps, says that it was closed."""
        header = check_header(said)
        async with self._lock:
            await self._links.recall(said.catalog)
            self._read[where] = offset + 1
            if isinstance(header, Refusal):
                await self._refuse(said, where, header)
                return
            claim = Claim(said, header, where, offset)
            if self._chain.shows_over(header) and not self._waiting.is_crowded(said.catalog):
                await self._enter(claim)
            else:
                self._waiting.come(claim)

    async def _enter(self, claim: Claim) -> None:
        """A claim that may be true waits until its epoch is computed here, or meets what was."""
        said, where = claim.said, claim.where
        decided = await self._guard.decision(said.catalog, said.epoch_id)
        if decided is not None:
            await self._again(said, where, decided)
            return
        matched = self._waiting.matched(said.catalog, said.epoch_id)
        if matched is not None:
            if matched.said.header != said.header:
                await self._leave_unsigned(claim, "unmatched", _ANOTHER)
            return
        if not self._standing.add(claim):
            crowded = f"{HEADERS_PER_EPOCH} other headers of epoch {said.epoch_id} wait already"
            await self._refuse(said, where, Refusal("crowded", crowded))
            return
        self._links.saw(claim.header)
        await self._meet(said.catalog, said.epoch_id)
        for epoch_id in self._standing.epochs(said.catalog)[:-KEPT_PER_CATALOG]:
            await self._unmatched(said.catalog, epoch_id, f"epoch {epoch_id} was not computed here in time")

    # --- what is computed here ---------------------------------------------------------------------------------------

    async def mine(self, header: HeaderMessage) -> None:
        """An epoch as computed here."""
        catalog, epoch_id = header.catalog, header.epoch_id
        async with self._lock:
            await self._links.recall(catalog)
            if self._waiting.matched(catalog, epoch_id) is not None:  # computed again while the chain is asked
                return
            if await self._guard.decision(catalog, epoch_id) is not None:  # computed again after a restart
                await self._guard.database.write(self._done(catalog, epoch_id))
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
                    await self._unmatched(catalog, passed, "never computed here since the last decision")

    async def _meet(self, catalog: str, epoch_id: int) -> None:
        """Judge every claim of an epoch that was computed here, until one is what was computed."""
        for claim in self._standing.of(catalog, epoch_id):
            mine = self._mine.get(catalog, {}).get(epoch_id)
            if mine is None:
                return
            await self._judge(claim, mine)
            if epoch_id not in self._mine[catalog]:
                await self._unmatched(catalog, epoch_id, _ANOTHER)

    async def _judge(self, claim: Claim, mine: HeaderMessage) -> None:
        header = claim.header
        before = self._links.before(header, BundleHeader.decode(mine.header))
        difference = first_difference(claim.said, linked(mine, before))
        if difference is not None:
            if header.epoch_id > self._links.newest_agreed(header.catalog):
                self._agreement.differed(header.catalog, header.epoch_id, difference)
            metrics.DISAGREEMENTS.labels(header.catalog).inc()
            await self._leave_unsigned(claim, "disagreed", difference)
            self._report(self._disagreement(header, difference))
            return
        del self._mine[header.catalog][header.epoch_id]
        self._agreement.matched(header.catalog)
        self._links.agreed(header)
        if not header.leaf_count:
            await self._leave_unsigned(claim, "empty", "an epoch without leaves is not voted on", matched=True)
            return
        self._standing.remove(claim)
        too_old = self._waiting.match(claim)
        if too_old is not None:
            unasked = f"the chain did not answer while {KEPT_PER_CATALOG} later epochs were computed"
            await self._drop(too_old, Refusal("unasked", unasked))

    # --- what is decided ---------------------------------------------------------------------------------------------

    async def _sign(self, claim: Claim) -> None:
        said = claim.said
        decision = await self._guard.decide(
            said.catalog, said.epoch_id, claim.header.bundle_hash, said.header,
            [*self._done(said.catalog, said.epoch_id), *self._place(said.catalog, claim.where)],
        )  # fmt: skip
        self._tell(said, "signed", "")
        self._start(decision)

    async def _again(self, said: HeaderMessage, where: TopicPartition, decided: Decision) -> None:
        """A header of an epoch that is decided: a repeat, one read again after a restart, or a second bundle."""
        self._links.agreed(BundleHeader.decode(decided.header))
        if decided.header != said.header:
            again = f"epoch was decided for bundle {decided.bundle_hash.hex()}"
            await self._refuse(said, where, Refusal("equivocation", again))

    async def _unmatched(self, catalog: str, epoch_id: int, detail: str) -> None:
        self._standing.forget_dropped(catalog, epoch_id)
        for claim in self._standing.of(catalog, epoch_id):
            await self._leave_unsigned(claim, "unmatched", detail)

    async def _drop(self, claim: Claim, refusal: Refusal) -> None:
        """What was computed here is not signed."""
        self._count(refusal)
        await self._leave_unsigned(claim, "refused", f"{refusal.rule}: {refusal.detail}", matched=True)

    async def _leave_unsigned(self, claim: Claim, outcome: str, detail: str, *, matched: bool = False) -> None:
        """Nothing is signed; `matched` says that the epoch is over for what was computed here."""
        self._standing.remove(claim)
        catalog = claim.said.catalog
        done = self._done(catalog, claim.said.epoch_id) if matched else []
        await self._guard.database.write([*done, *self._place(catalog, claim.where)])
        self._tell(claim.said, outcome, detail)

    async def _refuse(self, said: HeaderMessage, where: TopicPartition, refusal: Refusal) -> None:
        """A message that never waits here."""
        self._count(refusal)
        await self._guard.database.write(self._place(said.catalog, where))
        self._tell(said, "refused", f"{refusal.rule}: {refusal.detail}")

    def _done(self, catalog: str, epoch_id: int) -> list[Statement]:
        self._standing.forget_dropped(catalog, epoch_id)
        return [] if self._computed_by is None else [self._computed_by.decided(catalog, epoch_id)]

    def _place(self, catalog: str, where: TopicPartition) -> list[Statement]:
        """What notes the lowest offset of the partition that is not decided yet, and the link before it."""
        offsets = (self._standing.first_offset(where), self._waiting.first_offset(where))
        first = min((each for each in offsets if each is not None), default=self._read[where])
        epochs = (min(self._standing.epochs(catalog), default=None), self._waiting.first_matched(catalog))
        below = min((each for each in epochs if each is not None), default=None)
        return [noted_place(*where, first), *self._links.noted(catalog, below)]

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
