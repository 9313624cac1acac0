import asyncio
import contextlib

import lanes_world as world
import pytest
from m0_signer import metrics
from m0_signer.guard import Guard
from m0_signer.runner import Pace, Runner
from m0chain.accounts import EpochStatus
from m0common.canonical import BundleHeader, attestation_digest, signer_set_digest
from m0common.clock import ManualClock
from m0common.metrics_page import metrics as metrics_of
from m0common.telemetry.metrics import Counter
from prometheus_client import REGISTRY
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, Live
from signer_vm import COMMIT_MS, REVEAL_MS, Vm
from solders.signature import Signature

FAST = Pace(poll_s=0.01, stagger_s=0.02, linger_s=0.2, first_pause_s=0.01, longest_pause_s=0.05)


@pytest.fixture(scope="module")
def bundles():
    return Live(world.season(3).records).headers


class ThrottledKey:
    """A key store whose back end refuses a few times with an error of its own."""

    def __init__(self, key, refusals):
        self.key, self.refusals = key, refusals
        self.public_key = key.public_key

    async def sign(self, message):
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("ThrottlingException: rate exceeded")
        return await self.key.sign(message)


class Member:
    """Signer number `index` on a chain, with a guard that outlives its runner."""

    def __init__(self, vm, index, folder):
        self.vm, self.index, self.path = vm, index, folder / f"guard-{index}"
        self.reports = []
        self.guard = None

    async def start(self):
        self.guard = await Guard.open(self.path, bytes(self.vm.program))
        port = self.vm.port(self.index)
        self.runner = Runner(self.guard, port, port.key, ManualClock(), self.reports.append, FAST)
        for decision in await self.guard.unfinished():
            self.runner.start(decision)

    async def die(self):
        await self.runner.stop()
        await self.guard.close()

    async def sign(self, bundle):
        header = BundleHeader.decode(bundle.header)
        hashed = header.bundle_hash
        self.runner.start(await self.guard.decide(bundle.catalog, bundle.epoch_id, hashed, bundle.header))

    def actions(self):
        return [(r.action, r.epoch_id) for r in self.reports]


@contextlib.asynccontextmanager
async def members(vm, folder):
    group = [Member(vm, i, folder) for i in range(len(vm.keys))]
    for member in group:
        await member.start()
    try:
        yield group
    finally:
        for member in group:
            await member.die()


