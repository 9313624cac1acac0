"""The body of an epoch in pieces that fit into messages: its leaves in order, with what names them."""

from collections.abc import Iterator

from m0common.messages import BundlePiece, encode
from m0common.messages.bundles import PIECE_MAX_BYTES

from m0lanes.bodies import Prediction

_PIECE_OVERHEAD = 256
_LEAF_OVERHEAD = 160


def pieces_of(catalog: str, leaves: list[bytes], said: list[Prediction]) -> Iterator[bytes]:
    """Encoded pieces of at most PIECE_MAX_BYTES; `said` is what each leaf was made of."""
    start, size = 0, _PIECE_OVERHEAD
    for index, leaf in enumerate(leaves):
        weight = len(leaf) + _LEAF_OVERHEAD
        if size + weight > PIECE_MAX_BYTES:
            yield _piece(catalog, leaves[start:index], said[start:index])
            start, size = index, _PIECE_OVERHEAD
        size += weight
    if leaves[start:]:
        yield _piece(catalog, leaves[start:], said[start:])


def _piece(catalog: str, leaves: list[bytes], said: list[Prediction]) -> bytes:
    markets, models = tuple(p.market_id for p in said), tuple(p.model for p in said)
    return encode(BundlePiece(catalog, tuple(leaves), markets, models))
