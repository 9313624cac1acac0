"""A state to start from when the log's beginning is gone: published by the stages, committed to by a finalized header.

Only needed by a signer without a state of its own, or one that was away for longer than the topics' retention.
"""

from m0common.canonical import BundleHeader
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from m0common.topics import RAW
from m0lanes.chain import Cut
from m0lanes.states import is_complete, published_bundles, published_cuts, why_untrusted

from m0_signer.chain import ChainPort

_log = logger(__name__)


async def published_cut(broker: Broker, chain: ChainPort, catalog: str) -> Cut | None:
    """The newest complete state of a catalog that is what the header of a finalized epoch says; None without one.

    Raises Unavailable or ChainError.
    """
    headers = await _finalized_headers(broker, chain, catalog)
    if not headers:
        return None
    lanes = await broker.partitions(RAW.name)
    cuts = await published_cuts(broker, catalog, headers.__contains__)
    for epoch_id in sorted(cuts, reverse=True):
        if is_complete(cuts[epoch_id], lanes) and why_untrusted(cuts[epoch_id], headers[epoch_id]) is None:
            _log.info("state_adopted", catalog=catalog, epoch_id=epoch_id)
            return cuts[epoch_id]
    return None


async def _finalized_headers(broker: Broker, chain: ChainPort, catalog: str) -> dict[int, BundleHeader]:
    view = await chain.view(catalog, 0)
    if view is None:
        return {}
    headers = {}
    for epoch_id, bundle in (await published_bundles(broker, catalog)).items():
        header = BundleHeader.decode(bundle.header)
        final = view.catalog.finalized(epoch_id)
        if final is not None and final.bundle_hash == header.bundle_hash:
            headers[epoch_id] = header
    return headers
