"""What every storage does, whatever it is."""

import asyncio

import archive_world
import pytest
from m0archive import files, pieces
from m0archive.address import Bucket, Folder, read_address
from m0archive.entries import claim_identity
from m0archive.errors import Damaged, NoArchive
from m0archive.objects import opened
from m0common.errors import SettingsError, Unavailable
from m0common.secret import Secret
from m0common.settings import Archive
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Record


async def listed(store, prefix):
    return sorted([each async for batch in store.list(prefix) for each in batch])


async def test_what_is_written_is_read_and_listed(store):
    assert await store.get("log/1.json") is None
    assert await listed(store, "log") == []
    assert await store.create("log/1.json", b"one")
    await store.put("log/2.json", b"")
    await store.put("logs/3.json", b"another folder")
    assert await store.get("log/1.json") == b"one"
    assert await store.get("log/2.json") == b""
    assert await listed(store, "log") == [("log/1.json", 3), ("log/2.json", 0)]


async def test_it_is_bare_until_something_is_written(store):
    assert await store.bare()
    await store.put("a/b", b"")
    assert not await store.bare()


async def test_an_archive_is_made_in_no_folder_of_others(tmp_path):
    there = opened(Archive(url=tmp_path.as_uri()))
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".snapshot").mkdir()
    assert await there.bare()
    (tmp_path / "passwd").touch()
    with pytest.raises(NoArchive, match=f"{tmp_path} holds other things and no archive.json: name a place that is emp"):
        await claim_identity(there, archive_world.DEPLOYMENT)
    (tmp_path / "passwd").unlink()
    root = await claim_identity(there, archive_world.DEPLOYMENT)
    assert await claim_identity(there, archive_world.DEPLOYMENT) == root
    await there.put("log/0.json", b"")
    (tmp_path / "archive.json").unlink()
    with pytest.raises(NoArchive, match=r"where this was an archive, put archive\.json back from a copy"):
        await claim_identity(there, archive_world.DEPLOYMENT)


async def test_an_object_is_created_once_and_put_again(store):
    assert await store.create("a/b", b"first")
    assert not await store.create("a/b", b"second")
    assert await store.get("a/b") == b"first"
    await store.put("a/b", b"third")
    assert await store.get("a/b") == b"third"


async def test_of_several_who_create_an_object_at_once_one_succeeds(store):
    made = await asyncio.gather(*(store.create("a/race", b"%d" % number) for number in range(8)))
    assert made.count(True) == 1
    assert await store.get("a/race") == b"%d" % made.index(True)


@pytest.mark.parametrize("there", [b"", b"one byte of it was chang?d"])
async def test_an_object_named_after_its_bytes_that_holds_others_is_written_anew(store, there):
    """As a machine leaves it that ended while it was written, or a disk."""
    record = Record("t", 0, 0, None, b"one byte of it was changed", (), 7)
    sealed = pieces.seal(TopicPartition("t", 0), 0, 1, [record])
    await store.put(pieces.name_of(sealed.sha256), there)
    with pytest.raises(Damaged):
        await pieces.read(store, sealed.sha256)
    await pieces.write(store, sealed.sha256, sealed.value)
    assert await pieces.read(store, sealed.sha256) == sealed.value

    (part,) = await files.keep(store, chunks(b"rows"))
    await store.put(files.name_of(part.sha256), there)
    assert await files.keep(store, chunks(b"rows")) == [part]
    assert await files.read(store, part) == b"rows"


async def chunks(text):
    yield text


def test_addresses_of_folders_and_buckets_are_told_apart():
    folder = read_address("file:///var/lib/m0%20archive")
    assert isinstance(folder, Folder)
    assert str(folder) == "file:///var/lib/m0 archive"
    assert read_address("s3://bucket/") == Bucket("bucket", "")
    assert str(read_address("s3://bucket/some/prefix/")) == "s3://bucket/some/prefix"


@pytest.mark.parametrize(
    "url", ["", "/var/archive", "file://host/x", "s3://", "s3://key:secret-word@bucket/x", "http://x/y", "s3://a/b?c"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(SettingsError, match="M0_ARCHIVE_URL") as refused:
        read_address(url)
    assert "secret-word" not in str(refused.value)


def test_one_of_two_keys_is_refused():
    with pytest.raises(SettingsError, match="set both"):
        opened(Archive(url="s3://bucket/x", access_key_id=Secret("key")))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be made"):
        opened(Archive(url=f"file://{tmp_path}/file/archive"))


async def test_storage_that_is_away_is_unavailable_and_no_secret_is_shown(s3_endpoint):
    keys = {"access_key_id": Secret("key-of-nobody"), "secret_access_key": Secret("marker-of-the-bucket")}
    store = opened(Archive(url="s3://no-such-bucket/x", endpoint=s3_endpoint, **keys))
    with pytest.raises(Unavailable, match="archive s3://no-such-bucket/x") as failed:
        await store.put("a", b"b")
    assert "marker-of-the-bucket" not in str(failed.value)
