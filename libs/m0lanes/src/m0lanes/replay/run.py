"""Re-run one epoch of one catalog from `m0.raw` and compare it with what was recorded and finalized."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from m0common.canonical import BundleHeader
from m0common.errors import M0Error
from m0common.messages import BundleMessage
from m0common.stream.broker import Broker
from m0common.stream.reader import read_to_end
from m0common.stream.records import Record
from m0common.topics import RAW

from m0lanes.chain import Chain, Cut
from m0lanes.release import release
from m0lanes.replay.mutate import mutate
from m0lanes.replay.trail import Trail, first_difference, recorded
from m0lanes.states import is_complete, published_bundles, published_cuts, why_untrusted

FinalizedRoot = Callable[[str, int], Awaitable[tuple[bytes, bytes] | None]]
"""`(catalog, epoch_id)` to `(merkle_root, bundle_hash)` finalized on chain; None when that epoch is not final."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What replay found. `difference` is None on a match."""

    match: bool
    catalog: str
    epoch_id: int
    merkle_root: bytes
    bundle_hash: bytes
    started_from: str
    events: int
    leaves: int
    difference: str | None = None


class Replay:
    """One replay of one epoch. Raises M0Error naming what is missing when it cannot be done at all."""

    def __init__(self, broker: Broker, finalized_root: FinalizedRoot, catalog: str, epoch_id: int) -> None:
        self._broker = broker
        self._finalized_root = finalized_root
        self._catalog = catalog
        self._epoch_id = epoch_id

    async def run(self, *, full: bool = False, mutation: str | None = None, index: int = 0) -> Verdict:
        """From the checkpoint before the epoch; from the beginning when `full` or when that is compacted away."""
        final = await self._finalized_root(self._catalog, self._epoch_id)
        if final is None:
            raise M0Error(
                f"epoch {self._epoch_id} of {self._catalog} is not finalized on chain: "
                f"see /v1/epochs?catalog={self._catalog}&status=finalized for those that are",
            )
        live = await published_bundles(self._broker, self._catalog)
        bundle = live.get(self._epoch_id)
        cut = None if full else await self._cut(live)
        records = await self._raw(cut)
        trail, again = self._rerun(records, cut)
        if mutation is not None:
            records = mutate(records, mutation, trail.events_of_epoch(), index)
            trail, again = self._rerun(records, cut)
        started = f"the checkpoint of epoch {cut.epoch_id}" if cut is not None else "the beginning of the log"
        if again is None:
            lost = await self._where(trail) or "replay closes no such epoch"
            return Verdict(False, self._catalog, self._epoch_id, bytes(32), bytes(32), started, len(records), 0, lost)
        header = BundleHeader.decode(again.header)
        match = (header.merkle_root, header.bundle_hash) == final
        why = None if match else (await self._where(trail) or self._leaf(bundle, again) or self._header(bundle, header))
        return Verdict(
            match,
            self._catalog,
            self._epoch_id,
            header.merkle_root,
            header.bundle_hash,
            started,
            len(records),
            len(again.leaves),
            why,
        )

    async def _cut(self, live: dict[int, BundleMessage]) -> Cut | None:
        """The newest complete checkpoints before the epoch, once they are what their header commits to."""
        cuts = await published_cuts(self._broker, self._catalog, lambda epoch: 0 <= epoch < self._epoch_id)
        lanes = await self._broker.partitions(RAW.name)
        for epoch_id in sorted(cuts, reverse=True):
            bundle = live.get(epoch_id)
            if bundle is not None and is_complete(cuts[epoch_id], lanes):
                if (why := why_untrusted(cuts[epoch_id], BundleHeader.decode(bundle.header))) is not None:
                    raise M0Error(f"{why}: replay with FULL=1")
                return cuts[epoch_id]
        return None

    async def _raw(self, cut: Cut | None) -> list[Record]:
        starts = cut.start() if cut is not None else None
        return [r async for batch in read_to_end(self._broker, RAW.name, starts=starts) for r in batch]

    def _rerun(self, records: Iterable[Record], cut: Cut | None) -> tuple[Trail, BundleMessage | None]:
        trail = Trail(self._catalog, self._epoch_id)
        chain = Chain(frozenset([self._catalog]), trail.observe)
        if cut is not None:
            chain.restore(cut)
        for record in records:
            for bundle in chain.feed(record):
                if bundle.epoch_id == self._epoch_id:
                    return trail, bundle
        return trail, None

    async def _where(self, trail: Trail) -> str | None:
        return first_difference(await recorded(self._broker, self._catalog, self._epoch_id), trail)

    @staticmethod
    def _leaf(live: BundleMessage | None, again: BundleMessage) -> str | None:
        if live is None:
            return None
        for index, (was, said) in enumerate(zip(live.leaves, again.leaves, strict=False)):
            if was != said:
                return f"leaf {index} ({again.market_ids[index]}): recorded {was.hex()}, replay says {said.hex()}"
        if len(live.leaves) != len(again.leaves):
            return f"{len(live.leaves)} leaves are recorded, replay has {len(again.leaves)}"
        return None

    @staticmethod
    def _header(live: BundleMessage | None, again: BundleHeader) -> str:
        if live is None:
            return "no bundle of this epoch is recorded in m0.bundles"
        was = BundleHeader.decode(live.header)
        for name in BundleHeader.__dataclass_fields__:
            if getattr(was, name) != getattr(again, name):
                hint = ""
                if name == "model_manifest_hash":
                    hint = f" (this code is release {release().hex()}: check out the release that made the epoch)"
                return (
                    f"header field {name}: recorded {getattr(was, name)!r}, replay says {getattr(again, name)!r}{hint}"
                )
        return "the bundle recorded in m0.bundles is not the one finalized on chain"


async def replay_epoch(
    broker: Broker,
    finalized_root: FinalizedRoot,
    catalog: str,
    epoch_id: int,
    *,
    full: bool = False,
    mutation: str | None = None,
    index: int = 0,
) -> Verdict:
    """Replay one epoch; see Replay.run."""
    return await Replay(broker, finalized_root, catalog, epoch_id).run(full=full, mutation=mutation, index=index)
