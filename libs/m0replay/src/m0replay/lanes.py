"""Every lane of every stage as its newest manifest shows it: who runs it, how far it is, why it is parked."""

from collections.abc import Iterable
from typing import NamedTuple

from m0common.deployment import Deployment
from m0common.messages import Manifest
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import bounds
from m0common.stream.states import manifests
from m0common.topics import FEATURES, MANIFESTS, NORMALIZED, PREDICTIONS, RAW
from m0lanes.births import no_life

INPUTS = {1: RAW.name, 2: NORMALIZED.name, 3: FEATURES.name, 4: PREDICTIONS.name}
STAGES = {1: "normalize", 2: "feature", 3: "model", 4: "bundle"}


class LaneRow(NamedTuple):
    """`lag` counts messages of the input behind the newest manifest, other catalogs' included; `parked` is the reason
    or None. `epoch_id` is that of the newest marker, -1 before the first.
    """

    catalog: str
    partition: int
    stage: str
    generation: int
    life: int
    epoch_id: int
    seq: int
    lag: int
    entities: int
    state_bytes: int
    release: str
    build: str
    parked: str | None


def newest(found: Iterable[Manifest]) -> dict[tuple[str, int, int], Manifest]:
    """By catalog, partition and stage the manifest of the newest life and position, the last written of several."""
    kept: dict[tuple[str, int, int], Manifest] = {}
    for manifest in found:
        place = (manifest.catalog, manifest.partition, manifest.stage)
        known = kept.get(place)
        if known is None or (manifest.life, manifest.position) >= (known.life, known.position):
            kept[place] = manifest
    return dict(sorted(kept.items()))


def _epochs(found: Iterable[Manifest]) -> dict[tuple[str, int, int], int]:
    epochs: dict[tuple[str, int, int], int] = {}
    for manifest in found:
        if manifest.epoch_id is not None:
            place = (manifest.catalog, manifest.partition, manifest.stage)
            epochs[place] = max(epochs.get(place, -1), manifest.epoch_id)
    return epochs


async def lane_rows(broker: Broker, deployment: Deployment) -> list[LaneRow]:
    """Every lane that is not retired, ascending by catalog, partition and stage, in its newest life that a signed
    rebase begins. Raises Unavailable.
    """
    said = await manifests(broker, range(await broker.partitions(MANIFESTS.name)))
    found = [manifest for manifest in said if no_life(manifest, deployment) is None]
    epochs = _epochs(found)
    lanes = {place: m for place, m in newest(found).items() if m.status != "retired"}
    where = sorted({TopicPartition(INPUTS[stage], partition) for _, partition, stage in lanes})
    ends = (await bounds(broker, where)).ends
    return [
        LaneRow(
            catalog,
            partition,
            STAGES[stage],
            m.generation,
            m.life,
            epochs.get((catalog, partition, stage), -1),
            m.out_seq,
            max(0, ends[TopicPartition(INPUTS[stage], partition)] - m.input_offset - 1),
            m.entities,
            m.bytes,
            m.release.hex(),
            m.build.hex(),
            m.reason if m.status == "parked" else None,
        )
        for (catalog, partition, stage), m in lanes.items()
    ]
