"""Finishes epochs that signers left behind: finalizes those with a quorum, expires those without, closes old ones."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from m0chain import ChainError, Oracle, ProgramError
from m0chain.accounts import Catalog, Epoch, EpochStatus
from m0common.store.postgres import Pool, transaction
from m0common.telemetry.logs import logger
from m0index.tables import overdue
from m0index.tables.overdue import OverdueEpoch

from m0_jobs import metrics
from m0_jobs.chain import ChainPort
from m0_jobs.rotation import Rotation

BATCH = 100
FINALIZE_GRACE_MS = 10_000
"""After the commit deadline signers have this long to finalize by themselves."""
CLOSE_GRACE_MS = 60_000
"""The program's own limit behind the reveal deadline."""
_AT_ONCE = 8
_RACES = frozenset({"WrongStatus", "WrongOwner", "EpochNotNewer", "CommitOpen", "NotExpired", "TooEarlyToClose"})
"""What the program says when somebody else was quicker, or when its clock is behind ours."""

_log = logger(__name__)


def crank(epoch: Epoch, catalog: Catalog, now_ms: int, older_open: bool) -> str | None:
    """`finalize`, `expire` or None; `older_open`: an older epoch of the catalog may still become final."""
    if epoch.status in {EpochStatus.FINALIZED, EpochStatus.EXPIRED}:
        return None
    shut_out = bool(catalog.finalized_count) and epoch.epoch_id <= catalog.last_finalized_epoch
    quorum = epoch.quorum() is not None
    if quorum and not shut_out:
        ready = now_ms > epoch.commit_deadline_ms + FINALIZE_GRACE_MS and not older_open
        return "finalize" if ready else None
    return "expire" if now_ms > epoch.reveal_deadline_ms else None


@dataclass(slots=True)
class Cranks:
    """The job; every action is permissionless and idempotent on chain."""

    pool: Pool
    chain: ChainPort
    oracle: Oracle
    close_after_ms: int
    stuck: Rotation[tuple[str, int]] = field(default_factory=lambda: Rotation(("", -1)))
    closable: Rotation[tuple[int, str]] = field(default_factory=lambda: Rotation((-1, "")))

    async def run(self) -> int:
        """Crank what needs it; how many transactions landed."""
        now_ms = await self.chain.now_ms()
        async with transaction(self.pool) as connection:
            stuck = await overdue.stuck_epochs(connection, now_ms, self.stuck.behind, BATCH)
            keep_ms = max(self.close_after_ms, CLOSE_GRACE_MS)
            closable = await overdue.closable_epochs(connection, now_ms - keep_ms, self.closable.behind, BATCH)
        self.stuck.turn(stuck, BATCH, lambda epoch: (epoch.catalog, epoch.epoch_id))
        self.closable.turn(closable, BATCH, lambda epoch: (epoch.window_end_ms, epoch.catalog))
        done = 0
        for name, ids in _by_catalog(stuck).items():
            done += await self._finish(name, ids, now_ms)
        for name, ids in _by_catalog(closable).items():
            done += await self._close(name, ids, now_ms)
        return done

    async def _finish(self, name: str, ids: Sequence[int], now_ms: int) -> int:
        """One after the other: finalizing an epoch shuts older ones out, so the oldest goes first."""
        catalog = await self.chain.catalog(name)
        if catalog is None:
            return 0
        done, older_open = 0, False
        for epoch in await self.chain.epochs(name, ids):
            if epoch is None:
                continue
            action = crank(epoch, catalog, now_ms, older_open)
            if action == "finalize":
                landed = await self._send(action, name, epoch)
                done += landed
                older_open = older_open or not landed
            elif action == "expire":
                done += await self._send(action, name, epoch)
            else:
                over = epoch.status in {EpochStatus.FINALIZED, EpochStatus.EXPIRED}
                older_open = older_open or not over
        return done

    async def _close(self, name: str, ids: Sequence[int], now_ms: int) -> int:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(epoch: Epoch) -> bool:
            async with limit:
                return await self._send("close", name, epoch)

        ready = [
            epoch
            for epoch in await self.chain.epochs(name, ids)
            if epoch is not None
            and epoch.status in {EpochStatus.FINALIZED, EpochStatus.EXPIRED}
            and now_ms > epoch.reveal_deadline_ms + CLOSE_GRACE_MS
        ]
        return sum(await asyncio.gather(*(one(epoch) for epoch in ready)))

    async def _send(self, action: str, name: str, epoch: Epoch) -> bool:
        epoch_id = epoch.epoch_id
        match action:
            case "finalize":
                instruction = self.oracle.finalize_epoch(name, epoch_id)
            case "expire":
                instruction = self.oracle.expire_epoch(name, epoch_id)
            case _:
                instruction = self.oracle.close_epoch(name, epoch_id, epoch.opener)
        try:
            landed = await self.chain.send(instruction)
        except ChainError as error:
            raced = isinstance(error, ProgramError) and error.name in _RACES
            metrics.CRANKED.labels(action, "raced" if raced else "failed").inc()
            note = _log.info if raced else _log.warning
            note("crank_failed", action=action, catalog=name, epoch_id=epoch_id, error=str(error))
            return False
        metrics.CRANKED.labels(action, "landed").inc()
        _log.info("cranked", action=action, catalog=name, epoch_id=epoch_id, transaction=landed.signature)
        return True


def _by_catalog(rows: Sequence[OverdueEpoch]) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        grouped[row.catalog].append(row.epoch_id)
    return {name: sorted(ids) for name, ids in grouped.items()}
