"""Headers that anybody wrote beside the true ones: what they cost, and what the signer says of them."""

import asyncio
import contextlib

import lanes_world as world
import msgspec
import pytest
from m0_signer.agreement import EPOCHS_RUNNING, Agreement
from m0_signer.desk import Desk
from m0_signer.guard import Guard
from m0_signer.standing import HEADERS_PER_EPOCH
from m0common.canonical import BundleHeader
from m0common.clock import ManualClock
from m0common.stream.broker import TopicPartition
from m0common.topics import HEADERS
from prometheus_client import REGISTRY
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, Live, behind, with_header
from signer_vm import Vm

LOG = TopicPartition(HEADERS.name, 0)


@pytest.fixture(scope="module")
def live():
    return Live(world.season(3).records)


def lie(message, number=1):
    return with_header(message, merkle_root=number.to_bytes(32, "big"))


def moved(message, epochs):
    """A consistent header of a later epoch, with the window of that epoch."""
    header = BundleHeader.decode(message.header)
    shift = epochs * EPOCH_MS
    return msgspec.structs.replace(
        with_header(
            message,
            epoch_id=header.epoch_id + epochs,
            window_start_ms=header.window_start_ms + shift,
            window_end_ms=header.window_end_ms + shift,
        ),
        epoch_id=message.epoch_id + epochs,
    )


def refused(rule):
    return REGISTRY.get_sample_value("m0_signer_refusals_total", {"rule": rule}) or 0


class Desked:
    """A desk over a guard file, that remembers what it was asked to sign."""

    def __init__(self, path, vm):
        self.path, self.vm, self.signed, self.reports, self.offset = path, vm, [], [], 0
        self.open()

    def open(self):
        port = self.vm.port(0)
        self.guard = Guard(self.path, bytes(self.vm.program))
        self.desk = Desk(self.guard, port, port.key, ManualClock(), self.signed.append, self.reports.append)

    def restart(self):
        self.guard.close()
        self.open()

    async def claim(self, *messages):
        for message in messages:
            await self.desk.claim(message, LOG, self.offset)
            self.offset += 1

    async def mine(self, *messages):
        for message in messages:
            await self.desk.mine(message)

    @property
    def bundles(self):
        return [decision.bundle_hash for decision in self.signed]


@pytest.fixture
def desked(tmp_path):
    made = Desked(tmp_path / "guard", Vm(BASE_MS + 3 * EPOCH_MS))
    with contextlib.closing(made.guard):
        yield made
    made.guard.close()


def hashes(messages):
    return [BundleHeader.decode(message.header).bundle_hash for message in messages]


@pytest.mark.parametrize("computed_first", [True, False])
async def test_a_lie_before_and_behind_the_true_header_costs_no_epoch(desked, live, computed_first):
    claims = [each for message in live.headers for each in (lie(message, 1), message, lie(message, 2), message)]
    steps = [desked.mine(*live.headers), desked.claim(*claims)]
    for step in steps if computed_first else reversed(steps):
        await step
    assert desked.bundles == hashes(live.headers)
    assert desked.desk.notes() is None
    assert desked.guard.place(*LOG) >= len(claims) - 1  # a repeat may be read again


async def test_a_lie_that_the_next_lie_is_behind_is_no_link_once_the_true_header_is_known(desked, live):
    first, second, _ = live.headers
    await desked.claim(lie(first), behind(second, lie(first)), first, second)
    await desked.mine(first, second)
    assert desked.bundles == hashes([first, second])


async def test_a_true_header_whose_predecessor_was_not_seen_is_signed_beside_a_lie_about_that_one(desked, live):
    first, second, _ = live.headers
    await desked.claim(lie(first), second)
    await desked.mine(first, second)
    assert desked.bundles == hashes([second])


async def test_lies_written_ahead_do_not_stop_the_epochs_they_name(desked, live):
    desked.vm.set_time(BASE_MS + EPOCH_MS)
    await desked.claim(live.headers[0], *(moved(live.headers[0], ahead) for ahead in range(1, 3)))
    await desked.mine(*live.headers)
    desked.vm.set_time(BASE_MS + 3 * EPOCH_MS)
    await desked.claim(*live.headers[1:])
    assert desked.bundles == hashes(live.headers)


