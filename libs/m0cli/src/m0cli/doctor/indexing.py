"""`indexer_caught_up`: what is final on chain is final in the API."""

import time
from asyncio import sleep

from m0client import AsyncClient

from m0cli.doctor.asking import POLL_S, Chain, api_of, chain_of, some
from m0cli.doctor.onchain import catalogs_of, on_chain
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, fails, holds, not_applicable

CATCH_UP_S = 15.0
"""An epoch that is final on chain is in the API after so long at most."""


async def indexer_caught_up(site: Site) -> Verdict:
    """The newest final epoch of every catalog, as the chain has it at the first look, comes to the API in time."""
    names = await catalogs_of(site)
    until_s = time.monotonic() + site.wait_s
    async with chain_of(site, "finalized") as chain:
        while not (newest := await _final(chain, names)) and time.monotonic() < until_s:  # noqa: ASYNC110 - the chain is looked at
            await sleep(POLL_S)
        slot = (await chain.client.chain_time("finalized")).slot
    if not newest:
        return not_applicable("no epoch is final on chain yet: there is nothing to catch up with")
    began_s = time.monotonic()
    async with api_of(site) as api:
        shown = await _shown(api, newest)
        while any(shown[name] < newest[name] for name in newest):
            if time.monotonic() - began_s > CATCH_UP_S:
                return fails(f"{_behind(shown, newest)}: see the indexer's /ready")
            await sleep(POLL_S)
            shown = await _shown(api, newest)
    within_s = time.monotonic() - began_s
    epochs = ", ".join(f"{name} {epoch_id}" for name, epoch_id in sorted(newest.items()))
    return holds(f"the newest final epochs at slot {slot} ({epochs}) are in the API, {within_s:.1f} s after the look")


async def _final(chain: Chain, names: list[str]) -> dict[str, int]:
    """The newest final epoch on chain of each catalog that has one."""
    return {at.name: entry.epoch_id for at in await on_chain(chain, names) for entry in at.newest(1)}


async def _shown(api: AsyncClient, names: dict[str, int]) -> dict[str, int]:
    """The newest final epoch that the API has of each catalog, -1 where it has none."""
    newest = {}
    for name in names:
        epochs = await some(api.epochs(name, "finalized"), 1)
        newest[name] = epochs[0].epoch_id if epochs else -1
    return newest


def _behind(shown: dict[str, int], newest: dict[str, int]) -> str:
    late = [
        f"{name}: the API's newest final epoch is {shown[name] if shown[name] >= 0 else 'none'}, the chain's {epoch_id}"
        for name, epoch_id in sorted(newest.items())
        if shown[name] < epoch_id
    ]
    return f"{'; '.join(late)}, {CATCH_UP_S:.0f} s after it was read there"
