"""Takes decided epochs through commit, reveal and finalization, each in a task of its own."""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from m0chain import ChainError, Landed, Oracle, ProgramError
from m0chain.accounts import SignerSet
from m0chain.keystore import KeyStore
from m0common.canonical import BundleHeader
from m0common.clock import Clock
from m0common.messages import Submission
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import TRANSACTION, epoch_span
from solders.instruction import Instruction

from m0_signer import metrics
from m0_signer.chain import ChainPort
from m0_signer.flow import EVERYBODY, Do, Step, next_step
from m0_signer.guard import Decision, Guard
from m0_signer.sign import attest, commitment_hash_of

# Somebody was quicker, or the chain's clock ticked between look and act: look again.
_RACES = frozenset(
    {
        "AlreadyInitialized", "AlreadyCommitted", "AlreadyRevealed", "CommitOpen", "CommitClosed", "RevealClosed",
        "EpochNotNewer", "WrongStatus", "WindowNotOver", "NoQuorum",
    }
)  # fmt: skip

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look and how long to hold back, in seconds."""

    poll_s: float = 4.0
    """at most this long between two looks at an epoch in flight; notifications come sooner"""
    stagger_s: float = 0.6
    """signer number i waits i times this before it opens or finalizes what any of them could"""
    linger_s: float = 3.0
    """a quorum waits this long for the reveals still missing, so that more signers stand behind the root"""
    first_pause_s: float = 0.5
    longest_pause_s: float = 5.0


class Runner:
    """Runs epochs; `report` hears of every transaction that landed."""

    def __init__(
        self,
        guard: Guard,
        chain: ChainPort,
        key: KeyStore,
        clock: Clock,
        report: Callable[[Submission], None],
        pace: Pace | None = None,
    ) -> None:
        self._guard, self._chain, self._key, self._clock = guard, chain, key, clock
        self._report = report
        self._pace = pace or Pace()
        self._oracle = Oracle(chain.program)
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._wakes: dict[tuple[str, int], asyncio.Event] = {}

    def start(self, decision: Decision) -> None:
        """Take an epoch to its end; nothing happens when it is on its way already."""
        place = (decision.catalog, decision.epoch_id)
        if place in self._tasks:
            return
        self._wakes[place] = asyncio.Event()
        task = self._tasks[place] = asyncio.create_task(self._run(decision), name=f"epoch {place}")
        task.add_done_callback(lambda _: self._forget(place))
        metrics.IN_FLIGHT.set(len(self._tasks))

    def wake(self, catalog: str, epoch_id: int) -> None:
        """Something happened on chain to an epoch: whoever waits for it, or for an older one, looks again."""
        for (name, at), event in self._wakes.items():
            if name == catalog and at >= epoch_id:
                event.set()

    def wake_all(self) -> None:
        """Something may have been missed."""
        for event in self._wakes.values():
            event.set()

    @property
    def in_flight(self) -> int:
        """Epochs that are on their way."""
        return len(self._tasks)

    async def idle(self) -> None:
        """Wait until nothing is in flight; raises what a task raised."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def stop(self) -> None:
        """Cancel everything; the guard knows how to go on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, place: tuple[str, int]) -> None:
        self._tasks.pop(place, None)
        self._wakes.pop(place, None)
        metrics.IN_FLIGHT.set(len(self._tasks))

    async def _run(self, decision: Decision) -> None:
        catalog, epoch_id = decision.catalog, decision.epoch_id
        log = _log.bind(catalog=catalog, epoch_id=epoch_id, bundle_hash=decision.bundle_hash.hex())
        wake, pause = self._wakes[catalog, epoch_id], self._pace.first_pause_s
        members: SignerSet | None = None
        held_back: set[Do] = set()
        while True:
            wake.clear()
            doing = Do.WAIT
            try:
                members = members or await self._members(decision)
                member = members.index(self._key.public_key)
                if member is None:
                    await self._finish(decision, "not_a_member")
                    return
                step, now_ms = await self._look(decision, members, member)
                doing = step.do
                if doing is Do.DONE:
                    await self._finish(decision, step.why)
                    return
                if doing is Do.WAIT:
                    await self._wait(wake, step, now_ms)
                    continue
                if doing in {Do.OPEN, Do.FINALIZE} and doing not in held_back:
                    held_back.add(doing)
                    await self._hold_back(step, member)
                    continue
                await self._act(decision, step, members)
                pause = self._pace.first_pause_s
            except Exception as error:  # noqa: BLE001 - whatever it is, what is committed must be revealed
                self._failed(log, doing, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._pace.longest_pause_s)

    @staticmethod
    def _failed(log: structlog.stdlib.BoundLogger, doing: Do, error: Exception) -> None:
        """Count and log a step that failed or came too late; it is tried again until the epoch is over on chain."""
        name = error.name if isinstance(error, ProgramError) else type(error).__name__
        if name in _RACES:
            metrics.RACES.labels(doing.value).inc()
            log.info("race_lost", action=doing.value, error=name)
            return
        metrics.FAILURES.labels(doing.value, name).inc()
        if isinstance(error, ChainError):
            log.warning("chain_failed", action=doing.value, error=str(error))
        else:
            # as text: a formatter that shows local variables would show the salt
            text = "".join(traceback.format_exception(error))
            log.error("step_failed", action=doing.value, error=str(error), traceback=text)

    async def _members(self, decision: Decision) -> SignerSet:
        set_id = BundleHeader.decode(decision.header).signer_set_id
        found = await self._chain.signer_set(set_id)
        if found is None:
            raise ChainError(f"signer set {set_id} does not exist on chain: create it")
        return found

    async def _look(self, decision: Decision, members: SignerSet, member: int) -> tuple[Step, int]:
        view = await self._chain.view(decision.catalog, decision.epoch_id, earlier=True)
        if view is None:
            raise ChainError(f"catalog {decision.catalog} does not exist on chain: create it")
        hidden = commitment_hash_of(decision, self._chain.program, self._key.public_key)
        return next_step(view, decision.epoch_id, members.id, member, hidden), view.now_ms

    async def _hold_back(self, step: Step, member: int) -> None:
        """Let others go first, once: what any signer may do costs only the one who does it."""
        missing = step.do is Do.FINALIZE and step.why != EVERYBODY
        await asyncio.sleep(member * self._pace.stagger_s + (self._pace.linger_s if missing else 0))

    async def _wait(self, wake: asyncio.Event, step: Step, now_ms: int) -> None:
        left_s = self._pace.poll_s
        if step.until_ms is not None:
            left_s = min(left_s, max(step.until_ms - now_ms, 200) / 1000)
        try:
            await asyncio.wait_for(wake.wait(), left_s)
        except TimeoutError:
            return

    async def _act(self, decision: Decision, step: Step, members: SignerSet) -> None:
        attestation = b""
        with epoch_span(f"signer {step.do}", decision.catalog, decision.epoch_id) as span:
            span.note("m0.signer", str(self._key.public_key))
            if step.do is Do.REVEAL:
                attestation = await attest(decision, self._chain.program, members, self._key)
            landed = await self._chain.send(self._instruction(decision, step.do, members.id, attestation))
            span.note(TRANSACTION, str(landed.signature))
        metrics.ACTIONS.labels(step.do.value).inc()
        _log.info(
            "landed", action=step.do.value, catalog=decision.catalog, epoch_id=decision.epoch_id,
            transaction=landed.signature, slot=landed.slot,
        )  # fmt: skip
        self._report(self._submission(decision, step.do, attestation, landed))

    def _instruction(self, decision: Decision, do: Do, set_id: int, attestation: bytes) -> Instruction:
        me, catalog, epoch_id = self._key.public_key, decision.catalog, decision.epoch_id
        match do:
            case Do.OPEN:
                return self._oracle.open_epoch(me, catalog, epoch_id, set_id)
            case Do.COMMIT:
                hidden = commitment_hash_of(decision, self._chain.program, me)
                return self._oracle.commit(me, catalog, epoch_id, set_id, hidden)
            case Do.REVEAL:
                return self._oracle.reveal(me, catalog, epoch_id, set_id, decision.header, decision.salt, attestation)
            case Do.FINALIZE:
                return self._oracle.finalize_epoch(catalog, epoch_id)
            case Do.WAIT | Do.DONE:
                raise AssertionError(f"{do} is no transaction")

    def _submission(self, decision: Decision, do: Do, attestation: bytes, landed: Landed) -> Submission:
        return Submission(
            decision.catalog, decision.epoch_id, bytes(self._key.public_key), do.value, decision.bundle_hash,
            attestation, landed.signature, landed.slot, self._clock.now_ms(),
        )  # fmt: skip

    async def _finish(self, decision: Decision, how: str) -> None:
        await self._guard.finish(decision.catalog, decision.epoch_id, how)
        metrics.FINISHED.labels(how).inc()
        level = _log.info if how in {"finalized", "superseded"} else _log.warning
        level("epoch_over", catalog=decision.catalog, epoch_id=decision.epoch_id, how=how)