async def test_a_header_of_an_epoch_that_cannot_be_over_never_waits(desked, live):
    before = refused("early"), refused("window")
    await desked.claim(*(moved(live.headers[-1], ahead) for ahead in range(9, 61)))
    assert refused("early") == before[0] + 52
    short = with_header(moved(live.headers[-1], 40), window_start_ms=0, window_end_ms=1)
    await desked.claim(short)
    assert refused("window") == before[1] + 1
    assert desked.guard.place(*LOG) == 53  # nothing of it is waited for


async def test_a_message_that_names_another_epoch_than_its_header_never_waits(desked, live):
    before = refused("malformed")
    first = live.headers[0]
    await desked.claim(*(msgspec.structs.replace(first, epoch_id=first.epoch_id + n) for n in range(1, 61)))
    assert refused("malformed") == before + 60
    assert desked.guard.place(*LOG) == 60
    await desked.mine(*live.headers)
    await desked.claim(*live.headers)
    assert desked.bundles == hashes(live.headers)


async def test_only_so_many_headers_of_an_epoch_wait_and_others_are_counted_and_read_again(desked, live):
    before, first = refused("crowded"), live.headers[0]
    claims = [*(lie(first, n) for n in range(HEADERS_PER_EPOCH)), lie(first, 0), lie(first, 99), first]
    await desked.claim(*claims)
    assert refused("crowded") == before + 2  # a repeat takes no room
    assert not desked.desk.reads_again
    await desked.mine(*live.headers)
    assert desked.desk.reads_again
    desked.offset = desked.guard.place(*LOG)
    desked.desk.begin()
    await desked.claim(*claims[desked.offset :])
    assert desked.bundles == hashes([first])
    assert not desked.desk.reads_again
    assert desked.guard.place(*LOG) == len(claims)


async def test_the_place_to_read_on_from_is_the_first_claim_that_waits(desked, live):
    first, second, third = live.headers
    await desked.mine(first)
    await desked.claim(lie(second), first, second)
    assert desked.bundles == hashes([first])
    assert desked.guard.place(*LOG) == 0
    desked.restart()
    desked.offset = 0
    await desked.claim(lie(second), first, second, third)
    await desked.mine(first, second, third)
    assert desked.bundles == hashes(live.headers)
    assert desked.guard.place(*LOG) == 4


async def test_epochs_running_without_a_match_are_said_until_the_next_match(desked, live):
    await desked.mine(*live.headers)
    await desked.claim(*(lie(message) for message in live.headers[:2]))
    assert desked.desk.notes() is None
    await desked.claim(lie(live.headers[2]))
    note = desked.desk.notes()
    assert f"up to epoch {FIRST_EPOCH + 2}" in note
    assert "catalog coins" in note
    assert "header field merkle_root" in note
    await desked.claim(live.headers[2])
    assert desked.desk.notes() is None
    assert desked.bundles == hashes(live.headers[2:])


def test_epochs_that_no_header_came_for_are_said_but_not_the_newest_which_may_be_on_its_way():
    agreement = Agreement()
    for epoch_id in range(EPOCHS_RUNNING):
        agreement.computed("coins", epoch_id)
    assert agreement.notes() is None
    agreement.computed("coins", EPOCHS_RUNNING)
    assert "no header of it came" in agreement.notes()
    agreement.matched("sports")
    assert agreement.notes() is not None
    agreement.matched("coins")
    assert agreement.notes() is None


async def test_an_epoch_signed_before_a_restart_and_computed_again_is_not_missed(desked, live):
    await desked.mine(*live.headers)
    await desked.claim(*live.headers)
    desked.restart()
    await desked.mine(*live.headers)
    assert desked.desk.notes() is None
    assert desked.bundles == hashes(live.headers)  # nothing twice


async def test_what_is_computed_here_does_not_wait_for_a_chain_that_is_away(desked, live):
    desked.vm.down = True
    claimed = asyncio.create_task(desked.claim(*live.headers))
    async with asyncio.timeout(60):
        while desked.desk.problem() is None:  # noqa: ASYNC110 - it is asked, and tells nobody
            await asyncio.sleep(0.01)
        await desked.mine(*live.headers)
    assert not claimed.done()
    assert desked.guard.place(*LOG) is None, "what waits at the door is read again after a restart"
    desked.vm.down = False
    await claimed
    assert desked.bundles == hashes(live.headers)
    assert desked.desk.problem() is None
