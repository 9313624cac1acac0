"""What the public asks first: `health` and `markets`."""

from collections import Counter

import msgspec
from m0client.errors import UNDECODABLE

from m0cli.doctor.asking import api_of, get
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, fails, holds

OK = 200
COUNTED_MAX = 1000
"""So many markets of a catalog are counted."""


class _Said(msgspec.Struct):
    """What a process answers at `/health` and `/ready`."""

    status: str
    service: str = ""
    problems: dict[str, str] = {}
    notes: dict[str, str] = {}

    def why(self) -> str:
        return "; ".join(f"{name}: {text}" for name, text in (self.problems | self.notes).items()) or "no reason given"


async def health(site: Site) -> Verdict:
    """`/health` says ok, and `/ready` that it can do its work, undiminished."""
    for path in ("/health", "/ready"):
        url = site.api + path
        answer = await get(url, "start the API, or let M0_API_BASE name it")
        try:
            said = msgspec.json.decode(answer.content, type=_Said)
        except UNDECODABLE:
            return fails(f"{url} answers {answer.status_code} and no status of ours: let M0_API_BASE name the API")
        if answer.status_code != OK or said.status != "ok":
            return fails(f"{url} says {said.status} ({answer.status_code}): {said.why()}")
    return holds(f"{site.api}/health and /ready say ok")


async def markets(site: Site) -> Verdict:
    """Every catalog of the settings has markets; without catalogs in the settings there are some at all."""
    async with api_of(site) as api:
        states: dict[str, Counter[str]] = {name: Counter() for name in site.settings.catalogs}
        wanted: list[str | None] = [*states]
        for catalog in wanted or [None]:
            count = 0
            async for market in api.markets(catalog):
                states.setdefault(market.catalog, Counter())[market.state] += 1
                count += 1
                if count == COUNTED_MAX:
                    break
    none = [name for name, found in states.items() if not found]
    if none or not states:
        what = f"no market of {', '.join(none)}" if none else "no market at all"
        return fails(f"{site.api}/v1/markets lists {what}: ingest lists them on chain, see its /ready")
    return holds("; ".join(f"{name} {_counted(found)}" for name, found in sorted(states.items())))


def _counted(states: Counter[str]) -> str:
    total = states.total()
    more = " or more" if total >= COUNTED_MAX else ""
    return f"{total}{more}, {states['ACTIVE']} of them active"
