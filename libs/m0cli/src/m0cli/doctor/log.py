"""What Kafka is asked: `topics`, and `releases`, which the log names and somebody has to run."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from m0common.canonical import ZERO
from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.messages import Manifest
from m0common.stream.broker import Broker
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.states import manifests
from m0common.topics import MANIFESTS
from m0kafka.confluent import ConfluentCluster
from m0kafka.plan import Plan, plan
from m0kafka.wanted import Wanted
from m0lanes.births import no_life
from m0replay.builds import Builds, installed_build, known_builds, running_builds
from m0replay.catalog_log import CatalogLog
from m0replay.lanes import newest
from m0replay.shown import short

from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Verdict, fails, holds, not_applicable

CLIENT = "m0-doctor"
REQUEST_MS = 10_000
READ_S = 45.0
"""So long the log is read for what it names; what is behind that is not looked at, and said."""
SHOWN = 3
NO_KAFKA = "no Kafka is named here: set M0_KAFKA_BOOTSTRAP and a user"


class Named(NamedTuple):
    """A release, in hex, that the log names for a catalog; `due`: it takes over at a marker to come."""

    catalog: str
    release: str
    due: bool = False


async def topics(site: Site) -> Verdict:
    """What `m0 topics check` says: topics, settings, users and rights are as the catalogue and the settings want."""
    if not site.kafka:
        return not_applicable(NO_KAFKA)
    wanted = Wanted.of(site.settings.kafka)
    return judged_topics(wanted, await asyncio.to_thread(lambda: plan(wanted, ConfluentCluster(_options(site)))))


def judged_topics(wanted: Wanted, due: Plan) -> Verdict:
    """What is missing fails the box; what is only left over, as behind every upgrade that needs less, is a note."""
    if lacking := due.expanding().sentences():
        return fails(f"to be done: {_first(lacking)}: run `m0 topics apply` as an administrator")
    said = f"{len(wanted.topics)} topics and {len(wanted.rights)} rights are as they should be"
    if left := due.contracting().sentences():
        said += f"; left over: {_first(left)}: `m0 topics apply` takes it away, once no older version runs"
    return holds(said)


async def releases_run(site: Site) -> Verdict:
    """Every release that the log names is run by a manned consumer group of each stage."""
    if not site.kafka:
        return not_applicable(NO_KAFKA)
    deployment, options = Deployment.of(site.settings), _options(site)
    broker = KafkaBroker(options)
    try:
        said = [m for m in await _manifests(broker) if no_life(m, deployment) is None]
        log = CatalogLog(broker, deployment, system_clock(site.settings.env))
        whole = await _read(log)
    finally:
        await broker.close()
    here, installed = await asyncio.to_thread(installed_build)
    groups = await asyncio.to_thread(lambda: ConfluentCluster(options).manned_groups())
    named = {*_by_lanes(said), *(_by_sets(log) if whole else ())}
    builds = Builds(known_builds(said, here, installed.values()), running_builds(groups))
    verdict = judged(named, builds)
    if whole:
        return verdict
    return replace(verdict, evidence=f"{verdict.evidence} (by lanes alone: the log was not read within {READ_S:.0f} s)")


def judged(named: Iterable[Named], builds: Builds) -> Verdict:
    """Whether each of the `named` releases is run in every stage. What is due may be in a build that has not said
    anything yet.
    """
    missing, found = [], set()
    for each in sorted(named):
        found.add(each.release)
        lacking = [stage for stage in builds.lacking(each.release) if not (each.due and builds.strange_in(stage))]
        if lacking:
            missing.append(f"{', '.join(lacking)} of {each.catalog}: nobody runs release {short(each.release)}")
    if missing:
        return fails(f"{'; '.join(missing)}: install the version that has it (`m0 lane list`)")
    if not found:
        return not_applicable("the log names no release yet: `m0 catalog set` does")
    return holds(f"{len(found)} releases are named and run in every stage: {', '.join(map(short, sorted(found)))}")


def _first(sentences: Sequence[str]) -> str:
    more = f" and {len(sentences) - SHOWN} more" if len(sentences) > SHOWN else ""
    return "; ".join(sentences[:SHOWN]) + more


def _options(site: Site) -> KafkaOptions:
    options = KafkaOptions.of(site.settings.kafka, CLIENT)
    return replace(options, request_timeout_ms=min(REQUEST_MS, options.request_timeout_ms))


async def _manifests(broker: Broker) -> list[Manifest]:
    return await manifests(broker, range(await broker.partitions(MANIFESTS.name)))


async def _read(log: CatalogLog) -> bool:
    """Whether all that the log says of catalogs was read in time."""
    try:
        async with asyncio.timeout(READ_S):
            await log.read()
    except TimeoutError:
        return False
    return True


def _by_lanes(said: Iterable[Manifest]) -> list[Named]:
    """What goes on in each lane that has not ended."""
    return [
        Named(m.catalog, m.runner.hex()) for m in newest(said).values() if m.status != "retired" or m.following != ZERO
    ]


def _by_sets(log: CatalogLog) -> list[Named]:
    """What the sets in force and to come name, and the lives begun in them."""
    named = []
    for catalog in log.control.catalogs():
        now, ready = log.control.in_force(catalog), log.control.ready(catalog)
        if now is not None and not now.payload.retired:
            for lane in now.lanes:
                begun = log.lives.newest(catalog, lane)
                lives = begun is not None and begun.generation == now.payload.generation
                named.append(Named(catalog, begun.release if begun is not None and lives else now.payload.release))
        if ready is not None and not ready.payload.retired:
            named.append(Named(catalog, ready.payload.release, due=True))
    return named