async def until(condition, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the chain is asked
            await asyncio.sleep(0.005)


@pytest.fixture
def vm():
    return Vm(BASE_MS + EPOCH_MS)


async def test_three_signers_open_commit_reveal_and_finalize_one_root(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        for member in group:
            await member.sign(bundles[0])
        await asyncio.gather(*(m.runner.idle() for m in group))
        final = vm.catalog("coins").finalized(FIRST_EPOCH)
        assert final.bundle_hash == BundleHeader.decode(bundles[0].header).bundle_hash
        assert vm.epoch("coins", FIRST_EPOCH).committed == 0b111
        everything = sorted(action for m in group for action, _ in m.actions())
        assert everything.count("open") == everything.count("finalize") == 1
        assert everything.count("commit") == 3
        assert everything.count("reveal") == 3  # a quorum of two waits a little for the third


async def test_the_attestation_reported_is_a_valid_signature_over_the_bundle(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        for member in group:
            await member.sign(bundles[0])
        await asyncio.gather(*(m.runner.idle() for m in group))
        keys = [bytes(k.pubkey()) for k in vm.keys]
        header = BundleHeader.decode(bundles[0].header)
        digest = attestation_digest(
            bytes(vm.program), "coins", FIRST_EPOCH, header.bundle_hash, signer_set_digest(1, 2, keys)
        )
        revealed = [r for m in group for r in m.reports if r.action == "reveal"]
        assert revealed
        for report in revealed:
            key = next(k.pubkey() for k in vm.keys if bytes(k.pubkey()) == report.signer)
            assert Signature.from_bytes(report.attestation).verify(key, digest)


async def test_one_missing_signer_delays_to_the_commit_deadline_and_no_further(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        for member in group[:2]:
            await member.sign(bundles[0])
        await until(lambda: sum(a == "commit" for m in group for a, _ in m.actions()) == 2)
        await asyncio.sleep(0.1)
        assert vm.epoch("coins", FIRST_EPOCH).revealed == 0
        vm.set_time(BASE_MS + EPOCH_MS + COMMIT_MS + 1000)
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED


async def test_a_signer_killed_between_commit_and_reveal_goes_on_with_its_salt(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        for member in group[:2]:
            await member.sign(bundles[0])
        await until(lambda: vm.epoch("coins", FIRST_EPOCH) and vm.epoch("coins", FIRST_EPOCH).committed == 0b011)
        for member in group[:2]:
            await member.die()
        vm.set_time(BASE_MS + EPOCH_MS + COMMIT_MS + 1000)
        for member in group[:2]:
            await member.start()
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED


async def test_epochs_of_a_catalog_become_final_in_order_even_when_the_older_one_is_slower(vm, bundles, tmp_path):
    vm.set_time(BASE_MS + 2 * EPOCH_MS)
    async with members(vm, tmp_path) as group:
        for member in group[:2]:
            await member.sign(bundles[0])  # the third is missing: waits for the commit deadline
        await until(lambda: vm.epoch("coins", FIRST_EPOCH) is not None)
        for member in group:
            await member.sign(bundles[1])
        await until(lambda: (e := vm.epoch("coins", FIRST_EPOCH + 1)) and e.quorum() is not None)
        await asyncio.sleep(0.1)
        assert vm.catalog("coins").finalized_count == 0
        vm.set_time(BASE_MS + EPOCH_MS + COMMIT_MS + 1000)
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert vm.catalog("coins").finalized_count == 2
        finalized = [epoch for m in group for action, epoch in m.actions() if action == "finalize"]
        assert sorted(finalized) == [FIRST_EPOCH, FIRST_EPOCH + 1]


async def test_without_a_quorum_the_epoch_ends_unfinalized(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        await group[0].sign(bundles[0])
        await until(lambda: ("commit", FIRST_EPOCH) in group[0].actions())
        vm.set_time(BASE_MS + EPOCH_MS + COMMIT_MS + 1000)
        await until(lambda: ("reveal", FIRST_EPOCH) in group[0].actions())
        vm.set_time(BASE_MS + EPOCH_MS + COMMIT_MS + REVEAL_MS + 1000)
        await group[0].runner.idle()
        assert vm.catalog("coins").finalized_count == 0
        assert await group[0].guard.unfinished() == []


async def test_a_node_that_is_away_is_waited_for(vm, bundles, tmp_path):
    vm.down = True
    async with members(vm, tmp_path) as group:
        for member in group:
            await member.sign(bundles[0])
        await asyncio.sleep(0.1)
        vm.down = False
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED


async def test_a_paused_program_is_waited_for(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        vm.do(vm.oracle.set_paused(vm.admin.pubkey(), paused=True))
        for member in group:
            await member.sign(bundles[0])
        await asyncio.sleep(0.1)
        assert vm.epoch("coins", FIRST_EPOCH) is None
        vm.do(vm.oracle.set_paused(vm.admin.pubkey(), paused=False))
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED


async def test_an_epoch_that_all_sign_moves_no_counter_of_failures_although_they_race(vm, bundles, tmp_path):
    counters = [each for each in metrics_of(metrics) if isinstance(each, Counter)]
    before = [each.failures() for each in counters]
    done = dict(sample(metrics.FINISHED))
    async with members(vm, tmp_path) as group:
        for member in group:
            member.runner._hold_back = no_turns  # all at once, so that they meet
            await member.sign(bundles[0])
        await asyncio.gather(*(m.runner.idle() for m in group))
    assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED
    assert [each.failures() for each in counters] == before
    assert dict(sample(metrics.FINISHED))["finalized",] - done.get(("finalized",), 0) == len(group)


def sample(metric):
    return [(tuple(labels.values()), value) for labels, value in metric.values()]


async def no_turns(step, member):
    """Nobody lets others go first."""


async def test_an_error_of_any_kind_in_a_step_is_counted_and_the_epoch_goes_on(vm, bundles, tmp_path):
    before = REGISTRY.get_sample_value("m0_signer_failures_total", {"action": "reveal", "error": "RuntimeError"}) or 0
    async with members(vm, tmp_path) as group:
        first = group[0].runner
        first._key = ThrottledKey(first._key, 3)
        for member in group[:2]:  # both are needed for the quorum
            await member.sign(bundles[0])
        await until(lambda: sum(action == "commit" for m in group for action, _ in m.actions()) == 2)
        vm.set_time(BASE_MS + EPOCH_MS + COMMIT_MS + 1000)
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert ("reveal", FIRST_EPOCH) in group[0].actions()
        assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED
    after = REGISTRY.get_sample_value("m0_signer_failures_total", {"action": "reveal", "error": "RuntimeError"})
    assert after == before + 3


async def test_an_error_that_stays_ends_with_the_epoch_and_not_before(vm, bundles, tmp_path):
    async with members(vm, tmp_path) as group:
        member = group[0]
        member.runner._key = ThrottledKey(member.runner._key, 1 << 30)
        for each in group:
            await each.sign(bundles[0])
        await until(lambda: sum(action == "reveal" for m in group for action, _ in m.actions()) == 2)
        assert member.runner.in_flight == 1 or vm.catalog("coins").finalized_count == 1
        await asyncio.gather(*(m.runner.idle() for m in group))
        assert vm.epoch("coins", FIRST_EPOCH).status is EpochStatus.FINALIZED
