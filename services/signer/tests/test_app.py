import asyncio
import contextlib
import dataclasses

import msgspec
import pytest
from m0_signer.app import Programs, Signer
from m0_signer.guard import Guard
from m0_signer.published import published_cut
from m0_signer.runner import Pace
from m0common import settings
from m0common.canonical import BundleHeader, MerkleTree, PredictionLeaf, leaf_hash, state_digest
from m0common.clock import ManualClock
from m0common.http import Status
from m0common.messages import Submission, encode
from m0common.stream.checkpoints import checkpoint_message
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, CHECKPOINTS, PREDICTIONS, RAW, SUBMISSIONS, TOPICS
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, PARTITIONS, Live
from signer_vm import COMMIT_MS, Vm
from solders.pubkey import Pubkey

FAST = Pace(poll_s=0.01, stagger_s=0.02, linger_s=0.2, first_pause_s=0.01, longest_pause_s=0.05)


@pytest.fixture(scope="module")
def live():
    return Live(3)


class House:
    """A broker, a chain, and signers that can be killed and started again."""

    def __init__(self, folder, live, depths=("bundle", "bundle", "raw"), members=None):
        self.folder, self.live, self.depths = folder, live, depths
        self.broker = MemoryBroker()
        self.vm = Vm(BASE_MS + 3 * EPOCH_MS, members or len(depths))
        self.status = [Status(f"signer-{i}") for i in range(len(depths))]
        self._tasks, self._guards = {}, {}

    async def prepare(self):
        await self.broker.create_topics(TOPICS, PARTITIONS, 1)

    async def publish(self, messages):
        await self.broker.producer().send(messages)

    def start(self, index):
        config = settings.Settings(
            signer=settings.Signer(name=f"signer-{index}", depth=self.depths[index]),
            catalogs={"crypto": settings.Catalog(epoch_ms=EPOCH_MS), "sports": settings.Catalog(epoch_ms=EPOCH_MS)},
        )
        port = self.vm.port(index)
        guard = self._guards[index] = Guard(self.folder / f"{index}.guard", bytes(self.vm.program))
        deployed = Programs(self.vm.program, Pubkey.new_unique())
        signer = Signer(
            config, deployed, self.broker, port, port.key, guard, ManualClock(), self.status[index], pace=FAST
        )
        self._tasks[index] = asyncio.create_task(signer.run())

    async def kill(self, index):
        task = self._tasks.pop(index)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self._guards.pop(index).close()

    async def close(self):
        for index in list(self._tasks):
            await self.kill(index)

    def finalized(self):
        return self.vm.catalog("crypto").finalized_count

    def member(self, key):
        return [bytes(k.pubkey()) for k in self.vm.keys].index(key)

    def submissions(self):
        records = self.broker.log(SUBMISSIONS.name, 0)
        return [msgspec.msgpack.decode(r.value, type=Submission) for r in records]

    async def until(self, condition, timeout_s=10.0):
        async with asyncio.timeout(timeout_s):
            while not condition():
                for task in self._tasks.values():
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def house(folder, live, **options):
    made = House(folder, live, **options)
    await made.prepare()
    try:
        yield made
    finally:
        await made.close()


async def publish_all(made, live):
    await made.publish(live.raw)
    await made.publish(live.predictions)
    await made.publish(live.bundle_messages())


async def test_signers_of_both_depths_finalize_every_epoch(tmp_path, live):
    async with house(tmp_path, live) as made:
        for index in range(3):
            made.start(index)
        await publish_all(made, live)
        await made.until(lambda: made.finalized() == 3)
        for bundle in live.bundles:
            final = made.vm.catalog("crypto").finalized(bundle.epoch_id)
            assert final.bundle_hash == BundleHeader.decode(bundle.header).bundle_hash
        await made.until(lambda: len([s for s in made.submissions() if s.action == "reveal"]) >= 6)
        assert all(not problem for s in made.status for check in s.ready.values() if (problem := check()))


def tampered(bundle):
    """A bundle that is consistent in itself but not what the lanes computed."""
    leaf = dataclasses.replace(PredictionLeaf.decode(bundle.leaves[0]), risk_bps=1234).encode()
    leaves = (leaf, *bundle.leaves[1:])
    root = MerkleTree([leaf_hash(each) for each in leaves]).root
    header = dataclasses.replace(BundleHeader.decode(bundle.header), merkle_root=root).encode()
    return msgspec.structs.replace(bundle, header=header, leaves=leaves)


