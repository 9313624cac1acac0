"""Whole signers on a broker and a chain in memory: what they sign, what they never sign, and how they go on."""

import asyncio
import contextlib
import inspect

import lanes_world as world
import msgspec
import pytest
from m0_signer.guard import Guard
from m0_signer.published import published_states
from m0_signer.runner import Pace
from m0_signer.service import Signer
from m0_signer.standing import HEADERS_PER_EPOCH
from m0chain import Programs
from m0common import settings
from m0common.canonical import BundleHeader
from m0common.clock import ManualClock
from m0common.http import Status
from m0common.messages import Manifest, Submission, encode
from m0common.process import Process
from m0common.stream.records import Produce
from m0common.topics import HEADERS, MANIFESTS, PREDICTIONS, RAW, SUBMISSIONS
from prometheus_client import REGISTRY
from signer_crew import in_memory
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, HEART, PARTITIONS, Live, Stage, behind, with_header
from signer_vm import COMMIT_MS, Vm
from solders.pubkey import Pubkey

FAST = Pace(poll_s=0.01, stagger_s=0.02, linger_s=0.2, first_pause_s=0.01, longest_pause_s=0.05)


@pytest.fixture(scope="module")
def live():
    return Live(world.season(3).records)


@pytest.fixture(scope="module")
def other_history():
    return Live(world.season(3, seed=2).records)


@pytest.fixture(scope="module")
def with_an_empty_epoch():
    log = world.World()
    log.begin()
    for index in range(3):
        log.now_ms = BASE_MS + index * EPOCH_MS
        if index != 1:
            log.open("penny", f"COIN_{index}", log.now_ms)
        else:
            log.close("penny", "COIN_0", log.now_ms)
        log.end(FIRST_EPOCH + index)
    return Live(log.records)


class House:
    """A broker, a chain, and signers that can be killed and started again."""

    def __init__(self, folder, live, depths=("bundle", "bundle", "raw"), members=None, launch=in_memory):
        self.folder, self.live, self.depths, self.launch = folder, live, depths, launch
        self.stage = Stage()
        self.vm = Vm(BASE_MS + 3 * EPOCH_MS, members or len(depths))
        self.status = [Status(f"signer-{i}") for i in range(len(depths))]
        self.guards = {}
        self._tasks = {}

    @property
    def broker(self):
        return self.stage.broker

    async def start(self, index, checkpoint_interval_ms=100):
        config = settings.Settings(
            signer=settings.Signer(name=f"signer-{index}", depth=self.depths[index]),
            catalogs={"coins": settings.Catalog(), "empty": settings.Catalog()},
            stage=settings.Stage(checkpoint_interval_ms=checkpoint_interval_ms),
        )
        port = self.vm.port(index)
        guard = self.guards[index] = await Guard.open(self.folder / f"{index}.guard", bytes(self.vm.program))
        deployed = Programs(self.vm.program, Pubkey.new_unique())
        signer = Signer(deployed, HEART, self.broker, port, port.key, guard, pace=FAST, launch=self.launch)
        process = Process(config.signer.name, config, ManualClock(), self.status[index])

        async def compose(process):
            await signer.begin(process)

        self._tasks[index] = asyncio.create_task(process.live(compose))

    async def begin(self, signers):
        """Start so many signers. The log says what the lanes have said, and no header."""
        for index in range(signers):
            await self.start(index)
        self.stage.publish(self.live.raw)
        self.stage.publish(self.live.predictions)

    async def has_saved(self, index):
        """Whether lanes are kept, and every partition's offset with them."""
        (made,) = await self.guards[index].database.read("SELECT count(*) FROM sqlite_schema WHERE name = 'manifest'")
        return bool(made[0] and await self.guards[index].database.read("SELECT 1 FROM manifest"))

    async def kill(self, index):
        task = self._tasks.pop(index)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await self.guards.pop(index).close()

    async def close(self):
        for index in list(self._tasks):
            await self.kill(index)

    def claim(self, messages=None):
        self.stage.publish(self.live.header_messages(messages))

    async def new_log(self, cluster):
        """Empty topics in the place of what there is, of this cluster."""
        self.stage = Stage()
        await self.stage.prepare()
        self.broker.cluster_id = cluster

    def finalized(self):
        return self.vm.catalog("coins").finalized_count

    def member(self, key):
        return [bytes(k.pubkey()) for k in self.vm.keys].index(key)

    def submissions(self, action=None):
        found = [msgspec.msgpack.decode(r.value, type=Submission) for r in self.broker.log(SUBMISSIONS.name, 0)]
        return [s for s in found if action in (None, s.action)]

    def problems(self, index):
        ready = self.status[index].ready
        return [problem for check in ready.values() if (problem := check())] if ready else ["has not begun"]

    async def until(self, condition, timeout_s=60.0):
        async with asyncio.timeout(timeout_s):
            while not await now(condition()):
                for task in self._tasks.values():
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)


