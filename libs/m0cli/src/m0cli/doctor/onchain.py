"""The catalogs of a site: which there are, what stands on chain of each, and which have markets to vote on."""

from collections.abc import Sequence
from typing import NamedTuple

from m0chain import accounts, pda
from m0chain.accounts import Catalog, Epoch, RingEntry, SignerSet
from m0client import AsyncClient
from m0client.endpoints import PAGE_ITEMS

from m0cli.doctor.asking import Chain, api_of, some
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Fault

ACTIVE = "ACTIVE"


class OnChain(NamedTuple):
    """A catalog and the members of its signer set."""

    catalog: Catalog
    members: SignerSet

    @property
    def name(self) -> str:
        return self.catalog.catalog

    @property
    def decides_ms(self) -> int:
        """From the end of a window to the reveal deadline of its epoch."""
        return self.catalog.commit_ms + self.catalog.reveal_ms

    def newest(self, most: int) -> list[RingEntry]:
        """The entries of the ring that were finalized last, newest first."""
        ring, head, filled = self.catalog.ring, self.catalog.ring_head, self.catalog.finalized_count
        return [ring[(head - 1 - i) % len(ring)] for i in range(min(most, filled, len(ring)))]


async def catalogs_of(site: Site) -> list[str]:
    """Those of the settings, else those that the API shows. Raises Fault when there are none."""
    names = set(site.settings.catalogs)
    if not names:
        async with api_of(site) as api:
            names = {market.catalog for market in await some(api.markets(state=ACTIVE), PAGE_ITEMS)}
            names |= {epoch.catalog for epoch in await some(api.epochs(), PAGE_ITEMS)}
    if not names:
        raise Fault(f"neither the settings nor {site.api} name a catalog: let M0_CONFIG_PATH name the settings file")
    return sorted(names)


async def on_chain(chain: Chain, names: Sequence[str]) -> list[OnChain]:
    """Catalogs with their signer sets. Raises Fault for one that is not there, ChainError."""
    found = await chain.client.accounts([pda.catalog(chain.oracle, name) for name in names])
    for name, account in zip(names, found, strict=True):
        if account is None or account.owner != chain.oracle:
            raise Fault(f"catalog {name} is not on chain under program {chain.oracle}: `m0 bootstrap` makes it there")
    catalogs = [accounts.catalog(account.data) for account in found if account is not None]
    ids = sorted({catalog.signer_set_id for catalog in catalogs})
    sets = await chain.client.accounts([pda.signer_set(chain.oracle, each) for each in ids])
    members = {i: accounts.signer_set(each.data) for i, each in zip(ids, sets, strict=True) if each is not None}
    if missing := [each for each in ids if each not in members]:
        raise Fault(f"signer set {missing[0]} is not on chain: `m0 bootstrap` makes it there")
    return [OnChain(catalog, members[catalog.signer_set_id]) for catalog in catalogs]


async def epochs_of(chain: Chain, name: str, ids: Sequence[int]) -> list[Epoch | None]:
    """Accounts of epochs, None of one that was never opened or is closed. Raises ChainError."""
    found = await chain.client.accounts([pda.epoch(chain.oracle, name, each) for each in ids])
    return [None if a is None or a.owner != chain.oracle else accounts.epoch(a.data) for a in found]


async def voted_since(api: AsyncClient, name: str) -> int | None:
    """Since when a market of the catalog has been open, in UTC ms: epochs with a market are voted on. None: none is."""
    open_now = await some(api.markets(name, ACTIVE), PAGE_ITEMS)
    return min((market.opens_ms for market in open_now), default=None)
