"""Whether epochs go their way on chain: `commit_reveal` and `finalization`."""

from functools import partial

from m0chain.accounts import Epoch, RingEntry
from m0client import AsyncClient, NotFound, VerificationError
from m0client.endpoints import PAGE_ITEMS

from m0cli.doctor.asking import Chain, api_of, chain_of, some, watched
from m0cli.doctor.onchain import ACTIVE, OnChain, catalogs_of, epochs_of, on_chain, voted_since
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Fault, Verdict, fails, holds, not_applicable

EPOCHS = 2
"""So many of the newest epochs have to be as they should."""
GRACE_MS = 30_000
"""Lateness of a marker, and what a chain takes to finalize a transaction."""
PROOFS_TRIED = 10
QUIET = "no market has been open for two epochs, so nothing has to be voted on"

Quiet = dict[str, int | None]
"""By catalog since when a market has been open, None when none is."""


async def commit_reveal(site: Site) -> Verdict:
    """Of every catalog the newest two epochs that are decided, or had to be, were revealed by a quorum in time."""
    names = await catalogs_of(site)
    async with chain_of(site) as chain:
        return await watched(site.wait_s, partial(_commit_reveal, site, chain, names))


async def _commit_reveal(site: Site, chain: Chain, names: list[str]) -> Verdict:
    quiet = await _quiet(site, names)
    now_ms = (await chain.client.chain_time("confirmed")).unix_ms
    said = [await _signed(chain, each, now_ms, quiet) for each in await on_chain(chain, names)]
    return _together(said)


async def _signed(chain: Chain, at: OnChain, now_ms: int, quiet: Quiet) -> Verdict:
    catalog = at.catalog
    over = (now_ms - at.decides_ms) // catalog.epoch_ms - 1
    newest = max(over, catalog.last_finalized_epoch if catalog.finalized_count else -1)
    ids = [newest - i for i in range(EPOCHS)]
    if not _voted_on(at, ids[-1], quiet):
        return not_applicable(f"{at.name}: {QUIET}")
    shown = []
    for epoch_id, epoch in zip(ids, await epochs_of(chain, at.name, ids), strict=True):
        final = catalog.finalized(epoch_id)
        if epoch is None and final is None:
            return fails(f"{at.name} epoch {epoch_id} was not opened: signers, bundle or ingest stand still")
        revealed = final.signers if epoch is None and final is not None else _revealed(epoch)
        if revealed < at.members.threshold:
            return fails(f"{at.name} epoch {epoch_id}: {_counts(at, epoch)}: see the signers' logs")
        shown.append(f"{epoch_id} {revealed} of {at.members.count}{_silent(at, epoch)}")
    return holds(f"{at.name} epochs {', '.join(reversed(shown))} signers in time")


def _revealed(epoch: Epoch | None) -> int:
    """How many revealed what most did."""
    return 0 if epoch is None else max((tally.mask.bit_count() for tally in epoch.tallies), default=0)


def _counts(at: OnChain, epoch: Epoch | None) -> str:
    committed = 0 if epoch is None else epoch.committed.bit_count()
    agreed = _revealed(epoch)
    return f"{committed} of {at.members.count} committed, {agreed} revealed the same, {at.members.threshold} needed"


def _silent(at: OnChain, epoch: Epoch | None) -> str:
    if epoch is None:
        return ""
    silent = at.members.members(~epoch.revealed)
    return f" (without {', '.join(map(str, silent))})" if silent else ""


async def finalization(site: Site) -> Verdict:
    """Of every catalog the newest root is as young as it has to be, the API has the same, and a proof of it holds."""
    names = await catalogs_of(site)
    async with api_of(site) as api, chain_of(site, "finalized") as chain:
        return await watched(site.wait_s, partial(_finalization, api, chain, names))


async def _finalization(api: AsyncClient, chain: Chain, names: list[str]) -> Verdict:
    now_ms = (await chain.client.chain_time("finalized")).unix_ms
    said = []
    for at in await on_chain(chain, names):
        quiet = {at.name: await voted_since(api, at.name)}
        said.append(await _finalized(api, at, now_ms, quiet))
    return _together(said)


