"""Headers and pieces in any order, through any replica, with anything between them."""

import asyncio
import itertools

import msgspec
import pytest
from m0_indexer.consume import bundle_loop
from m0_indexer.sweep import HEADER_KEEP_MS, PIECE_KEEP_MS, Sweeper
from m0common.messages import DeadLetter, encode
from m0common.settings import Stage
from m0common.store.postgres import transaction
from m0common.topics import BUNDLES, DLQ, HEADERS
from m0index.tables import waiting

pytestmark = pytest.mark.postgres
SPLIT = [500_000_000, 300_000_000, 200_000_000]


async def stored(bench):
    return [row["epoch_id"] for row in await bench.rows("SELECT epoch_id FROM bundles ORDER BY epoch_id")]


async def leaves(bench):
    return [bytes(row["leaf"]) for row in await bench.rows("SELECT leaf FROM leaves ORDER BY epoch_id, leaf_index")]


async def run(bench, messages, settings=None):
    """Feed `(topic, value)` to the loop until it has committed them all."""
    before = sum(bench.broker.committed("m0-indexer").values())
    for topic, value in messages:
        await bench.produce(topic.name, b"sports", value)
    loop = bundle_loop(
        bench.bundles, bench.pool, bench.broker, settings or Stage(poll_timeout_ms=10, commit_interval_ms=0)
    )
    work = asyncio.create_task(loop.run())
    async with asyncio.timeout(60):
        while sum(bench.broker.committed("m0-indexer").values()) < before + len(messages):  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
    loop.stop()
    await work
    assert loop.ready() is None or "has stopped" not in loop.ready()


def letters(bench):
    return bench.sent(DLQ.name, DeadLetter)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_bundle_is_stored_whatever_comes_first(bench, order):
    said = bench.scene.bundle(7, dict.fromkeys("ABC", SPLIT))
    steps = [
        lambda: bench.add_piece(said.pieces[0]),
        lambda: bench.add_piece(said.pieces[1]),
        lambda: bench.add_header(encode(said.message)),
    ]
    for step in order:
        assert await stored(bench) == []
        await steps[step]()
        await steps[step]()  # everything comes twice
    assert await stored(bench) == [7]
    assert await leaves(bench) == list(said.leaves)
    assert await bench.rows("SELECT * FROM waiting_headers") == []
    assert bench.woken == 1
    for step in order:
        await steps[step]()
    assert (await stored(bench), bench.woken) == ([7], 1)


async def test_two_replicas_that_get_the_parts_at_once_do_not_miss_each_other(bench):
    for epoch_id in range(7, 17):
        said = bench.scene.bundle(epoch_id, {"A": SPLIT})
        await asyncio.gather(bench.add_header(encode(said.message)), bench.add_piece(said.pieces[0]))
    assert await stored(bench) == list(range(7, 17))


async def test_two_headers_may_name_the_same_piece(bench):
    said = bench.scene.bundle(7, {"A": SPLIT})
    again = bench.scene.bundle(7, {"A": SPLIT})  # another predecessor, the same leaves
    assert again.pieces == said.pieces
    await bench.store(said)
    await bench.add_header(encode(again.message))
    assert await stored(bench) == [7, 7]


async def test_an_epoch_without_leaves_is_no_bundle(bench):
    await bench.add_header(encode(bench.scene.bundle(7, {}).message))
    assert (await stored(bench), await bench.rows("SELECT * FROM waiting_headers")) == ([], [])


async def test_what_waits_survives_a_restart(bench):
    said = bench.scene.bundle(7, dict.fromkeys("ABC", SPLIT))
    await run(bench, [(BUNDLES, said.pieces[0]), (HEADERS, encode(said.message))])
    assert await stored(bench) == []
    await run(bench, [(BUNDLES, said.pieces[1])])
    assert await stored(bench) == [7]


async def test_a_header_that_its_lanes_do_not_come_to_is_a_letter_and_stores_nothing(bench):
    said = bench.scene.bundle(7, dict.fromkeys("ABC", SPLIT))
    bent = msgspec.structs.replace(said.message.lanes[0], input_digest=bytes(32))
    message = msgspec.structs.replace(said.message, lanes=(bent,))
    await run(bench, [*((BUNDLES, value) for value in said.pieces), (HEADERS, encode(message))])
    assert await stored(bench) == []
    assert await bench.rows("SELECT * FROM waiting_headers") == []
    assert [letter.error for letter in letters(bench)] == ["invalid_header"]
    await bench.add_header(encode(said.message))
    assert await stored(bench) == [7]


async def test_whatever_signers_write_beside_it_costs_a_letter_each_and_stops_nothing(bench):
    said = bench.scene.bundle(7, dict.fromkeys("ABC", SPLIT))
    foreign = bench.scene.bundle(9, {"Z": SPLIT}).pieces[0]
    piece = msgspec.msgpack.decode(said.pieces[0])
    nul = msgspec.msgpack.encode([*piece[:3], ["elo\0"] * len(piece[3])])
    junk = [b"\xc1", b"", nul, b"\x91\xa1\xff", b"\xc1" * 300_000] * 60
    messages = [(BUNDLES, value) for value in [*junk, foreign, *said.pieces, *said.pieces]]
    await run(bench, [*messages, (HEADERS, encode(said.message))])
    assert await stored(bench) == [7]
    found = letters(bench)
    assert len(found) == len(junk)
    assert {(letter.topic, letter.error) for letter in found} == {(BUNDLES.name, "invalid_piece")}
    assert max(len(letter.value) for letter in found) <= 4096
    assert max(letter.value_bytes for letter in found) == 300_000


