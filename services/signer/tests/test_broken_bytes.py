"""A record on which a decoder gives up costs a signer a line in its log, whatever it reads it for."""

import lanes_world as world
import pytest
from broken_bytes import BROKEN
from m0_signer.bundle_depth import BundleDepth
from m0_signer.published import PublishedStates
from m0_signer.read import Claims
from m0common.messages import encode
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce, Record
from m0common.topics import HEADERS, PREDICTIONS
from m0replay.bundle_behind import bundle_state, turn_behind
from m0replay.states import published
from signer_log import BASE_MS, HEART, PARTITIONS, Live, Stage
from structlog.testing import capture_logs


@pytest.fixture(scope="module")
def live():
    return Live(world.season(4).records)


class Listener:
    """A desk that only notes the claims made to it."""

    def __init__(self):
        self.claimed = []

    async def claim(self, header, _where, offset):
        self.claimed.append((offset, header))


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_claim_that_cannot_be_read_is_passed_over_and_the_next_one_is_heard(live, broken):
    header, desk = live.headers[0], Listener()
    claims = Claims(desk, frozenset({"coins"}))
    with capture_logs() as logs:
        for offset, value in enumerate([broken(encode(header), "coins"), encode(header)]):
            await claims.take(Record(HEADERS.name, 0, offset, None, value, append_ms=BASE_MS))
    assert desk.claimed == [(1, header)]
    assert [line["event"] for line in logs] == ["not_a_header"]


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_new_signer_goes_on_from_a_published_state_between_predictions_that_cannot_be_read(
    database, live, broken
):
    stage = Stage()
    await stage.prepare()
    for record in live.predictions:
        bad = Produce(record.topic, record.partition, record.key, broken(record.value, "coins"))
        stage.publish([record])
        stage.publish([bad])
    partition = live.predictions[0].partition
    stage.broker.truncate(PREDICTIONS.name, partition, 1)

    async def standing(_catalog):
        behind = await published(live.recorded.broker, live.headers[1])
        turn = turn_behind(behind.header, behind.states)
        return PublishedStates(True, [*behind.states, bundle_state(HEART, behind.header, behind.states, turn)])

    depth = BundleDepth(HEART, stage.broker, database, ["coins"], standing)
    where = [TopicPartition(depth.topic, partition) for partition in range(PARTITIONS)]
    consumer = stage.broker.consumer()
    starts = await depth.start(await consumer.begin_offsets(where), await consumer.end_offsets(where))
    records = [r for r in stage.broker.log(PREDICTIONS.name, partition) if r.offset >= starts[where[partition]]]
    said = [header for record in records for header in await depth.feed(record)]
    assert [header.header for header in said] == [header.header for header in live.headers[2:]]
    assert len(said) == 2