async def _finalized(api: AsyncClient, at: OnChain, now_ms: int, quiet: Quiet) -> Verdict:
    newest = at.newest(EPOCHS)
    if not _voted_on(at, now_ms // at.catalog.epoch_ms - EPOCHS, quiet):
        return not_applicable(f"{at.name}: {QUIET}")
    if len(newest) < EPOCHS:
        return fails(f"{at.name} has {len(newest)} final epochs: two are needed; run this again in a minute")
    age_ms, allowed_ms = now_ms - newest[0].window_end_ms, at.catalog.epoch_ms + at.decides_ms + GRACE_MS
    if age_ms > allowed_ms:
        return fails(
            f"{at.name}: the newest final epoch {newest[0].epoch_id} ended {age_ms // 1000} s ago, and at most "
            f"{allowed_ms // 1000} s are in order: see `commit_reveal`, and the logs of signers and jobs"
        )
    if newest[0].signers < at.members.threshold:
        return fails(f"{at.name} epoch {newest[0].epoch_id}: {newest[0].signers} signers stand behind the root")
    return await _published(api, at, age_ms)


async def _published(api: AsyncClient, at: OnChain, age_ms: int) -> Verdict:
    """The API's newest final epochs are the chain's, and their proofs hold."""
    roots = {entry.epoch_id: entry for entry in at.newest(len(at.catalog.ring))}
    same: RingEntry | None = None
    for epoch in await some(api.epochs(at.name, "finalized"), EPOCHS):
        root = roots.get(epoch.epoch_id)
        if root is None:
            continue
        if (epoch.bundle_hash, epoch.merkle_root) != (root.bundle_hash.hex(), root.merkle_root.hex()):
            return fails(
                f"{at.name} epoch {epoch.epoch_id}: the chain has bundle {root.bundle_hash.hex()} and the API "
                f"{epoch.bundle_hash}: they are of two deployments, or the index is wrong"
            )
        same = same or root
    if same is None:
        return fails(f"{at.name}: the API shows none of the newest final epochs of the chain: see `indexer_caught_up`")
    try:
        attesting = await _attesting(api, at.name, same.epoch_id)
    except VerificationError as error:
        return fails(f"{at.name} epoch {same.epoch_id}: a proof does not hold: {error}")
    return holds(
        f"{at.name} epoch {same.epoch_id} is bundle {same.bundle_hash.hex()[:12]} on chain and in the API, "
        f"{attesting} of {at.members.count} signatures hold; newest final {age_ms // 1000} s old"
    )


async def _attesting(api: AsyncClient, name: str, epoch_id: int) -> int:
    """How many signatures under a proof of the epoch hold. Raises VerificationError, Fault when there is no proof."""
    for market in (await some(api.markets(name, ACTIVE), PAGE_ITEMS))[:PROOFS_TRIED]:
        try:
            proof = await api.proof(market.market_id, epoch_id)
        except NotFound:
            continue  # opened since
        return len((await api.verify(proof)).signers)
    raise Fault(f"{name} epoch {epoch_id}: the API has a proof of no market that is open: see the indexer's /ready")


async def _quiet(site: Site, names: list[str]) -> Quiet:
    """What the API says of open markets; nothing where it does not answer, so that every epoch has to be there."""
    try:
        async with api_of(site) as api:
            return {name: await voted_since(api, name) for name in names}
    except Fault:
        return {}


def _voted_on(at: OnChain, epoch_id: int, quiet: Quiet) -> bool:
    """Whether signers have to vote on an epoch: not when no market has been open for as long."""
    since_ms = quiet.get(at.name, 0)
    return since_ms is not None and since_ms <= epoch_id * at.catalog.epoch_ms


def _together(said: list[Verdict]) -> Verdict:
    """One verdict of those of all catalogs."""
    evidence = "; ".join(each.evidence for each in said if each.ok is False) or "; ".join(e.evidence for e in said)
    if any(each.ok is False for each in said):
        return fails(evidence)
    return holds(evidence) if any(each.ok for each in said) else not_applicable(QUIET)
