"""`replay_protection`: what has landed is refused when it comes again."""

from collections.abc import AsyncIterator

from m0chain import Oracle, ProgramError, TransactionFailed
from m0chain.accounts import Epoch
from m0chain.simulate import simulate

from m0cli.doctor.asking import Chain, chain_of
from m0cli.doctor.onchain import OnChain, catalogs_of, epochs_of, on_chain
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, fails, holds, not_applicable

LOOK_BACK = 20
"""Among so many epochs of a catalog a commitment is looked for."""
PROTECTS = {"AlreadyCommitted", "CommitClosed", "WrongStatus"}
"""What the program says to a commitment that it has: before its deadline, behind it, and once the epoch is decided."""


async def replay_protection(site: Site) -> Verdict:
    """A commitment that stands on chain is simulated once more: the program itself has to refuse it. Nothing is sent,
    and no key is needed.
    """
    names = await catalogs_of(site)
    async with chain_of(site) as chain:
        now_ms = (await chain.client.chain_time("confirmed")).unix_ms
        for at in await on_chain(chain, names):
            async for epoch in _committed(chain, at, now_ms):
                return await _again(chain, at, epoch)
    return not_applicable("no commitment stands on chain that could come again")


async def _committed(chain: Chain, at: OnChain, now_ms: int) -> AsyncIterator[Epoch]:
    """Newest first, the epochs that somebody has committed to."""
    newest = now_ms // at.catalog.epoch_ms - 1
    for epoch in await epochs_of(chain, at.name, [newest - i for i in range(LOOK_BACK)]):
        if epoch is not None and epoch.committed and epoch.signer_set_id == at.members.id:
            yield epoch


async def _again(chain: Chain, at: OnChain, epoch: Epoch) -> Verdict:
    signer = at.members.members(epoch.committed)[0]
    landed = epoch.commitments[at.members.keys.index(signer)]
    commit = Oracle(chain.oracle).commit(signer, at.name, epoch.epoch_id, at.members.id, landed)
    what = f"{signer}'s commitment to {at.name} epoch {epoch.epoch_id}, simulated again,"
    try:
        await simulate(chain.client, [commit], signer)
    except ProgramError as error:
        if error.name in PROTECTS:
            return holds(f"{what} is refused with {error.name} ({error.code})")
        return fails(f"{what} is refused, but not as a repeat: {error}")
    except TransactionFailed as error:
        return fails(f"{what} does not come to the program: {error}")
    return fails(f"{what} would be taken a second time: the program at {chain.oracle} is not the one of this version")
