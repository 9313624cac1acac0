"""Re-run one epoch of one catalog from `m0.raw` and compare it with what was recorded and finalized."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import msgspec
from m0common.canonical import BundleHeader, state_digest, state_root
from m0common.errors import M0Error
from m0common.messages import BundleMessage, Checkpoint
from m0common.stream.broker import Broker
from m0common.stream.records import Record
from m0common.topics import BUNDLES, CHECKPOINTS, RAW

from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.chain import Chain, Cut
from m0lanes.release import release
from m0lanes.replay.mutate import mutate
from m0lanes.replay.topics import read
from m0lanes.replay.trail import Trail, first_difference, recorded

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
        live = await self._bundles()
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

    async def _bundles(self) -> dict[int, BundleMessage]:
        decode = msgspec.msgpack.Decoder(BundleMessage).decode
        found: dict[int, BundleMessage] = {}
        async for record in read(self._broker, BUNDLES.name):
            if record.key == self._catalog.encode():
                bundle = decode(record.value)
                found[bundle.epoch_id] = bundle
        return found

    async def _cut(self, live: dict[int, BundleMessage]) -> Cut | None:
        """The newest complete and verified checkpoints before the epoch."""
        decode = msgspec.msgpack.Decoder(Checkpoint).decode
        cuts: dict[int, dict[tuple[int, int], Checkpoint]] = {}
        suffix = f":{self._catalog}".encode()
        async for record in read(self._broker, CHECKPOINTS.name):
            if record.key is None or not record.key.endswith(suffix):
                continue
            checkpoint = decode(record.value)
            if 0 <= checkpoint.epoch_id < self._epoch_id:
                place = (checkpoint.stage, checkpoint.partition)
                cuts.setdefault(checkpoint.epoch_id, {})[place] = checkpoint
        lanes = await self._broker.partitions(RAW.name)
        for epoch_id in sorted(cuts, reverse=True):
            found = cuts[epoch_id]
            wanted = {(stage, lane) for stage in range(1, BUNDLE_STAGE) for lane in range(lanes)}
            if wanted <= found.keys() and any(stage == BUNDLE_STAGE for stage, _ in found):
                _verify(found.values(), live.get(epoch_id))
                return Cut(self._catalog, epoch_id, [found[place] for place in sorted(found)])
        return None

    async def _raw(self, cut: Cut | None) -> list[Record]:
        return [record async for record in read(self._broker, RAW.name, cut.start() if cut is not None else None)]

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


def _verify(checkpoints: Iterable[Checkpoint], live: BundleMessage | None) -> None:
    """The checkpoints are what their digests say, and the digests what the finalized chain of headers says."""
    digests = {}
    for checkpoint in checkpoints:
        if state_digest(checkpoint.entities) != checkpoint.digest:
            raise M0Error(
                f"checkpoint of {checkpoint.catalog}/{checkpoint.partition}, stage {checkpoint.stage}, epoch "
                f"{checkpoint.epoch_id} does not have the digest it claims: replay with FULL=1",
            )
        if checkpoint.stage < BUNDLE_STAGE:
            digests[checkpoint.partition, checkpoint.stage] = checkpoint.digest
    if live is not None and state_root(digests) != BundleHeader.decode(live.header).state_root:
        raise M0Error(
            f"the checkpoints of {live.catalog}, epoch {live.epoch_id} are not those its header commits to: "
            "replay with FULL=1",
        )


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