async def now(value):
    """A value, or what waits to be one."""
    return await value if inspect.isawaitable(value) else value


@contextlib.asynccontextmanager
async def house(folder, live, **options):
    made = House(folder, live, **options)
    await made.stage.prepare()
    try:
        yield made
    finally:
        await made.close()


async def test_signers_of_both_depths_finalize_every_epoch(tmp_path, live):
    async with house(tmp_path, live) as made:
        await made.begin(3)
        made.claim()
        await made.until(lambda: made.finalized() == 3)
        for message in live.headers:
            final = made.vm.catalog("coins").finalized(message.epoch_id)
            assert final.bundle_hash == BundleHeader.decode(message.header).bundle_hash
        await made.until(lambda: len(made.submissions("reveal")) >= 6)
        await made.until(lambda: not any(made.problems(index) for index in range(3)))
        assert all(note() is None for status in made.status for note in status.notes.values())


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_consistent_header_that_was_not_computed_here_is_never_signed(tmp_path, live, depth):
    async with house(tmp_path, live, depths=(depth, depth, depth)) as made:
        await made.begin(3)
        lie = with_header(live.headers[1], merkle_root=bytes(32))
        made.claim([live.headers[0], lie, behind(live.headers[2], lie)])
        await made.until(lambda: len(made.submissions("disagree")) == 3)
        await made.until(lambda: made.finalized() == 2)
        assert {s.detail for s in made.submissions("disagree")} == {"header field merkle_root"}
        assert made.vm.epoch("coins", FIRST_EPOCH + 1) is None
        assert made.vm.catalog("coins").finalized(FIRST_EPOCH + 1) is None


