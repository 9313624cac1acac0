"""`signers_funded`: whoever pays for transactions can go on doing so."""

import asyncio
from typing import NamedTuple

from m0chain import accounts, pda
from m0chain.spending import Spending, spending
from m0deploy.accounts import LAMPORTS_PER_SOL
from solders.pubkey import Pubkey

from m0cli.doctor.asking import Chain, chain_of
from m0cli.doctor.onchain import catalogs_of, on_chain
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Fault, Verdict, fails, holds

WARN_DAYS, FAIL_DAYS = 14.0, 3.0
AT_ONCE = 2
"""So many payers are looked at together: a public node counts requests."""


class Payer(NamedTuple):
    """Who pays, by what it does."""

    role: str
    key: Pubkey

    def __str__(self) -> str:
        return f"{self.role} {self.key}"


async def signers_funded(site: Site) -> Verdict:
    """What signers, registrar and resolver hold lasts, at the rate of the last week, for three days at least."""
    names = await catalogs_of(site)
    async with chain_of(site) as chain:
        now_s = (await chain.client.chain_time("confirmed")).unix_ms // 1000
        payers, few = await _payers(chain, names), asyncio.Semaphore(AT_ONCE)

        async def look(payer: Payer) -> Spending:
            async with few:
                return await spending(chain.client, payer.key, now_s)

        return judged(dict(zip(payers, await asyncio.gather(*map(look, payers)), strict=True)))


def judged(found: dict[Payer, Spending]) -> Verdict:
    """The verdict on what each payer spends."""
    poor = {payer: said for payer, said in found.items() if not said.lamports or _days(said) < FAIL_DAYS}
    if poor:
        return fails("; ".join(f"{payer} has {_shown(said)}: send it SOL" for payer, said in poor.items()))
    low = {payer: said for payer, said in found.items() if _days(said) < WARN_DAYS}
    warning = "".join(f"; WARNING: {payer} has {_shown(said)}" for payer, said in low.items())
    least = min(found, key=lambda payer: _days(found[payer]))
    return holds(f"{len(found)} payers, the one that runs out first is {least} with {_shown(found[least])}{warning}")


def _days(said: Spending) -> float:
    return float("inf") if said.days_left is None else said.days_left


def _shown(said: Spending) -> str:
    sol = f"{said.lamports / LAMPORTS_PER_SOL:.3f} SOL"
    return f"{sol}, of which it spends nothing" if said.days_left is None else f"{sol} for {said.days_left:.1f} days"


async def _payers(chain: Chain, names: list[str]) -> list[Payer]:
    signers = {key: Payer("signer", key) for at in await on_chain(chain, names) for key in at.members.keys}
    if chain.registry is None:
        raise Fault("the registry program is not named: set M0_REGISTRY_PROGRAM_ID")
    root = await chain.client.account(pda.registry_root(chain.registry))
    if root is None or root.owner != chain.registry:
        raise Fault(f"program {chain.registry} has no registry on this chain: set M0_REGISTRY_PROGRAM_ID")
    roles = accounts.root(root.data)
    return [*signers.values(), Payer("registrar", roles.registrar), Payer("resolver", roles.resolver)]
