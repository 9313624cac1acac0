"""What the chain says is final: the root of an epoch, from its account or, once that is closed, from the ring."""

from collections.abc import Awaitable, Callable

from m0common.settings import Settings

from m0chain import accounts, pda
from m0chain.programs import Programs, node_client


def finalized_root(settings: Settings) -> Callable[[str, int], Awaitable[tuple[bytes, bytes] | None]]:
    """A function from `(catalog, epoch_id)` to `(merkle_root, bundle_hash)`, None when the epoch is not final.

    Raises SettingsError when a program is not named.
    """
    oracle = Programs.of(settings).oracle

    async def root(catalog: str, epoch_id: int) -> tuple[bytes, bytes] | None:
        async with node_client(settings.solana) as chain:
            found = await chain.account(pda.epoch(oracle, catalog, epoch_id), "finalized")
            if found is not None and found.owner == oracle:
                epoch = accounts.epoch(found.data)
                if epoch.status != accounts.EpochStatus.FINALIZED:
                    return None
                tally = epoch.tallies[epoch.finalized_tally]
                return tally.merkle_root, tally.bundle_hash
            kept = await chain.account(pda.catalog(oracle, catalog), "finalized")
            entry = accounts.catalog(kept.data).finalized(epoch_id) if kept is not None else None
            return (entry.merkle_root, entry.bundle_hash) if entry is not None else None

    return root
