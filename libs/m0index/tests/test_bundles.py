"""What a piece, a header and a bundle have to be."""

import contextlib
import hashlib
import random

import msgspec
import pytest
from index_scene import Scene, digest
from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, leaf_hash
from m0common.errors import DeadLetterError
from m0common.messages import BundlePiece, encode
from m0index import bundles

SPLIT = [500_000_000, 300_000_000, 200_000_000]
SAID = Scene().bundle(7, {name: SPLIT if name != "C" else [] for name in "ABCDE"})
PIECES = [msgspec.msgpack.decode(value, type=BundlePiece) for value in SAID.pieces]


def changed(message, **fields):
    return encode(msgspec.structs.replace(message, **fields))


def header(**fields):
    """The header's message with a changed header in it."""
    values = {name: getattr(BundleHeader.decode(SAID.header), name) for name in BundleHeader.__dataclass_fields__}
    return msgspec.structs.replace(SAID.message, header=BundleHeader(**values | fields).encode())


def test_a_bundle_is_put_together_from_its_pieces_in_the_headers_order():
    read = bundles.read_header(encode(SAID.message))
    pieces = [bundles.read_piece(value) for value in SAID.pieces]
    assert [piece.name for piece in pieces] == list(SAID.message.pieces)
    made = bundles.assemble(read, [piece.message for piece in pieces])
    assert (made.leaves, made.market_ids) == (SAID.leaves, SAID.market_ids)
    assert MerkleTree(made.leaf_hashes).root == read.header.merkle_root


def test_an_epoch_without_leaves_has_a_header_and_no_pieces():
    said = Scene().bundle(7, {})
    assert bundles.read_header(encode(said.message)).empty
    assert not bundles.read_header(encode(SAID.message)).empty


FIRST = PIECES[0]
BAD_PIECES = {
    "empty": b"",
    "no message": b"\xc1",
    "broken text": b"\x94\xa3\xed\xa0\x80\x90\x90\x90",
    "deep": b"\x91" * 50_000,
    "catalog": changed(FIRST, catalog="Sports"),
    "catalog with a NUL": changed(FIRST, catalog="sports\0"),
    "no leaves": changed(FIRST, leaves=(), market_ids=(), models=()),
    "more leaves than markets": changed(FIRST, market_ids=FIRST.market_ids[:1]),
    "more leaves than models": changed(FIRST, models=FIRST.models[:1]),
    "a leaf that is none": changed(FIRST, leaves=(b"leaf", FIRST.leaves[1])),
    "a leaf with a byte too many": changed(FIRST, leaves=(FIRST.leaves[0] + b"\0", FIRST.leaves[1])),
    "a leaf of another market": changed(FIRST, market_ids=FIRST.market_ids[::-1]),
    "a market id with a NUL": changed(FIRST, market_ids=("A\0", FIRST.market_ids[1])),
    "a model with a NUL": changed(FIRST, models=("elo\0", "elo")),
    "a model that is long": changed(FIRST, models=("e" * 65, "elo")),
    "too large": changed(FIRST, leaves=FIRST.leaves * 2000, market_ids=FIRST.market_ids * 2000, models=("m",) * 4000),
}


@pytest.mark.parametrize("why", BAD_PIECES)
def test_a_piece_that_can_be_part_of_nothing_is_refused(why):
    with pytest.raises(DeadLetterError, match="invalid_piece"):
        bundles.read_piece(BAD_PIECES[why])


LANE = SAID.message.lanes[0]


def lane(**fields):
    """The header's message with a changed lane beside the header."""
    return changed(SAID.message, lanes=(msgspec.structs.replace(LANE, **fields),))


