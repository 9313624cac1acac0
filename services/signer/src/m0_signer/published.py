"""A state to start from when the log's beginning is gone: published by the stages, committed to by a finalized header.

Only needed by a signer without a state of its own, or one that was away for longer than the topics' retention.
"""

from collections.abc import Iterable

import msgspec
from m0common.canonical import BundleHeader, state_digest, state_root
from m0common.errors import InvalidValue
from m0common.messages import BundleMessage, Checkpoint
from m0common.stream.broker import Broker
from m0common.stream.reader import read_to_end
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, CHECKPOINTS
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.chain import Cut, cut_of

from m0_signer.chain import ChainPort

_log = logger(__name__)
_decode_checkpoint = msgspec.msgpack.Decoder(Checkpoint).decode
_decode_bundle = msgspec.msgpack.Decoder(BundleMessage).decode


async def published_cut(broker: Broker, chain: ChainPort, catalog: str) -> Cut | None:
    """The newest complete state of a catalog that is what the header of a finalized epoch says; None without one.

    Raises Unavailable or ChainError.
    """
    headers = await _finalized_headers(broker, chain, catalog)
    if not headers:
        return None
    checkpoints = await _checkpoints(broker, catalog, set(headers))
    for epoch_id in sorted(headers, reverse=True):
        cut = cut_of(catalog, epoch_id, checkpoints)
        if is_committed(cut.checkpoints, headers[epoch_id]):
            _log.info("state_adopted", catalog=catalog, epoch_id=epoch_id)
            return cut
    return None


def is_committed(checkpoints: Iterable[Checkpoint], header: BundleHeader) -> bool:
    """Whether these are all the states behind `header`: each what its digest says, and together its state root."""
    found = list(checkpoints)
    if not any(c.stage == BUNDLE_STAGE for c in found):
        return False
    if any(state_digest(c.entities) != c.digest for c in found):
        return False
    digests = {(c.partition, c.stage): c.digest for c in found if c.stage < BUNDLE_STAGE}
    return bool(digests) and state_root(digests) == header.state_root


async def _finalized_headers(broker: Broker, chain: ChainPort, catalog: str) -> dict[int, BundleHeader]:
    view = await chain.view(catalog, 0)
    if view is None:
        return {}
    headers = {}
    async for records in read_to_end(broker, BUNDLES.name):
        for record in records:
            if record.key != catalog.encode():
                continue
            try:
                header = BundleHeader.decode(_decode_bundle(record.value).header)
            except (msgspec.MsgspecError, InvalidValue):
                continue
            final = view.catalog.finalized(header.epoch_id)
            if final is not None and final.bundle_hash == header.bundle_hash:
                headers[header.epoch_id] = header
    return headers


async def _checkpoints(broker: Broker, catalog: str, epochs: set[int]) -> list[Checkpoint]:
    """The newest checkpoint of every stage and lane for each of these epochs."""
    newest: dict[tuple[int, int, int], Checkpoint] = {}
    suffix = f":{catalog}".encode()
    async for records in read_to_end(broker, CHECKPOINTS.name):
        for record in records:
            if record.key is None or not record.key.endswith(suffix) or not record.value:
                continue
            checkpoint = _decode_checkpoint(record.value)
            if checkpoint.epoch_id in epochs:
                newest[checkpoint.epoch_id, checkpoint.stage, checkpoint.partition] = checkpoint
    return list(newest.values())
