"""The manifests of a deployment's lanes, read once and followed from there."""

from m0common.deployment import Deployment
from m0common.messages import Manifest
from m0common.stream.broker import AT_BEGINNING, Broker
from m0common.stream.states import manifests_since
from m0common.topics import MANIFESTS
from m0lanes.births import no_life

from m0replay.lanes import newest


class ManifestLog:
    """`said` are those of lives that a signed rebase begins, in the order read."""

    def __init__(self, broker: Broker, deployment: Deployment) -> None:
        self._broker, self._deployment = broker, deployment
        self._next: dict[int, int] = {}
        self.said: list[Manifest] = []

    async def read(self) -> None:
        """Read on to the present end. Raises Unavailable."""
        if not self._next:
            self._next = dict.fromkeys(range(await self._broker.partitions(MANIFESTS.name)), AT_BEGINNING)
        found = await manifests_since(self._broker, None, self._next)
        self.said += [manifest for manifest in found if no_life(manifest, self._deployment) is None]

    def newest(self) -> dict[tuple[str, int, int], Manifest]:
        """By catalog, partition and stage, as `m0replay.lanes.newest`."""
        return newest(self.said)