async def test_a_header_whose_pieces_hold_something_else_is_one_letter(bench):
    said = bench.scene.bundle(7, {"A": SPLIT, "B": SPLIT})
    other = bench.scene.bundle(7, {"A": SPLIT, "C": SPLIT})
    wrong = msgspec.structs.replace(said.message, pieces=other.message.pieces)
    await run(bench, [(BUNDLES, other.pieces[0])])
    await run(bench, [(HEADERS, encode(wrong)), (HEADERS, b"\xc1")])
    assert sorted(letter.error for letter in letters(bench)) == ["invalid_bundle", "invalid_header"]
    assert await stored(bench) == []
    await bench.add_header(encode(said.message))
    await bench.add_piece(said.pieces[0])
    assert await stored(bench) == [7]


async def test_a_header_that_waited_for_pieces_that_do_not_fit_is_given_up_and_the_piece_kept(bench):
    said = bench.scene.bundle(7, {"A": SPLIT, "B": SPLIT})
    other = bench.scene.bundle(7, {"A": SPLIT, "C": SPLIT})
    await bench.add_header(encode(msgspec.structs.replace(said.message, pieces=other.message.pieces)))
    await bench.add_piece(other.pieces[0])
    assert await bench.rows("SELECT * FROM waiting_headers") == []
    await bench.add_header(encode(other.message))
    assert await stored(bench) == [7]


@pytest.mark.parametrize("forged_first", [True, False])
async def test_a_message_that_names_other_pieces_for_a_header_does_not_take_the_place_of_the_true_one(
    bench, forged_first
):
    said = bench.scene.bundle(7, {"A": SPLIT, "B": SPLIT})
    other = bench.scene.bundle(7, {"A": SPLIT, "C": SPLIT})
    forged = msgspec.structs.replace(said.message, pieces=other.message.pieces)
    for message in (forged, said.message) if forged_first else (said.message, forged):
        await bench.add_header(encode(message))
    await bench.add_piece(other.pieces[0])
    await bench.add_piece(said.pieces[0])
    assert await leaves(bench) == list(said.leaves)
    assert await bench.rows("SELECT * FROM waiting_headers") == []


async def test_two_messages_about_a_header_that_wait_for_the_same_piece_are_one_bundle(bench):
    said = bench.scene.bundle(7, {"A": SPLIT})
    for message in (said.message, msgspec.structs.replace(said.message, missed=(6,))):
        await bench.add_header(encode(message))
    await bench.add_piece(said.pieces[0])
    assert await stored(bench) == [7]
    assert await bench.rows("SELECT * FROM waiting_headers") == []


async def test_pieces_that_nobody_asks_for_go_after_a_while_and_those_a_header_waits_for_stay(bench):
    needed = bench.scene.bundle(7, dict.fromkeys("ABC", SPLIT))
    await bench.add_piece(needed.pieces[0])
    await bench.add_piece(bench.scene.bundle(8, {"Z": SPLIT}).pieces[0])
    await bench.add_header(encode(needed.message))
    sweeper = Sweeper(bench.pool, bench.clock)
    await sweeper.once()
    assert len(await bench.rows("SELECT 1 FROM pieces")) == 2
    bench.clock.advance(PIECE_KEEP_MS + 1)
    await sweeper.once()
    assert [bytes(row["name"]) for row in await bench.rows("SELECT name FROM pieces")] == [needed.message.pieces[0]]
    await bench.add_piece(needed.pieces[1])
    assert await stored(bench) == [7]


async def test_of_too_many_pieces_the_oldest_go(bench):
    said = [bench.scene.bundle(epoch_id, {"A": SPLIT}) for epoch_id in range(7, 12)]
    for each in said:
        await bench.add_piece(each.pieces[0])
        bench.clock.advance(1)
    await Sweeper(bench.pool, bench.clock, max_bytes=3 * len(said[0].pieces[0])).once()
    async with transaction(bench.pool) as connection:
        kept = [await waiting.pieces(connection, each.message.pieces) is not None for each in said]
    assert kept == [False, False, True, True, True]


async def test_a_header_whose_pieces_the_log_has_lost_is_given_up(bench):
    await bench.add_header(encode(bench.scene.bundle(7, {"A": SPLIT}).message))
    bench.clock.advance(HEADER_KEEP_MS + 1)
    await Sweeper(bench.pool, bench.clock).once()
    assert await bench.rows("SELECT * FROM waiting_headers") == []


async def test_what_retention_took_is_lost_loudly_and_the_rest_goes_on(bench):
    await run(bench, [(HEADERS, encode(bench.scene.bundle(7, {}).message))])
    for epoch_id in (8, 9):
        said = bench.scene.bundle(epoch_id, {"A": SPLIT})
        for topic, value in ((BUNDLES, said.pieces[0]), (HEADERS, encode(said.message))):
            await bench.produce(topic.name, b"sports", value)
    partition = next(where.partition for where in bench.broker.committed("m0-indexer") if where.topic == HEADERS.name)
    bench.broker.truncate(HEADERS.name, partition, 2)
    loop = bundle_loop(bench.bundles, bench.pool, bench.broker, Stage(poll_timeout_ms=10, commit_interval_ms=0))
    work = asyncio.create_task(loop.run())
    async with asyncio.timeout(60):
        while await stored(bench) != [9]:  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
    loop.stop()
    await work
