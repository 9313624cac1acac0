"""Lives of a fleet's lanes: what begins them, who runs them, and what the log would say without them."""

from collections.abc import Iterable

import lanes_world as world
from lanes_fleet import Fleet, Instance
from lanes_toy import Coins
from m0common.canonical import ZERO, BundleHeader
from m0common.stream.records import Record
from m0lanes.generations import lanes_of
from m0lanes.stages import Heart

EDITED = bytes([13]) * 32
"""The same code under another hash, as after an edited comment."""
NEIGHBOUR = bytes([14]) * 32
AFTER = Heart(world.DEPLOYMENT, {EDITED: Coins()}, bytes([4]) * 32)
LANES = lanes_of(world.World().payload(1))
NOTHING = [ZERO, ZERO, ZERO]


def roots(headers: dict[tuple[str, int], bytes]) -> dict[int, bytes]:
    """The Merkle root of every epoch: what its leaves are, whatever lives said them."""
    return {epoch: BundleHeader.decode(header).merkle_root for (_, epoch), header in headers.items()}


def expected(records: Iterable[Record], *rebases: Record) -> dict[int, bytes]:
    """The roots of a log that was never repaired."""
    return roots(world.headers(world.play([r for r in records if r not in rebases])))


def begun(seed: int, epochs: int = 3, dies: float = 0.0) -> tuple[world.World, Fleet]:
    log = world.season(epochs, seed)
    fleet = Fleet(world.HEART, seed, dies)
    fleet.write(log.records)
    fleet.run_until_idle()
    return log, fleet


def installs(fleet: Fleet, heart: Heart, dies: float = 0.0) -> list[Instance]:
    """Processes of another build over the same topics."""
    return [Instance(heart, stage, fleet.topics, fleet.rng, dies) for stage in (1, 2, 3, 4)]


def rebase(log: world.World, fleet: Fleet, epoch_id: int, release: bytes, lanes=LANES, life=1, of=0) -> list[Record]:
    """A new life of each lane, from the states that its life `of` had."""
    return [
        log.rebase(lane, epoch_id, *fleet.topics.roots(lane, epoch_id, of), life, release=release.hex())
        for lane in lanes
    ]


def anew(log: world.World, release: bytes, life: int = 1) -> list[Record]:
    return [log.rebase(lane, 0, NOTHING, 0, life, release=release.hex()) for lane in LANES]


def go_on(log: world.World, fleet: Fleet, epochs: Iterable[int], since: int) -> None:
    world.go_on(log, epochs)
    fleet.write(log.records[since:])
    fleet.run_until_idle()
