"""All boxes, in the order they are said."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from m0cli.doctor.backups import backups
from m0cli.doctor.funds import signers_funded
from m0cli.doctor.indexing import CATCH_UP_S, indexer_caught_up
from m0cli.doctor.log import READ_S, releases_run, topics
from m0cli.doctor.public import health, markets
from m0cli.doctor.repeats import replay_protection
from m0cli.doctor.rounds import commit_reveal, finalization
from m0cli.doctor.scrapes import metrics
from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, not_built

Look = Callable[[Site], Awaitable[Verdict]]

WITHIN_S = 60.0


class Box(NamedTuple):
    """`look` is given `within_s` seconds, and `Site.wait_s` besides where it `watches`."""

    name: str
    look: Look
    within_s: float = WITHIN_S
    watches: bool = False


def _to_come(what: str) -> Look:
    async def look(_: Site) -> Verdict:
        return not_built(what)

    return look


BOXES: tuple[Box, ...] = (
    Box("health", health),
    Box("markets", markets),
    Box("indexer_caught_up", indexer_caught_up, WITHIN_S + CATCH_UP_S, watches=True),
    Box("commit_reveal", commit_reveal, watches=True),
    Box("finalization", finalization, watches=True),
    Box("replay_protection", replay_protection),
    Box("dashboard", _to_come("there is no dashboard in this version")),
    Box("metrics", metrics),
    Box("alerts", _to_come("this version has no alerts to test")),
    Box("backups", backups),
    Box("releases", releases_run, WITHIN_S + READ_S),
    Box("topics", topics),
    Box("signers_funded", signers_funded, 90.0),
)
