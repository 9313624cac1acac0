"""Steps that tests of generations share, and the check that everybody who reads a log says the same."""

from dataclasses import replace

import lanes_world as world
from lanes_first import First
from lanes_fleet import Fleet
from m0common.canonical import certificate_message
from m0lanes.control import Certificate, DomainRef
from m0lanes.generations import partition_of
from m0lanes.pipeline import Pipeline
from solders.keypair import Keypair

FIRST, EPOCH, START = world.FIRST, world.EPOCH_MS, world.BASE_MS
NEW_KEY, NEW_CLOCK = Keypair.from_seed(bytes([21]) * 32), Keypair.from_seed(bytes([22]) * 32)
OTHER = {"release": world.OTHER_RELEASE.hex(), "domain": DomainRef("coins", "tests", 2)}


def certificate(old: Keypair, new: Keypair) -> Certificate:
    message = certificate_message(world.GENESIS, bytes(old.pubkey()), bytes(new.pubkey()))
    return Certificate(bytes(old.pubkey()).hex(), bytes(new.pubkey()).hex(), bytes(old.sign_message(message)).hex())


def where(group: str) -> int:
    return partition_of(group, world.PARTITIONS)


def opened(groups=world.GROUPS) -> world.World:
    """Generation 1 in force, a market in every group, one toss each, the first epoch closed."""
    log = world.World(groups=groups)
    log.begin()
    for number, group in enumerate(sorted(groups)):
        log.open(group, f"COIN_{number}", START)
        log.toss(group, True, START + 1)
    log.end(FIRST)
    return log


def ran(log: world.World, heart=world.HEART) -> tuple[list, Pipeline]:
    pipeline = Pipeline(heart)
    return world.play(log.records, pipeline), pipeline


def errors(pipeline: Pipeline) -> list[str]:
    return [letter.error.error for _, letter in pipeline.letters]


def epochs(closed) -> list[int]:
    return [epoch.header.epoch_id for epoch in closed]


def parked(pipeline: Pipeline) -> list[str]:
    return [report.parked for core in pipeline.cores for report in core.reports() if report.parked]


def agrees(log: world.World, heart=world.HEART, seed: int = 0) -> First:
    """A fleet that dies and holds nothing at hand, and a stage restarted behind every record, say the same."""
    closed, _ = ran(log, heart)
    fleet = Fleet(replace(heart, held_bytes=0), seed, dies=0.06)
    fleet.write(log.records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(closed)
    first, short = First(heart, log.records), First(replace(heart, held_bytes=0), log.records)
    assert (short.said, short.letters) == (first.said, first.letters)
    assert short.saved() == first.saved()
    first.check_every_restart()
    return first
