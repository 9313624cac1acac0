"""Stage 4: final predictions of an epoch, from all lanes of a catalog, to one Merkle bundle.

It reads the catalog's partition of `m0.predictions`, in which the lanes' messages are interleaved. An epoch closes when
every lane has passed its marker; what other lanes have already said of later epochs waits. An epoch that some lane
skipped can never close and is dropped when a later one does.
"""

from collections.abc import Iterable

import msgspec
from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, input_root, leaf_hash, state_root
from m0common.ids import market_key
from m0common.messages import Body, BundleMessage, Checkpoint, Marker, Prediction
from m0common.stream.core import LaneDecoder
from m0common.stream.entities import Entities
from m0common.stream.lanes import Lanes
from m0common.stream.records import Output, Produce, Record, Save
from m0common.topics import BUNDLES, PREDICTIONS

from m0lanes.codec import pack, unpack

STAGE = 4


class LaneEpoch(msgspec.Struct, array_like=True):
    """What one lane said of one epoch; `marker` is None until it has passed."""

    predictions: list[Prediction]
    marker: Marker | None


class BundleState:
    """One catalog: the hash of the bundle before and what lanes have said of epochs not closed yet."""

    def __init__(self, catalog: str) -> None:
        self.entities = Entities()
        self.catalog = catalog
        self.prev_bundle_hash = bytes(32)
        self.last_epoch = -1
        self.bundles = 0
        self._open: dict[int, LaneEpoch] = {}
        self._passed: dict[int, dict[int, LaneEpoch]] = {}

    def take(self, partition: int, body: Body) -> tuple[int, BundleMessage | None] | None:
        """One message of one lane. Returns `(epoch_id, bundle or None)` when it closes an epoch."""
        match body:
            case Prediction():
                if body.final:
                    self._open.setdefault(partition, LaneEpoch([], None)).predictions.append(body)
                return None
            case Marker():
                said = self._open.pop(partition, LaneEpoch([], None))
                said.marker = body
                if body.epoch_id <= self.last_epoch:
                    return None
                lanes = self._passed.setdefault(body.epoch_id, {})
                lanes[partition] = said
                return self._close(body.epoch_id, lanes) if len(lanes) == body.lanes else None
            case _:
                raise AssertionError(f"{type(body).__name__} does not come before this stage")

    def _close(self, epoch_id: int, lanes: dict[int, LaneEpoch]) -> tuple[int, BundleMessage | None]:
        self.last_epoch = epoch_id
        self._passed = {epoch: said for epoch, said in self._passed.items() if epoch > epoch_id}
        predictions = [p for partition in sorted(lanes) for p in lanes[partition].predictions]
        if not predictions:
            return epoch_id, None
        predictions.sort(key=lambda p: market_key(p.market_id))
        leaves = [leaf_of(p).encode() for p in predictions]
        markers = {partition: said.marker for partition, said in sorted(lanes.items()) if said.marker is not None}
        first = markers[min(markers)]
        inputs = {partition: marker.input_digest for partition, marker in markers.items()}
        states = {(p, stage): digest for p, marker in markers.items() for stage, digest in marker.state_digests}
        header = BundleHeader(
            self.catalog,
            epoch_id,
            first.window_start_ms,
            first.window_end_ms,
            first.signer_set_id,
            len(leaves),
            MerkleTree([leaf_hash(leaf) for leaf in leaves]).root,
            self.prev_bundle_hash,
            first.model_manifest_hash,
            first.config_hash,
            input_root(inputs),
            state_root(states),
        )
        self.prev_bundle_hash = header.bundle_hash
        self.bundles += 1
        return epoch_id, BundleMessage(
            self.catalog,
            epoch_id,
            self.bundles,
            header.encode(),
            tuple(leaves),
            tuple(p.market_id for p in predictions),
            tuple(p.model for p in predictions),
            tuple(sorted(inputs.items())),
            tuple((partition, stage, states[partition, stage]) for partition, stage in sorted(states)),
        )

    def forget_later_epochs(self) -> None:
        """Drop what lanes have said since the last epoch that closed."""
        self._open.clear()
        self._passed.clear()

    def settle(self) -> None:
        """See State."""
        self.entities.put("catalog", pack((self.prev_bundle_hash, self.last_epoch, self.bundles)))
        self.entities.put("open", pack(sorted(self._open.items())))
        self.entities.put("passed", pack([(e, sorted(lanes.items())) for e, lanes in sorted(self._passed.items())]))

    def resume(self) -> None:
        """See State."""
        state = unpack(self.entities.get("catalog"), tuple[bytes, int, int])
        self.prev_bundle_hash, self.last_epoch, self.bundles = state
        self._open = dict(unpack(self.entities.get("open"), list[tuple[int, LaneEpoch]]))
        passed = unpack(self.entities.get("passed"), list[tuple[int, list[tuple[int, LaneEpoch]]]])
        self._passed = {epoch: dict(lanes) for epoch, lanes in passed}


def leaf_of(prediction: Prediction) -> PredictionLeaf:
    """The leaf of a final prediction."""
    return PredictionLeaf(
        market_key(prediction.market_id),
        prediction.epoch_id,
        prediction.window_end_ms,
        prediction.schema_version,
        prediction.outcomes,
        prediction.risk_bps,
        prediction.quality_flags,
        prediction.model_key,
        prediction.features_hash,
    )


class BundleCore:
    """Looks after one BundleState per catalog; a slot's lane is the catalog in its predictions partition."""

    name = "bundle"
    stage = STAGE
    input_topic = PREDICTIONS.name

    def __init__(self, release: bytes) -> None:
        self._decode = LaneDecoder()
        self._encode = msgspec.msgpack.Encoder().encode
        self._lanes: Lanes[BundleState] = Lanes(STAGE, release, lambda lane: BundleState(lane.catalog), BUNDLES.name)

    def feed(self, record: Record) -> list[Output]:
        """See StageCore."""
        message = self._decode(record.value)
        slot, outputs = self._lanes.at(message.catalog, record.partition, record.offset)
        if not slot.take(self.name, record, message):
            return outputs
        closed = slot.state.take(message.partition, message.body)
        if closed is None:
            return outputs
        epoch_id, bundle = closed
        if bundle is not None:
            outputs.append(Produce(*slot.place, self._encode(bundle), record.headers))
            slot.out_seq = bundle.seq
        slot.state.settle()
        outputs.append(self._lanes.save(slot, epoch_id, slot.state.entities.digest()))
        return outputs

    def resume(self, partition: int, checkpoints: Iterable[Checkpoint]) -> int | None:
        """See StageCore."""
        return self._lanes.resume(partition, checkpoints)

    def release(self, partition: int) -> None:
        """See StageCore."""
        self._lanes.release(partition)

    def planned_stop(self, partition: int) -> list[Save]:
        """See StageCore."""
        return self._lanes.planned_stop(partition)
