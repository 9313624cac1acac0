"""What is lost under a running stack: a derived topic is deleted, raw's retention passes a stopped stage."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from e2e_stack import CATALOGS, Stack
from m0common.rights import ADMINISTRATOR
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_admin import Admin, open_admin
from m0common.topics import FEATURES, HOUR_MS, RAW
from m0kafka.confluent import ConfluentCluster
from m0local.testing import make_topics

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
PARTITIONS = 8


def administer(stack: Stack, work: Callable[[Admin], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_admin(stack.kafka_of(ADMINISTRATOR)) as admin:
            await work(admin)

    asyncio.run(run())


def change(stack: Stack, topic: str, settings: dict[str, str]) -> None:
    ConfluentCluster(stack.kafka_of(ADMINISTRATOR)).change(topic, settings)


def delete(stack: Stack, topic: str) -> None:
    async def run() -> None:
        client = AIOKafkaAdminClient(**stack.kafka_of(ADMINISTRATOR).connection())
        await client.start()
        try:
            await client.delete_topics([topic])
        finally:
            await client.close()

    asyncio.run(run())


def begins(stack: Stack, topic: str) -> dict[int, tuple[int, int]]:
    """By partition: the first offset that the topic holds, and the one behind the last."""

    async def run() -> dict[int, tuple[int, int]]:
        made = KafkaBroker(stack.kafka)
        consumer = made.consumer()
        await consumer.start()
        try:
            where = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            first, last = await consumer.begin_offsets(where), await consumer.end_offsets(where)
            return {place.partition: (first[place], last[place]) for place in where}
        finally:
            await consumer.stop()
            await made.close()

    return asyncio.run(run())


def parked(stack: Stack, stage: str) -> dict[str, str]:
    """By lane why a stage does not go on with it; empty until every lane of the stage is parked."""
    rows = json.loads(stack.m0("lane", "list", "--json").stdout)["lanes"]
    lanes = [row for row in rows if row["stage"] == stage]
    why = {f"{row['catalog']}/{row['partition']}": row["parked"] for row in lanes if row["parked"]}
    return why if len(why) == len(lanes) else {}


def rebase_all(stack: Stack) -> None:
    for catalog in CATALOGS:
        print(stack.m0("lane", "rebase", catalog, "--yes").stdout)


def test_a_deleted_derived_topic_parks_its_readers_and_a_rebase_goes_on(stack: Stack):
    before = stack.goes_on(epochs=1)
    stack.stop("feature", "model")
    delete(stack, FEATURES.name)
    stack.wait("the topic to be gone", lambda: gone(stack, FEATURES.name), 60)
    make_topics(stack.kafka_of(ADMINISTRATOR), [FEATURES], PARTITIONS)
    stack.start("feature", "model")
    why = stack.wait("the lanes of model to park", lambda: parked(stack, "model"), 90)
    print(why)
    assert all("rebase" in reason for reason in why.values())
    rebase_all(stack)
    after = stack.goes_on(epochs=3, timeout=240)
    stack.all_ready()
    for catalog in CATALOGS:
        stack.replays(catalog, before[catalog])
        stack.replays(catalog, after[catalog])


def gone(stack: Stack, topic: str) -> bool:
    found: dict[str, int] = {}

    async def look(admin: Admin) -> None:
        found.update(await admin.partitions([topic]))

    administer(stack, look)
    return not found


def test_raw_that_retention_took_from_a_stopped_stage_parks_its_lanes_and_a_rebase_goes_on(stack: Stack):
    stack.goes_on(epochs=1)
    rows = json.loads(stack.m0("lane", "list", "--json").stdout)["lanes"]
    lanes = {row["partition"] for row in rows if row["stage"] == "normalize"}
    stack.stop("normalize")
    stopped_at = begins(stack, RAW.name)
    change(stack, RAW.name, RAW.settings() | {"retention.ms": "10000", "segment.ms": "10000"})
    stack.wait(
        "retention to pass the place where normalize stopped",
        lambda: all(begins(stack, RAW.name)[lane][0] > stopped_at[lane][1] for lane in lanes),
        300,
    )
    change(stack, RAW.name, RAW.settings() | {"segment.ms": str(7 * 24 * HOUR_MS)})
    stack.start("normalize")
    why = stack.wait("the lanes of normalize to park", lambda: parked(stack, "normalize"), 90)
    print(why)
    assert all("rebase" in reason for reason in why.values())
    rebase_all(stack)
    after = stack.goes_on(epochs=3, timeout=240)
    for catalog in CATALOGS:
        print(stack.m0("catalog", "set", catalog, "--yes", "--timeout", "0").stdout)
    stack.kill("ingest")
    later = stack.goes_on(epochs=2)
    stack.all_ready()
    for catalog in CATALOGS:
        stack.replays(catalog, after[catalog])
        stack.replays(catalog, later[catalog])