@pytest.mark.parametrize("depth", ["bundle", "raw"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_headers_forged_for_later_epochs_cost_no_epoch(tmp_path, live, depth, moment):
    async with house(tmp_path, live, depths=(depth, depth, depth)) as made:
        for index in range(3):
            await made.start(index)
        first = live.headers[0]
        renamed = [msgspec.structs.replace(first, epoch_id=first.epoch_id + ahead) for ahead in range(1, 61)]
        lies = [with_header(message, merkle_root=bytes(32)) for message in live.headers[1:]]
        if moment == "before":
            made.claim([first, *renamed, *lies])
        made.stage.publish(live.raw)
        made.stage.publish(live.predictions)
        if moment == "after":
            made.claim([first, *renamed, *lies])
            await made.until(lambda: len(made.submissions("disagree")) == 6)
        made.claim(live.headers[1:])
        await made.until(lambda: made.finalized() == 3)
        for message in live.headers:
            final = made.vm.catalog("coins").finalized(message.epoch_id)
            assert final.bundle_hash == BundleHeader.decode(message.header).bundle_hash
        commits = [(s.signer, s.epoch_id) for s in made.submissions("commit")]
        assert len(commits) == len(set(commits))


def crowded():
    return REGISTRY.get_sample_value("m0_signer_refusals_total", {"rule": "crowded"}) or 0


async def test_lies_that_leave_no_room_for_the_true_header_cost_no_epoch_either(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        for index in range(2):
            await made.start(index)
        numbers = [number.to_bytes(32, "big") for number in range(HEADERS_PER_EPOCH + 2)]
        lies = [with_header(message, merkle_root=root) for message in live.headers for root in numbers]
        before = crowded()
        made.claim([*lies, *live.headers])
        await made.until(lambda: crowded() == before + 2 * 3 * 3)
        made.stage.publish(live.raw)
        made.stage.publish(live.predictions)
        await made.until(lambda: made.finalized() == 3)


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_signer_whose_headers_keep_differing_is_degraded_until_one_matches(tmp_path, live, depth):
    async with house(tmp_path, live, depths=(depth, depth)) as made:
        await made.begin(2)
        made.claim([with_header(message, merkle_root=bytes(32)) for message in live.headers])
        await made.until(lambda: len(made.submissions("disagree")) == 6)
        await made.until(lambda: not made.problems(0))
        response = made.status[0].respond(made.status[0].ready)
        assert response.status_code == 200
        said = msgspec.json.decode(response.body)
        assert said["status"] == "degraded"
        assert "catalog coins: no header has matched" in said["notes"]["headers"]
        made.claim(live.headers)
        await made.until(lambda: made.finalized() == 3)
        assert made.status[0].notes["headers"]() is None


async def test_a_link_that_is_not_that_of_the_log_is_not_signed(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        await made.begin(2)
        forged = behind(live.headers[1], live.headers[1])
        made.claim([live.headers[0], forged])
        await made.until(lambda: len(made.submissions("disagree")) == 2)
        assert {s.detail for s in made.submissions("disagree")} == {"header field prev_bundle_hash"}
        await made.until(lambda: made.finalized() == 1)


async def test_after_a_restart_the_link_to_a_bundle_it_disagreed_with_is_still_known(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        await made.begin(2)
        lie = with_header(live.headers[1], merkle_root=bytes(32))
        made.claim([live.headers[0], lie])
        await made.until(lambda: len(made.submissions("disagree")) == 2)
        for index in range(2):
            await made.kill(index)
            await made.start(index)
        made.claim([behind(live.headers[2], lie)])
        await made.until(lambda: made.finalized() == 2)


async def test_what_is_no_header_or_an_inconsistent_one_is_passed_over(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        await made.begin(2)
        first = live.headers[0]
        cut = msgspec.structs.replace(first, header=first.header[:-1])
        junk = [b"", b"\xc1", b"[]", encode(cut)[:-5]]
        made.stage.publish([Produce(HEADERS.name, live.headers_partition, b"coins", value) for value in junk])
        made.claim([cut, *live.headers[1:]])
        await made.until(lambda: made.finalized() == 2)


async def test_a_second_header_for_a_decided_epoch_is_not_signed_after_a_restart_either(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle"), members=3) as made:
        for index in range(2):
            await made.start(index)
        made.stage.publish(live.predictions)
        made.claim(live.headers[2:])
        await made.until(lambda: len(made.submissions("commit")) == 2)
        for index in range(2):
            await made.kill(index)
        made.claim([with_header(live.headers[2], merkle_root=bytes(32))])
        for index in range(2):
            await made.start(index)
        made.vm.set_time(BASE_MS + 3 * EPOCH_MS + COMMIT_MS + 1000)
        await made.until(lambda: made.finalized() == 1)
        final = made.vm.catalog("coins").finalized(live.headers[2].epoch_id)
        assert final.bundle_hash == BundleHeader.decode(live.headers[2].header).bundle_hash


async def have_read(made, offset):
    """Whether both signers noted that everything before an offset is decided."""
    places = [await made.guards[index].place(HEADERS.name, made.live.headers_partition) for index in range(2)]
    return places == [offset] * 2


async def test_what_the_chain_would_refuse_is_not_decided_on(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        made.vm.set_time(BASE_MS + 4 * EPOCH_MS + COMMIT_MS + 1000)  # too late for every commit
        await made.begin(2)
        made.claim()
        await made.until(lambda: have_read(made, 3))
        for message in live.headers:
            assert await made.guards[0].decision("coins", message.epoch_id) is None
            assert await made.guards[1].decision("coins", message.epoch_id) is None
        assert made.submissions() == []


async def test_a_chain_that_is_away_makes_the_signer_unready_and_is_waited_for(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        made.vm.down = True
        await made.begin(2)
        made.claim()
        await made.until(lambda: all("the chain" in " ".join(made.problems(index)) for index in range(2)))
        made.vm.down = False
        await made.until(lambda: made.finalized() == 3)
        await made.until(lambda: not any(made.problems(index) for index in range(2)))


async def test_an_epoch_without_leaves_is_not_voted_on_and_no_link_of_the_chain(tmp_path, with_an_empty_epoch):
    empty = with_an_empty_epoch
    assert [BundleHeader.decode(m.header).leaf_count for m in empty.headers] == [1, 0, 1]
    async with house(tmp_path, empty, depths=("bundle", "raw")) as made:
        for index in range(2):
            await made.start(index)
        made.stage.publish(empty.raw)
        made.stage.publish(empty.predictions)
        made.claim()
        await made.until(lambda: made.finalized() == 2)
        assert made.vm.epoch("coins", FIRST_EPOCH + 1) is None
        assert await made.guards[0].decision("coins", FIRST_EPOCH + 1) is None
        assert made.submissions("disagree") == []


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_signer_stopped_at_any_moment_goes_on_without_reading_from_the_beginning(tmp_path, live, depth):
    async with house(tmp_path, live, depths=(depth, depth)) as made:
        await made.begin(2)
        for count, message in enumerate(live.headers, 1):
            made.claim([message])
            await asyncio.sleep(0.02 * count)
            await made.kill(0)
            await made.start(0)
        await made.until(lambda: made.finalized() == 3)
        await made.until(lambda: not made.problems(0))
        await made.kill(0)
        # what comes before the kept state is not needed any more: a third of the log holds all events held back
        for topic in (RAW.name, PREDICTIONS.name):
            for partition in range(PARTITIONS):
                made.broker.truncate(topic, partition, len(made.broker.log(topic, partition)) // 3)
        await made.start(0)
        await made.until(lambda: not made.problems(0))
        assert made.status[0].notes["lanes"]() is None


def forget(made, live, epoch_id):
    """Retention: what lanes need no more behind the markers of an epoch is gone."""
    for record in live.topic(MANIFESTS.name):
        manifest = msgspec.msgpack.decode(record.value, type=Manifest)
        if manifest.epoch_id == epoch_id and manifest.stage == 1:
            begin = manifest.input_offset if manifest.held_from is None else manifest.held_from
            made.broker.truncate(RAW.name, manifest.partition, begin)
        if manifest.epoch_id == epoch_id and manifest.stage == 4:
            made.broker.truncate(PREDICTIONS.name, manifest.partition, manifest.input_offset + 1)


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_newcomer_starts_from_a_published_state_that_a_final_header_commits_to(tmp_path, live, depth):
    async with house(tmp_path, live, depths=("bundle", "bundle", depth)) as made:
        made.stage.publish(live.states)
        await made.begin(2)
        made.claim(live.headers[:2])
        await made.until(lambda: len(made.submissions("commit")) == 4)
        made.vm.set_time(BASE_MS + 2 * EPOCH_MS + COMMIT_MS + 1000)
        await made.until(lambda: made.finalized() == 2)
        forget(made, live, FIRST_EPOCH + 1)
        await made.start(2)
        made.claim(live.headers[2:])
        await made.until(lambda: ("commit", 2) in {(s.action, made.member(s.signer)) for s in made.submissions()})
        await made.until(lambda: made.finalized() == 3)
        assert made.status[2].notes["lanes"]() is None


async def test_a_published_state_that_no_final_header_commits_to_is_not_taken(tmp_path, live, other_history):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        made.stage.publish(other_history.states)  # they are sound, and not ours
        made.stage.publish(live.predictions)
        made.claim()
        port = made.vm.port(0)
        assert await published_states(made.broker, port, HEART, "coins") == (False, [])  # nothing is final
        await made.start(0)
        await made.start(1)
        await made.until(lambda: made.finalized() == 3)
        assert await published_states(made.broker, port, HEART, "coins") == (True, [])
        assert await published_states(made.broker, port, HEART, "empty") == (False, [])


async def test_the_newest_final_state_is_the_one_adopted(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        made.stage.publish(live.states)
        made.stage.publish(live.predictions)
        made.claim()
        await made.start(0)
        await made.start(1)
        await made.until(lambda: made.finalized() == 3)
        standing = await published_states(made.broker, made.vm.port(0), HEART, "coins")
        assert {state.manifest.epoch_id for state in standing.states} == {live.headers[-1].epoch_id}
        lanes = {lane.partition for lane in live.headers[-1].lanes}
        assert {(s.manifest.stage, s.manifest.partition) for s in standing.states if s.manifest.stage < 4} == {
            (stage, lane) for stage in (1, 2, 3) for lane in lanes
        }


async def test_a_topic_that_was_replaced_stops_the_reader_and_says_so(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        await made.start(0)
        await made.start(1)
        made.stage.publish(live.predictions)
        made.claim()
        await made.until(lambda: made.finalized() == 3)
        await made.kill(0)
        await made.new_log(made.broker.cluster_id)
        await made.start(0)
        await made.until(lambda: "is gone" in (made.status[0].ready[PREDICTIONS.name]() or ""))
        await made.until(lambda: "is gone" in (made.status[0].ready[HEADERS.name]() or ""))


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_the_log_of_another_cluster_is_begun_anew_and_nothing_is_signed_twice(tmp_path, live, depth):
    async with house(tmp_path, live, depths=(depth, depth)) as made:
        await made.begin(2)
        made.claim()
        await made.until(lambda: made.finalized() == 3)
        await made.until(lambda: not any(made.problems(index) for index in range(2)))
        decided = [await made.guards[0].decision("coins", message.epoch_id) for message in live.headers]
        for index in range(2):
            await made.kill(index)
        # what derives from raw is not there, and of headers what was archived, and a second one that was made up
        await made.new_log("another")
        made.stage.publish(live.raw)
        made.claim([*live.headers[:2], with_header(live.headers[1], merkle_root=bytes(32))])
        for index in range(2):
            await made.start(index)
        await made.until(lambda: not any(made.problems(index) for index in range(2)))
        await made.until(lambda: places_of(made, 0))
        assert [await made.guards[0].decision("coins", message.epoch_id) for message in live.headers] == decided
        assert [s for s in made.submissions() if s.action != "disagree"] == []


async def places_of(made, index):
    """Whether the signer has noted where it stands in the headers that it read."""
    rows = await made.guards[index].database.read("SELECT max(next_offset) FROM place")
    return rows[0][0] == 3


def overtaken():
    return REGISTRY.get_sample_value("m0_signer_gaps_total", {"topic": RAW.name}) or 0


async def test_a_reader_whose_log_lost_what_comes_next_says_so_and_begins_again(tmp_path, live):
    before = overtaken()
    async with house(tmp_path, live, depths=("raw", "bundle")) as made:
        await made.start(0)
        half = len(live.raw) // 2
        made.stage.publish(live.raw[:half])
        await made.until(lambda: not made.problems(0))
        made.stage.publish(live.raw[half:])
        for partition in range(PARTITIONS):
            made.broker.truncate(RAW.name, partition, 1 << 30)
        made.broker.wake()
        await made.until(lambda: overtaken() > before)
        await made.until(lambda: not made.problems(0))


@pytest.mark.parametrize("saved", [False, True])
async def test_what_is_lost_where_no_lane_lives_costs_a_signer_nothing(tmp_path, live, saved):
    empty, before = next(p for p in range(PARTITIONS) if all(r.partition != p for r in live.raw)), overtaken()
    async with house(tmp_path, live, depths=("raw", "bundle")) as made:
        await made.start(0, checkpoint_interval_ms=100 if saved else 3_600_000)
        half = len(live.raw) // 2
        made.stage.publish(live.raw[:half])
        await made.until(lambda: not made.problems(0))
        if saved:
            await made.until(lambda: made.has_saved(0))
        assert await made.has_saved(0) == saved
        made.stage.publish([Produce(RAW.name, empty, None, b"noise")] * 3)
        made.broker.truncate(RAW.name, empty, 3)
        made.broker.wake()
        await made.until(lambda: overtaken() == before + 1)
        made.stage.publish(live.raw[half:])
        await made.until(lambda: not made.problems(0))
        assert made.status[0].notes["lanes"]() is None


async def test_a_broker_that_goes_away_is_waited_for(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        await made.start(0)
        await made.start(1)
        made.stage.publish(live.predictions)
        made.claim()
        made.broker.faults.down = True
        await asyncio.sleep(0.1)
        made.broker.faults.down = False
        made.broker.wake()
        await made.until(lambda: made.finalized() == 3)


async def test_a_signer_whose_worker_dies_says_so_and_signs_on(tmp_path, live):
    links = []

    async def launch():
        links.append(await in_memory())
        return links[-1]

    lost = REGISTRY.get_sample_value("m0_signer_lost_workers_total")
    async with house(tmp_path, live, depths=("raw", "raw"), launch=launch) as made:
        await made.start(0)
        await made.start(1)
        made.stage.publish(live.raw)
        made.claim(live.headers[:1])
        await made.until(lambda: made.finalized() == 1)
        links[0].die()
        await made.until(lambda: any("killed by the test" in p for i in range(2) for p in made.problems(i)))
        made.claim(live.headers[1:])
        await made.until(lambda: made.finalized() == 3)
        await made.until(lambda: not made.problems(0) and not made.problems(1))
        assert len(links) == 3
        assert REGISTRY.get_sample_value("m0_signer_lost_workers_total") == lost + 1
        commits = [(s.signer, s.epoch_id) for s in made.submissions("commit")]
        assert len(commits) == len(set(commits)) == 6