BAD_HEADERS = {
    "empty": b"",
    "no message": b"\xc1",
    "a header that is none": changed(SAID.message, header=SAID.header[:-1]),
    "another epoch": changed(SAID.message, epoch_id=8),
    "another catalog": changed(SAID.message, catalog="crypto"),
    "an epoch no column holds": changed(header(epoch_id=1 << 63), epoch_id=1 << 63),
    "no pieces": changed(SAID.message, pieces=()),
    "more pieces than leaves": changed(SAID.message, pieces=(bytes(32),) * 6),
    "pieces without leaves": encode(header(leaf_count=0)),
    "a name of another length": changed(SAID.message, pieces=(b"x" * 31,)),
    "a lane's digest of another length": lane(input_digest=b"x"),
    "a stage's digest of another length": lane(stage_digests=(b"x",) * 3),
    "a digest from before of another length": lane(digests_before=(b"x",)),
    "a stage too few": lane(stage_digests=LANE.stage_digests[:2]),
    "a partition below zero": lane(partition=-1),
    "a partition that no hash takes": lane(partition=1 << 32),
    "a lane twice": changed(SAID.message, lanes=(LANE, LANE)),
    "no lane": changed(SAID.message, lanes=()),
    "other inputs": lane(input_digest=digest("bent")),
    "another state": lane(stage_digests=(*LANE.stage_digests[:2], digest("bent"))),
    "stages exchanged": lane(stage_digests=LANE.stage_digests[::-1]),
    "another partition": lane(partition=1),
    "another release": lane(release=digest("bent")),
    "another model": lane(model_key=digest("bent")),
}


@pytest.mark.parametrize("why", BAD_HEADERS)
def test_a_header_that_nothing_can_fit_is_refused(why):
    with pytest.raises(DeadLetterError, match="invalid_header"):
        bundles.read_header(BAD_HEADERS[why])


def rooted(pieces):
    """A header over the leaves of `pieces`, whatever they are."""
    leaves = [leaf for piece in pieces for leaf in piece.leaves]
    root = MerkleTree([leaf_hash(leaf) for leaf in leaves]).root
    made = header(leaf_count=len(leaves), merkle_root=root)
    return bundles.read_header(changed(made, pieces=made.pieces[: len(pieces)]))


def shuffled(*, swap):
    """The five leaves in one piece, two of them exchanged or one doubled."""
    order = list(range(5))
    order[1], order[2] = (2, 1) if swap else (2, 2)
    ids, leaves = SAID.market_ids, SAID.leaves
    return BundlePiece("sports", tuple(leaves[i] for i in order), tuple(ids[i] for i in order), ("m",) * 5)


def of_epoch(epoch_id):
    leaf = PredictionLeaf.decode(SAID.leaves[0])
    moved = PredictionLeaf(
        leaf.market_key, epoch_id, leaf.window_end_ms, 1, leaf.outcomes, 0, 0, leaf.model_key, leaf.features_hash
    )
    return msgspec.structs.replace(FIRST, leaves=(moved.encode(), FIRST.leaves[1]))


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (PIECES[:-1], "5 in the header, 4 leaves"),
        (PIECES[::-1], "its leaves have root"),
        ([*PIECES[:-1], msgspec.structs.replace(PIECES[-1], catalog="crypto")], "holds a piece of crypto"),
    ],
)
def test_pieces_that_are_not_what_the_header_commits_to_are_refused(pieces, said):
    with pytest.raises(DeadLetterError, match=said):
        bundles.assemble(bundles.read_header(encode(SAID.message)), pieces)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([shuffled(swap=True)], "ascending key order"),
        ([shuffled(swap=False)], "ascending key order"),
        ([of_epoch(8)], "a leaf of another epoch"),
    ],
)
def test_leaves_that_no_tree_may_hold_are_refused_though_the_root_is_right(pieces, said):
    with pytest.raises(DeadLetterError, match=said):
        bundles.assemble(rooted(pieces), pieces)


def test_any_bytes_are_a_message_or_one_dead_letter():
    rng = random.Random(7)
    for value, read in ((SAID.pieces[0], bundles.read_piece), (encode(SAID.message), bundles.read_header)):
        for _ in range(3000):
            broken = bytearray(value)
            for _ in range(rng.randint(1, 4)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            cut = rng.randrange(len(broken)) if rng.random() < 0.2 else len(broken)
            with contextlib.suppress(DeadLetterError):
                read(bytes(broken[:cut]))


def test_a_piece_is_named_by_the_bytes_it_came_in():
    assert bundles.read_piece(SAID.pieces[0]).name == hashlib.sha256(SAID.pieces[0]).digest() != digest("another")
