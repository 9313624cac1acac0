"""Whatever of an archive is changed, missing or put elsewhere is found and named."""

import lanes_world as lanes
import msgspec
import pytest
from archive_world import Archived
from m0archive import objects, pieces
from m0archive.entries import IDENTITY
from m0archive.errors import Damaged, NoArchive
from m0archive.incarnation import newest
from m0archive.verify import verify


@pytest.fixture
async def world(tmp_path):
    store = objects.opened(objects.Archive(url=f"file://{tmp_path}/archive"))
    made = await Archived(store).of(lanes.season(2).records)
    made.everything_is_old()
    for _ in range(3):
        await made.fill()
        await made.say(3)
    assert (await verify(store)).faults == ()
    made.folder = tmp_path / "archive"
    return made


def files(world):
    return sorted(path for path in world.folder.rglob("*") if path.is_file())


def named(world, path):
    return path.relative_to(world.folder).as_posix()


async def found(world):
    try:
        return (await verify(world.store)).faults
    except (Damaged, NoArchive) as error:
        return (str(error),)


async def test_one_changed_byte_in_any_file_is_refused_and_the_file_named(world):
    for path in files(world):
        honest = path.read_bytes()
        for at in {0, len(honest) // 2, len(honest) - 1}:
            path.write_bytes(honest[:at] + bytes([honest[at] ^ 1]) + honest[at + 1 :])
            faults = await found(world)
            assert any(named(world, path) in fault for fault in faults), (path, at)
        path.write_bytes(honest)
    assert await found(world) == ()


async def test_any_missing_file_is_refused_and_named(world):
    for path in files(world):
        honest = path.read_bytes()
        path.unlink()
        faults = await found(world)
        name = "there is no archive" if named(world, path) == IDENTITY else named(world, path)
        assert any(name in fault for fault in faults), path
        path.write_bytes(honest)


async def test_entries_in_another_order_are_refused(world):
    first, second = sorted((world.folder / "log").glob("0*.json"))[1:3]
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    faults = await found(world)
    assert any("log/000000000001.json: it says that it is number 2" in fault for fault in faults)


async def test_an_entry_that_was_written_anew_with_other_content_is_refused(world):
    names = sorted((world.folder / "log").glob("0*.json"))
    entry = msgspec.json.decode(names[3].read_bytes())
    entry["places"][0]["first"] += 1
    names[3].write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=1))
    faults = await found(world)
    assert any(fault.startswith("log/000000000003.json: ") for fault in faults)
    assert any(fault.startswith("log/000000000004.json: it follows sha256") for fault in faults)


async def test_a_cut_off_end_is_noticed_by_the_head(world):
    last = max((world.folder / "log").glob("0*.json"))
    last.unlink()
    assert any("it is missing, and log/head.json names it" in fault for fault in await found(world))
    with pytest.raises(Damaged, match=last.name):
        await newest(world.store)


async def test_a_piece_that_was_changed_is_not_read(world):
    incarnation = await newest(world.store)
    (place, *_) = [place async for entry in incarnation.entries() for place in entry.places if place.records]
    path = world.folder / pieces.name_of(place.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(Damaged, match=f"{place.sha256}: the piece was changed"):
        await incarnation.read(place.where, place.first)


async def test_pieces_that_no_entry_names_are_counted_and_no_fault(world):
    await world.store.create(pieces.name_of("ab" * 32), b"left by a crash")
    done = await verify(world.store)
    assert (done.faults, done.unnamed) == ((), 1)


async def test_where_nothing_is_there_is_no_archive():
    with pytest.raises(NoArchive, match="there is no archive at memory:"):
        await verify(objects.memory())
