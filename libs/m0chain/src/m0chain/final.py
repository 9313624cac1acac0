"""What the chain says is final: the root of an epoch, from its account or, once that is closed, from the ring."""

from collections.abc import Awaitable, Callable

from m0common.errors import SettingsError
from m0common.settings import Solana
from solders.pubkey import Pubkey

from m0chain import accounts, pda
from m0chain.rpc import ChainClient


def oracle_program(settings: Solana) -> Pubkey:
    """The oracle's id; SettingsError when none is configured."""
    if not settings.oracle_program_id:
        raise SettingsError("no oracle program: set M0_ORACLE_PROGRAM_ID, or run make up, which deploys one")
    return Pubkey.from_string(settings.oracle_program_id)


def finalized_root(settings: Solana) -> Callable[[str, int], Awaitable[tuple[bytes, bytes] | None]]:
    """A function from `(catalog, epoch_id)` to `(merkle_root, bundle_hash)`, None when the epoch is not final."""
    oracle = oracle_program(settings)

    async def root(catalog: str, epoch_id: int) -> tuple[bytes, bytes] | None:
        async with ChainClient(settings.rpc_url) as chain:
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
