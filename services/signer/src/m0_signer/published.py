"""A state to start from when the log's beginning is gone: published by the stages, committed to by a final header.

Only needed by a signer without a state of its own, or one that was away for longer than the topics' retention.
"""

from contextlib import aclosing
from typing import NamedTuple

from m0common.canonical import BundleHeader
from m0common.ids import Lane
from m0common.messages import HeaderMessage
from m0common.stream.broker import Broker
from m0common.stream.restored import Restored
from m0common.telemetry.logs import logger
from m0lanes.stages import Heart
from m0replay.bundle_behind import Unreadable, bundle_state, turn_behind
from m0replay.headers import headers
from m0replay.states import Untrusted, ended_before, published

from m0_signer.chain import ChainPort

_log = logger(__name__)


class PublishedStates(NamedTuple):
    """What there is of a catalog: whether any epoch of it is final, and the states behind the newest that serves."""

    has_finals: bool
    states: list[Restored]


async def published_states(broker: Broker, chain: ChainPort, heart: Heart, catalog: str) -> PublishedStates:
    """The newest states of all stages that a final header commits to. Raises Unavailable or ChainError."""
    view = await chain.view(catalog, 0)
    if view is None or not view.catalog.finalized_count:
        return PublishedStates(False, [])
    oldest = min(entry.epoch_id for entry in view.catalog.ring[: view.catalog.finalized_count])
    final: dict[int, HeaderMessage] = {}
    async with aclosing(headers(broker, catalog, oldest, view.catalog.last_finalized_epoch)) as found:
        async for header in found:
            entry = view.catalog.finalized(header.epoch_id)
            if entry is not None and entry.bundle_hash == BundleHeader.decode(header.header).bundle_hash:
                final[header.epoch_id] = header
    for epoch_id in sorted(final, reverse=True):
        try:
            states = await _behind(broker, heart, final[epoch_id])
        except (Untrusted, Unreadable) as error:
            _log.warning("published_state_refused", catalog=catalog, reason=str(error))
            continue
        if states:
            _log.info("state_adopted", catalog=catalog, epoch_id=epoch_id)
            return PublishedStates(True, states)
    return PublishedStates(True, [])


async def _behind(broker: Broker, heart: Heart, header: HeaderMessage) -> list[Restored]:
    found = await published(broker, header)
    if found is None:
        return []
    states = list(found.states)
    named = {lane.partition for lane in header.lanes}
    for partition in sorted(set(range(heart.deployment.partitions)) - named):
        states += await ended_before(broker, Lane(header.catalog, partition), header.epoch_id)
    return [*states, bundle_state(heart, header, states, turn_behind(header, states))]
