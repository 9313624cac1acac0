"""Two builds on one log in memory, whose lanes run, and a look at them from either."""

import json
from collections.abc import Iterable
from pathlib import Path

import lanes_world as world
from lanes_toy import Coins
from m0common.canonical import BundleHeader
from m0common.clock import Clock
from m0common.stream.broker import Broker
from m0common.stream.groups import StageGroup, build_id
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.stages import Heart
from m0replay.builds import Builds, known_builds, running_builds
from m0replay.catalog_desk import CatalogDesk
from m0replay.catalogs import Installed
from m0replay.lanes import STAGES
from m0replay.manifest_log import ManifestLog
from m0replay.rolled import Rolled
from m0replay.rollout import Rollout, Step
from recorded_world import Recorded
from stages_world import Live

OLD, NEW = world.HEART, Heart(world.DEPLOYMENT, {bytes([21]) * 32: Coins()}, bytes([3]) * 32)
OLD_RELEASE, NEW_RELEASE = world.COINS_RELEASE.hex(), (bytes([21]) * 32).hex()
FILE = """
[catalog]
domain = "coins"
model = "frequency"
epoch_ms = 20000
horizon_ms = 600000
groups = {groups}
[catalog.sources]
clock = {{ kinds = ["epoch_end"], key = true }}
registry = {{ kinds = ["market_open", "market_close"], key = true, dense = true }}
table = {{ kinds = ["toss", "broken", "guess"], dense = true }}
crowd = {{ kinds = ["toss"] }}
[catalog.params]
signer_set_id = 1
"""


def id_of(heart: Heart) -> str:
    return build_id(heart.build)


def groups_of(heart: Heart, *stages: str) -> set[str]:
    """The consumer groups of a build that runs in these stages, else in all."""
    return {str(StageGroup.of(stage, heart.build)) for stage in stages or STAGES.values()}


def write_files(folder: Path, log: world.World) -> None:
    """What an operator has of the catalog: its file, and the keys of its sources."""
    for name in ("config/markets", "config/risk", "keys"):
        (folder / name).mkdir(parents=True)
    for name, key in (("clock", world.CLOCK), ("registry", world.REGISTRY)):
        (folder / "keys" / f"{name}.json").write_text(json.dumps(list(bytes(key))))
    (folder / "config/markets/coins.toml").write_text(FILE.format(groups=json.dumps(log.groups)))


async def look(broker: Broker, clock: Clock, folder: Path, heart: Heart, manned: Iterable[str]) -> Rollout:
    """What whoever has this build installed finds, where `manned` are the groups that the cluster shows."""
    (own,) = heart.domains
    kinds = frozenset({"toss", "broken", "guess"})
    installed = Installed("coins", "tests", 1, own.hex(), frozenset({"frequency"}), kinds)
    states = ManifestLog(broker, world.DEPLOYMENT)
    await states.read()
    desk = CatalogDesk(broker, world.DEPLOYMENT, folder / "config", folder / "keys", {"coins": installed}, clock)
    await desk.log.read()
    known = known_builds(states.said, id_of(heart), [installed.release])
    return Rollout(desk, states, Builds(known, running_builds(manned)), id_of(heart))


async def say(rollout: Rollout, steps: Iterable[Step], log: world.World) -> None:
    """Write the sets of steps, as the command does."""
    for step in steps:
        written = await rollout.desk.put(step.plan.payload, world.CONTROL, [step.plan.payload.release])
        log.sets[written.generation] = (step.plan.payload, written.hash)


def happens(log: world.World, index: int, following: int | None = None) -> list[Record]:
    """An epoch happens, counted from the first; its marker may put a generation in force."""
    since, end = len(log.records), log.end
    log.end = lambda epoch_id: end(epoch_id, following)  # type: ignore[method-assign]
    try:
        world.go_on(log, [index])
    finally:
        del log.end
    return log.records[since:]


class Deployed:
    """Three epochs that the old build has closed. `run` starts builds for real; `manned` are the groups that a cluster
    would show.
    """

    def __init__(self, folder: Path, recorded: Recorded, log: world.World) -> None:
        self.folder, self.recorded, self.log = folder, recorded, log
        self.live: dict[str, Live] = {}
        self.manned: set[str] = set()
        self._epoch = 3
        write_files(folder, log)

    @classmethod
    async def of(cls, folder: Path) -> "Deployed":
        log = world.season(3)
        return cls(folder, await Recorded().of(log.records), log)

    def run(self, *hearts: Heart) -> None:
        for heart in hearts:
            self.live[id_of(heart)] = made = Live(self.recorded, self.log)
            made.start(heart)
            self.manned |= groups_of(heart)

    async def stop(self, heart: Heart) -> None:
        await self.live.pop(id_of(heart)).stop()
        self.manned -= groups_of(heart)

    async def kill(self) -> None:
        for made in self.live.values():
            await made.kill()

    async def look(self, heart: Heart) -> Rollout:
        return await look(self.recorded.broker, self.recorded.clock, self.folder, heart, self.manned)

    def rolled(self, rollout: Rollout, timeout_s: float = 1e6, final=None) -> Rolled:
        desk = rollout.desk
        return Rolled(desk.broker, desk.log, rollout.states, final or self._final, desk.clock, timeout_s)

    async def _final(self, catalog: str, epoch_id: int) -> tuple[bytes, bytes] | None:
        """Every closed epoch is final."""
        message = self.recorded.headers().get(epoch_id)
        if message is None or message.catalog != catalog:
            return None
        header = BundleHeader.decode(message.header)
        return header.merkle_root, header.bundle_hash

    async def write(self, rollout: Rollout, steps: Iterable[Step]) -> None:
        await say(rollout, steps, self.log)

    async def marker(self, following: int | None = None) -> None:
        """The next epoch happens and ends."""
        for partition in range(world.PARTITIONS):
            self.log._next[partition] = len(self.recorded.broker.topic(RAW.name).logs[partition].records)
        next(iter(self.live.values())).write(happens(self.log, self._epoch, following))
        self._epoch += 1
