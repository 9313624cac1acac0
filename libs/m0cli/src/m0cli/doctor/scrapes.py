"""`metrics`: every process tells Prometheus who it is."""

import asyncio
from collections import Counter
from typing import NamedTuple

from m0common.metrics import BUILD
from prometheus_client.parser import text_string_to_metric_families

from m0cli.doctor.asking import get
from m0cli.doctor.site import METRICS_URLS, Site
from m0cli.doctor.verdict import Fault, Verdict, fails, holds, not_applicable

OK = 200
API = "api"


class Scraped(NamedTuple):
    """A process as its metrics name it."""

    service: str
    version: str


async def metrics(site: Site) -> Verdict:
    """The processes of M0_METRICS_URLS, and the API, say our metrics in Prometheus's format."""
    if not site.metrics:
        return not_applicable(f"where the processes' metrics are is not known here: set {METRICS_URLS}")
    found = await asyncio.gather(*map(_scraped, site.metrics), return_exceptions=True)
    if not any(isinstance(each, Scraped) and each.service == API for each in found):
        found.append(*await asyncio.gather(_scraped(f"{site.api}/metrics"), return_exceptions=True))
    problems = [str(each) for each in found if isinstance(each, Fault)]
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, Fault):
            raise each
    if problems:
        return fails("; ".join(problems))
    versions = Counter(each.version for each in found if isinstance(each, Scraped))
    running = ", ".join(f"{count} of version {version}" for version, count in sorted(versions.items()))
    return holds(f"{len(found)} processes scrape: {running}")


async def _scraped(url: str) -> Scraped:
    """Raises Fault when it is no process of ours."""
    answer = await get(url, f"start what is there, or set {METRICS_URLS}")
    if answer.status_code != OK:
        raise Fault(f"{url} answers {answer.status_code}: set {METRICS_URLS} to the addresses of processes")
    try:
        families = list(text_string_to_metric_families(answer.text))
    except ValueError as error:
        raise Fault(f"{url} does not answer in Prometheus's text format: {error}: set {METRICS_URLS}") from None
    named = [s.labels for family in families if family.name == BUILD.definition.name for s in family.samples]
    if not named:
        raise Fault(f"{url} has no {BUILD.definition.name}: it is no process of this version of ours")
    return Scraped(named[0]["service"], named[0]["version"])