def behind(bundle, before):
    """The bundle as the bundle service would publish it behind another one."""
    header = dataclasses.replace(
        BundleHeader.decode(bundle.header), prev_bundle_hash=BundleHeader.decode(before.header).bundle_hash
    )
    return msgspec.structs.replace(bundle, header=header.encode())


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_consistent_bundle_that_was_not_computed_here_is_never_signed(tmp_path, live, depth):
    async with house(tmp_path, live, depths=(depth, depth, depth)) as made:
        for index in range(3):
            made.start(index)
        await made.publish(live.raw)
        await made.publish(live.predictions)
        lie = tampered(live.bundles[1])
        bodies = [live.bundles[0], lie, behind(live.bundles[2], lie)]
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", encode(b)) for b in bodies])
        await made.until(lambda: sum(s.action == "disagree" for s in made.submissions()) == 3)
        await made.until(lambda: made.finalized() == 2)
        disagreements = [s for s in made.submissions() if s.action == "disagree"]
        assert {s.detail for s in disagreements} == {f"leaf of {lie.market_ids[0]}"}
        assert made.vm.epoch("crypto", FIRST_EPOCH + 1) is None
        assert made.vm.catalog("crypto").finalized(FIRST_EPOCH + 1) is None


async def test_a_link_that_is_not_that_of_the_log_is_not_signed(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        made.start(0)
        made.start(1)
        await made.publish(live.raw)
        await made.publish(live.predictions)
        forged = behind(live.bundles[1], live.bundles[1])
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", encode(b)) for b in (live.bundles[0], forged)])
        await made.until(lambda: sum(s.action == "disagree" for s in made.submissions()) == 2)
        assert {s.detail for s in made.submissions() if s.action == "disagree"} == {"header field prev_bundle_hash"}
        await made.until(lambda: made.finalized() == 1)


async def test_after_a_restart_the_link_to_a_bundle_it_disagreed_with_is_still_known(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        made.start(0)
        made.start(1)
        await made.publish(live.raw)
        await made.publish(live.predictions)
        lie = tampered(live.bundles[1])
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", encode(b)) for b in (live.bundles[0], lie)])
        await made.until(lambda: sum(s.action == "disagree" for s in made.submissions()) == 2)
        for index in range(2):
            await made.kill(index)
            made.start(index)
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", encode(behind(live.bundles[2], lie)))])
        await made.until(lambda: made.finalized() == 2)


async def test_what_is_no_bundle_or_an_inconsistent_one_is_passed_over(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "raw")) as made:
        made.start(0)
        made.start(1)
        await made.publish(live.raw)
        await made.publish(live.predictions)
        first = live.bundles[0]
        cut = msgspec.structs.replace(first, header=first.header[:-1])
        junk = [b"", b"\xc1", b"[]", encode(cut)[:-5]]
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", value) for value in junk])
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", encode(b)) for b in (cut, *live.bundles[1:])])
        await made.until(lambda: made.finalized() == 2)


async def test_a_second_bundle_for_a_decided_epoch_is_not_signed_after_a_restart_either(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle"), members=3) as made:
        for index in range(2):
            made.start(index)
        await made.publish(live.predictions)
        await made.publish(live.bundle_messages()[2:])
        await made.until(lambda: len([s for s in made.submissions() if s.action == "commit"]) == 2)
        for index in range(2):
            await made.kill(index)
        await made.publish([Produce(BUNDLES.name, 0, b"crypto", encode(tampered(live.bundles[2])))])
        for index in range(2):
            made.start(index)
        made.vm.set_time(BASE_MS + 3 * EPOCH_MS + COMMIT_MS + 1000)
        await made.until(lambda: made.finalized() == 1)
        final = made.vm.catalog("crypto").finalized(live.bundles[2].epoch_id)
        assert final.bundle_hash == BundleHeader.decode(live.bundles[2].header).bundle_hash


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_signer_killed_at_any_moment_goes_on_without_reading_from_the_beginning(tmp_path, live, depth):
    async with house(tmp_path, live, depths=(depth, depth)) as made:
        made.start(0)
        made.start(1)
        await made.publish(live.raw)
        await made.publish(live.predictions)
        sent = live.bundle_messages()
        for count, message in enumerate(sent, 1):
            await made.publish([message])
            await asyncio.sleep(0.02 * count)
            await made.kill(0)
            made.start(0)
        await made.until(lambda: made.finalized() == 3)
        await made.kill(0)
        # what comes before the kept state is not needed any more
        for topic in ("m0.raw.v1", "m0.predictions.v1"):
            for partition in range(PARTITIONS if topic == "m0.raw.v1" else 1):
                made.broker.truncate(topic, partition, len(made.broker.log(topic, partition)))
        made.start(0)
        await made.until(lambda: not any(check() for check in made.status[0].ready.values()))


async def checkpoints_of(made, live):
    messages = [checkpoint_message(c, PARTITIONS) for c in live.checkpoints]
    assert {m.topic for m in messages} == {CHECKPOINTS.name}
    await made.publish(messages)


def forget(made, live, kept_epochs):
    """Retention: raw events and predictions up to the markers of all but the last `kept_epochs` epochs are gone."""
    cut = [c for c in live.checkpoints if c.epoch_id == FIRST_EPOCH + len(live.bundles) - kept_epochs - 1]
    for c in cut:
        if c.stage == 1:
            made.broker.truncate(RAW.name, c.partition, c.input_offset + 1)
        if c.stage == 4:
            made.broker.truncate(PREDICTIONS.name, 0, c.input_offset + 1)


@pytest.mark.parametrize("depth", ["bundle", "raw"])
async def test_a_newcomer_starts_from_a_published_state_that_a_finalized_header_commits_to(tmp_path, live, depth):
    async with house(tmp_path, live, depths=("bundle", "bundle", depth)) as made:
        await checkpoints_of(made, live)
        made.start(0)
        made.start(1)
        await made.publish(live.raw)
        await made.publish(live.predictions)
        messages = live.bundle_messages()
        await made.publish(messages[:2])
        await made.until(lambda: sum(s.action == "commit" for s in made.submissions()) == 4)
        made.vm.set_time(BASE_MS + 2 * EPOCH_MS + COMMIT_MS + 1000)
        await made.until(lambda: made.finalized() == 2)
        forget(made, live, 1)
        made.start(2)
        await made.publish(messages[2:])
        await made.until(lambda: ("commit", 2) in {(s.action, made.member(s.signer)) for s in made.submissions()})
        await made.until(lambda: made.finalized() == 3)


async def test_a_published_state_that_no_finalized_header_commits_to_is_not_taken(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        forged = [msgspec.structs.replace(c, entities=(), digest=state_digest(())) for c in live.checkpoints]
        await made.publish([checkpoint_message(c, PARTITIONS) for c in forged])
        await made.publish(live.predictions)
        await made.publish(live.bundle_messages())
        port = made.vm.port(0)
        assert await published_cut(made.broker, port, "crypto") is None  # nothing is final
        made.start(0)
        made.start(1)
        await made.until(lambda: made.finalized() == 3)
        assert await published_cut(made.broker, port, "crypto") is None  # what is published is something else
        await checkpoints_of(made, live)
        assert (await published_cut(made.broker, port, "crypto")).epoch_id == live.bundles[-1].epoch_id
        assert await published_cut(made.broker, port, "sports") is None


async def test_a_topic_that_was_replaced_stops_the_reader_and_says_so(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        made.start(0)
        made.start(1)
        await publish_all(made, live)
        await made.until(lambda: made.finalized() == 3)
        await made.kill(0)
        made.broker = MemoryBroker()
        await made.prepare()
        made.start(0)
        await made.until(lambda: "not the same topic" in (made.status[0].ready[PREDICTIONS.name]() or ""))
        assert "not the same topic" in made.status[0].ready[BUNDLES.name]()


async def test_a_broker_that_goes_away_is_waited_for(tmp_path, live):
    async with house(tmp_path, live, depths=("bundle", "bundle")) as made:
        made.start(0)
        made.start(1)
        await publish_all(made, live)
        made.broker.faults.down = True
        await asyncio.sleep(0.1)
        made.broker.faults.down = False
        made.broker.wake()
        await made.until(lambda: made.finalized() == 3)
