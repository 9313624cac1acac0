"""The database of a running stack is dropped, lost behind the log's retention, and migrated under requests."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import e2e_log as log
import psycopg
import pytest
from e2e_stack import CATALOGS, Stack
from m0common.rights import ADMINISTRATOR
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka_admin import open_admin
from m0common.topics import BUNDLES
from m0index import migrations
from m0local import settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
DEPENDENTS = ("api", "indexer", "jobs")
PATHS = ("/v1/markets?limit=5", "/v1/epochs?limit=5", "/v1/epochs?status=finalized&limit=5", "/v1/info")
PENULTIMATE = f"{int(migrations.head()) - 1:04}"


def dsn_of(stack: Stack) -> str:
    return settings.load(stack.env).pg_dsn


def replace_by_an_empty_one(stack: Stack) -> None:
    """Drop the database with everybody in it, and make an empty one of its name."""
    told = conninfo_to_dict(dsn_of(stack))
    name = sql.Identifier(str(told["dbname"]))
    with psycopg.connect(make_conninfo(**(told | {"dbname": "template1"})), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def trim_bundles(stack: Stack) -> None:
    """Do as retention does: nothing that `m0.bundles` holds now is there afterwards."""

    async def run() -> None:
        async with open_admin(stack.kafka_of(ADMINISTRATOR)) as admin:
            count = (await admin.partitions([BUNDLES.name]))[BUNDLES.name]
            # -1: up to the end
            await admin.delete_records({TopicPartition(BUNDLES.name, partition): -1 for partition in range(count)})

    asyncio.run(run())


def indexed(stack: Stack) -> dict[tuple[str, int], dict[str, Any]]:
    """Every final epoch that the index has."""
    return {(catalog, epoch["epoch_id"]): epoch for catalog, epochs in stack.finals().items() for epoch in epochs}


def hashes(stack: Stack) -> dict[tuple[str, int], str]:
    """The bundle hash of every final epoch that the index has."""
    return {place: epoch["bundle_hash"] for place, epoch in indexed(stack).items()}


@dataclass
class Listener:
    """What the stream says of epochs, frame by frame."""

    port: int
    frames: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with connect(f"ws://127.0.0.1:{self.port}/ws") as socket:
            channels = [f"epochs.{catalog}" for catalog in CATALOGS]
            socket.send(json.dumps({"op": "subscribe", "channels": channels}))
            while not self.over.is_set():
                try:
                    self.frames.append(json.loads(socket.recv(timeout=1)))
                except TimeoutError:
                    continue
                except ConnectionClosed as error:
                    self.frames.append({"op": f"closed: {error}"})
                    return

    def said(self) -> list[tuple[str, int, int]]:
        """Channel, number and epoch of every update."""
        return [
            (frame["channel"], frame["seq"], frame["data"]["epoch_id"])
            for frame in self.frames
            if frame["op"] == "update"
        ]


@contextmanager
def listening(stack: Stack) -> Iterator[Listener]:
    made = Listener(settings.PORTS["realtime"] + stack.offset)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        thread.join()


@contextmanager
def requesting(stack: Stack) -> Iterator[Counter[int]]:
    """Ask for the paths one after the other; counts the codes of the answers."""
    codes: Counter[int] = Counter()
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            for path in PATHS:
                codes[code_of(stack.api + path)] += 1

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield codes
    finally:
        over.set()
        for thread in threads:
            thread.join()


def code_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def all_once(heard: Listener) -> None:
    """Fails unless every epoch was told once and numbers have no gap."""
    told = heard.said()
    assert [frame["op"] for frame in heard.frames if str(frame["op"]).startswith("closed")] == []
    assert {key: n for key, n in Counter((channel, epoch) for channel, _, epoch in told).items() if n > 1} == {}
    for catalog in CATALOGS:
        numbers = [number for channel, number, _ in told if channel == f"epochs.{catalog}"]
        assert numbers
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def bodies(stack: Stack, epochs: Container[tuple[str, int]]) -> Counter[tuple[str, str | None]]:
    """How many of the epochs have a body, by catalog and what the index says of it."""
    return Counter((place[0], epoch["body"]) for place, epoch in indexed(stack).items() if place in epochs)


def has_body(stack: Stack, catalog: str) -> bool:
    return "available" in {epoch["body"] for epoch in stack.finalized(catalog, 3)}


def rebuilt(stack: Stack, before: dict[tuple[str, int], str]) -> None:
    """Wait until the index has again what it had, the same."""

    def again() -> bool:
        now = hashes(stack)
        return all(now.get(place) == bundle_hash for place, bundle_hash in before.items())

    stack.wait("the index to have what it had", again, 300)


def test_a_database_that_is_dropped_is_named_and_the_index_is_made_again(stack: Stack):
    before = hashes(stack)
    with listening(stack) as heard:
        stack.goes_on(epochs=1)
        stack.stop("indexer")
        replace_by_an_empty_one(stack)
        for name in ("api", "jobs"):
            stack.wait(f"{name} to say so", lambda name=name: "schema" in stack.report(name), 10)
            print(f"{name}: {stack.report(name)}")
        stack.start("indexer")
        stack.all_ready(180)
        rebuilt(stack, before)
        replace_by_an_empty_one(stack)  # under the indexer too
        for name in DEPENDENTS:
            stack.wait(f"{name} to say so", lambda name=name: '"unavailable"' in stack.report(name), 15)
        stack.all_ready(180)
        rebuilt(stack, before)
        stack.goes_on()
    all_once(heard)
    newest = stack.goes_on(epochs=1)
    for catalog in CATALOGS:
        stack.replays(catalog, newest[catalog])
    log.agree(stack.kafka, stack.finals())


def test_behind_the_retention_of_bundles_the_index_is_made_of_the_chain_and_says_what_it_lacks(stack: Stack):
    with listening(stack) as heard:
        stack.goes_on(epochs=1)
        before = hashes(stack)
        stack.stop("indexer")
        trim_bundles(stack)
        replace_by_an_empty_one(stack)
        stack.start("indexer")
        stack.all_ready(300)
        rebuilt(stack, before)

        # ten minutes long a body is waited for, and the epochs behind it wait too
        def decided() -> bool:
            found = bodies(stack, before)
            return all((catalog, None) not in found for catalog in CATALOGS)

        stack.wait("no epoch to wait for its body", decided, 900)
        newest = stack.goes_on()
    all_once(heard)
    found = bodies(stack, before)
    print(f"bodies: {dict(found)}")
    assert {body for _, body in found} == {"missing"}
    for catalog in CATALOGS:
        stack.wait(f"{catalog} to have bodies again", lambda catalog=catalog: has_body(stack, catalog), 60)
        stack.replays(catalog, newest[catalog])


def test_a_migration_that_is_applied_and_taken_back_costs_no_request(stack: Stack):
    dsn, steps = dsn_of(stack), []
    with requesting(stack) as codes:
        for _ in range(3):
            migrations.take_back(dsn, PENULTIMATE)
            steps.append(migrations.current(dsn))
            stack.goes_on(epochs=1)  # the indexer brings it up again
            stack.wait("the newest step", lambda: migrations.current(dsn) == migrations.head(), 60)
    print(f"answers: {dict(codes)}")
    assert steps == [PENULTIMATE] * 3
    assert set(codes) == {200}
    stack.all_ready(60)
