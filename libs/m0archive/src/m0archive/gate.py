"""What of the log may leave Kafka: what tells of an epoch only once that epoch is announced final, or too late to be.

Raw events, outcomes and cursors tell nothing that is secret. Bodies, headers and states do: before an epoch is final
they say what its signers have committed to. A state is told by its manifest, which the lane writes behind it. What was
written so long ago that its epoch can be no secret any more is let through whatever it says, so nothing that a lane
left unfinished holds an archive up for ever.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from m0common.canonical import BundleHeader, PredictionLeaf
from m0common.errors import InvalidValue
from m0common.messages import BundlePiece, HeaderMessage, Manifest, StateBatch
from m0common.messages.codec import UNDECODABLE
from m0common.stream.records import Record
from m0common.topics import BUNDLES, HEADERS, STATE

Finals = Mapping[str, Collection[int]]
"""By catalog the ends (UTC milliseconds) of the windows of epochs that are announced final."""

_STAGES = {topic.name: stage for stage, topic in STATE.items()}
_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_piece = msgspec.msgpack.Decoder(BundlePiece).decode
_manifest = msgspec.msgpack.Decoder(Manifest).decode
_batch = msgspec.msgpack.Decoder(StateBatch).decode

_Lane = tuple[int, str, int]
"""Stage, catalog and partition."""
_NOWHERE = (-1, -1)


@dataclass(slots=True)
class Gate:
    """`finals` as of now; whatever was written before `over_ms` is no secret any more."""

    finals: Finals
    over_ms: int
    _reached: dict[_Lane, tuple[int, int]] = field(default_factory=dict)
    """Life and position of the newest state of each lane that may be known."""

    def first_held(self, manifests: Sequence[Record]) -> Record | None:
        """Of manifests of one partition, in order, the first that may not be archived. One of a state between markers
        may be when a later one of its lane may, which tells more.

        The states of those before it may be archived from now on.
        """
        read = [(record, _manifest_of(record)) for record in manifests]
        final: dict[_Lane, tuple[int, int]] = {}
        for _, manifest in read:
            at_marker = manifest is not None and manifest.epoch_id is not None
            if manifest is not None and at_marker and self._is_final(manifest.catalog, manifest.window_end_ms):
                _raise(final, manifest)
        for record, manifest in read:
            if manifest is None:
                continue
            at_marker = manifest.epoch_id is not None
            if record.append_ms >= self.over_ms and not (
                self._is_final(manifest.catalog, manifest.window_end_ms)
                if at_marker
                else _place(manifest) <= final.get(_lane(manifest), _NOWHERE)
            ):
                return record
            _raise(self._reached, manifest)
        return None

    def lets(self, record: Record) -> bool:
        """Whether a record may be archived, those before it in its partition being archived too. Manifests are not
        asked for here, and before the states that they are of.
        """
        if record.append_ms < self.over_ms:
            return True
        try:
            if record.topic == HEADERS.name:
                return self._header(record)
            if record.topic == BUNDLES.name:
                return self._body(record)
            if record.topic in _STAGES:
                return self._state(record)
        except (*UNDECODABLE, InvalidValue):
            return True  # it tells nothing to anybody
        return True

    def _is_final(self, catalog: str, window_end_ms: int) -> bool:
        return window_end_ms in self.finals.get(catalog, ())

    def _header(self, record: Record) -> bool:
        header = BundleHeader.decode(_header(record.value).header)
        return header.leaf_count == 0 or self._is_final(header.catalog, header.window_end_ms)

    def _body(self, record: Record) -> bool:
        piece = _piece(record.value)
        return all(self._is_final(piece.catalog, PredictionLeaf.decode(leaf).window_end_ms) for leaf in piece.leaves)

    def _state(self, record: Record) -> bool:
        batch = _batch(record.value)
        reached = self._reached.get((_STAGES[record.topic], batch.catalog, batch.partition))
        return reached is not None and (batch.life, batch.position) <= reached


def _manifest_of(record: Record) -> Manifest | None:
    try:
        return _manifest(record.value)
    except UNDECODABLE:
        return None


def _lane(manifest: Manifest) -> _Lane:
    return manifest.stage, manifest.catalog, manifest.partition


def _place(manifest: Manifest) -> tuple[int, int]:
    return manifest.life, manifest.position


def _raise(places: dict[_Lane, tuple[int, int]], manifest: Manifest) -> None:
    lane, place = _lane(manifest), _place(manifest)
    places[lane] = max(place, places.get(lane, place))


def state_range(record: Record) -> tuple[str, int, int] | None:
    """State topic, partition and the offset up to which the state of a manifest needs it; None for what is none."""
    manifest = _manifest_of(record)
    topic = None if manifest is None else STATE.get(manifest.stage)
    return None if manifest is None or topic is None else (topic.name, manifest.partition, manifest.to_offset)


def epoch_of(record: Record) -> tuple[str, int] | None:
    """Catalog and epoch of a header, None for what is none."""
    if record.topic != HEADERS.name:
        return None
    try:
        message = _header(record.value)
    except UNDECODABLE:
        return None
    return message.catalog, message.epoch_id
