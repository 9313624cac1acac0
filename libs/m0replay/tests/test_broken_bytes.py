"""A record on which a decoder gives up, of whatever kind, is passed over by everybody who reads the topics again."""

from collections.abc import Callable

import lanes_world as world
import pytest
from broken_bytes import BROKEN
from m0common.stream.core import Cut, Output
from m0common.stream.records import Produce, Record
from m0common.topics import CURSORS, MANIFESTS, RAW, STATE
from m0lanes.control import CATALOG_SET, EPOCH_END, MARKET_CLOSE, MARKET_OPEN, REBASE
from m0lanes.generations import lanes_of
from m0replay.catalog_log import CatalogLog
from m0replay.headers import header_before, headers
from m0replay.lanes import lane_rows
from m0replay.replay import replay_epoch
from recorded_world import Recorded, planned

EPOCH = world.FIRST + 2
LANE = lanes_of(world.World().payload(1))[0]


class Disturbed(Recorded):
    """A log in which somebody repeats every message broken: behind everything in a topic there is such a record."""

    def __init__(self, broken: Callable[[bytes, str], bytes]) -> None:
        super().__init__()
        self._broken = broken

    def _write(self, output: Output) -> None:
        super()._write(output)
        if isinstance(output, Cut):
            self._disturb(STATE[output.stage].name, output.lane.partition)
            self._disturb(MANIFESTS.name, output.lane.partition)
        elif isinstance(output, Produce) and b"coins" in output.value:
            self._disturb(output.topic, output.partition)

    def _disturb(self, topic: str, partition: int) -> None:
        last = self.broker.log(topic, partition)[-1]
        self.broker.append([Produce(topic, partition, last.key, self._broken(last.value, "coins"))])


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return world.season(3).records


@pytest.fixture(params=BROKEN)
async def logs(request, records) -> tuple[Recorded, Recorded]:
    """The log as it should be, and the disturbed one."""
    return await Recorded().of(records), await Disturbed(request.param).of(records)


async def test_replay_of_a_disturbed_log_matches_and_still_finds_the_first_difference(logs):
    plain, log = logs
    verdict = await replay_epoch(log.broker, log.heart, plain.final, "coins", EPOCH)
    assert verdict.match, verdict.difference
    assert verdict.started_from == f"the checkpoint of epoch {EPOCH - 1}"
    damaged = [
        await replay_epoch(each.broker, each.heart, plain.final, "coins", EPOCH, mutation="change", index=1)
        for each in logs
    ]
    assert "stage normalize, seq" in damaged[0].difference
    assert damaged[1].difference == damaged[0].difference


async def test_headers_are_read_past_what_is_none(logs):
    plain, log = logs
    wanted = plain.headers()
    assert [h async for h in headers(log.broker, "coins", world.FIRST, EPOCH)] == [*wanted.values()]
    assert await header_before(log.broker, "coins", EPOCH) == wanted[EPOCH - 1]


async def test_lanes_are_listed_and_rebased_as_if_nobody_had_disturbed_them(logs):
    there, here = [await lane_rows(log.broker, world.DEPLOYMENT) for log in logs]
    assert [row._replace(lag=0) for row in here] == [row._replace(lag=0) for row in there]
    there, here = [await planned(log, LANE) for log in logs]
    assert here == there
    assert (here.payload.epoch_id, here.unread) == (EPOCH, None)


@pytest.mark.parametrize("kind", [CATALOG_SET, EPOCH_END, MARKET_OPEN, MARKET_CLOSE, REBASE])
@pytest.mark.parametrize("rest", [b'"unknown":' + b"[" * 200_000, b'"group":"\xff\xfe"}'])
async def test_an_event_on_which_a_decoder_gives_up_does_not_hide_what_the_log_says_of_catalogs(records, kind, rest):
    log = Recorded()
    await log.broker.create_topics([RAW, CURSORS], world.PARTITIONS)
    for partition in range(world.PARTITIONS):
        log.broker.append([Produce(RAW.name, partition, None, b'{"kind":"%s",%s' % (kind.encode(), rest))])
    log.broker.append([Produce(RAW.name, record.partition, record.key, record.value) for record in records])
    said = CatalogLog(log.broker, world.DEPLOYMENT, log.clock)
    await said.read()
    assert said.control.newest("coins").payload.epoch_id == EPOCH
    assert said.markets.of("coins")
