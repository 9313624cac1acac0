"""States that the stages published: bundles and checkpoints as the topics still have them, and whether to trust one."""

from collections.abc import Callable

import msgspec
from m0common.canonical import BundleHeader, state_digest, state_root
from m0common.errors import InvalidValue
from m0common.messages import BundleMessage
from m0common.stream.broker import Broker
from m0common.stream.checkpoints import decode_checkpoint
from m0common.stream.reader import read_to_end
from m0common.topics import BUNDLES, CHECKPOINTS

from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.chain import Cut

_decode_bundle = msgspec.msgpack.Decoder(BundleMessage).decode


async def published_bundles(broker: Broker, catalog: str) -> dict[int, BundleMessage]:
    """The bundles of a catalog by epoch. What is no bundle is passed over. Raises Unavailable."""
    found: dict[int, BundleMessage] = {}
    async for records in read_to_end(broker, BUNDLES.name):
        for record in records:
            if record.key != catalog.encode():
                continue
            try:
                bundle = _decode_bundle(record.value)
                BundleHeader.decode(bundle.header)
            except (msgspec.MsgspecError, InvalidValue):
                continue
            found[bundle.epoch_id] = bundle
    return found


async def published_cuts(broker: Broker, catalog: str, wanted: Callable[[int], bool]) -> dict[int, Cut]:
    """The newest checkpoints of every stage and lane of a catalog, for the epochs wanted. Raises Unavailable."""
    cuts: dict[int, Cut] = {}
    suffix = f":{catalog}".encode()
    async for records in read_to_end(broker, CHECKPOINTS.name):
        for record in records:
            if record.key is None or not record.key.endswith(suffix) or not record.value:
                continue
            checkpoint = decode_checkpoint(record.value)
            if wanted(checkpoint.epoch_id):
                cuts.setdefault(checkpoint.epoch_id, Cut(catalog, checkpoint.epoch_id)).put(checkpoint)
    return cuts


def is_complete(cut: Cut, lanes: int) -> bool:
    """Whether a cut has the checkpoints of all stages: one per lane, and the bundle stage's."""
    found = {(c.stage, c.partition) for c in cut.checkpoints}
    every = {(stage, lane) for stage in range(1, BUNDLE_STAGE) for lane in range(lanes)}
    return every <= found and any(stage == BUNDLE_STAGE for stage, _ in found)


def why_untrusted(cut: Cut, header: BundleHeader) -> str | None:
    """What is wrong with a cut: a state that is not what its digest says, or digests its header does not commit to."""
    digests = {}
    for checkpoint in cut.checkpoints:
        if state_digest(checkpoint.entities) != checkpoint.digest:
            return (
                f"the checkpoint of {checkpoint.catalog}/{checkpoint.partition}, stage {checkpoint.stage}, epoch "
                f"{checkpoint.epoch_id} does not have the digest it claims"
            )
        if checkpoint.stage < BUNDLE_STAGE:
            digests[checkpoint.partition, checkpoint.stage] = checkpoint.digest
    if state_root(digests) != header.state_root:
        return f"the checkpoints of {cut.catalog}, epoch {cut.epoch_id} are not those its header commits to"
    return None
