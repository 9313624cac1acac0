"""Headers that anybody wrote beside the true ones: what they cost, and what the signer says of them."""

import asyncio
import contextlib
import shutil
import threading

import lanes_world as world
import msgspec
import pytest
from m0_signer.agreement import EPOCHS_RUNNING, Agreement
from m0_signer.depth import KEPT_PER_CATALOG
from m0_signer.desk import Desk
from m0_signer.guard import Guard
from m0_signer.standing import HEADERS_PER_EPOCH
from m0_signer.waiting import AT_THE_DOOR
from m0chain import RpcUnavailable
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
        self.port = self.vm.port(0)

    async def open(self):
        self.guard = await Guard.open(self.path, bytes(self.vm.program))
        self.desk = Desk(self.guard, self.port, self.port.key, ManualClock(), self.signed.append, self.reports.append)
        self.task = asyncio.create_task(self.desk.run(["coins", "empty"]))

    async def close(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.guard.close()

    async def restart(self):
        await self.close()
        await self.open()

    async def claim(self, *messages):
        await self.tell(*messages)
        await self.answered()

    async def tell(self, *messages):
        """Claim, and wait for no answer of the chain."""
        for message in messages:
            await self.desk.claim(message, LOG, self.offset)
            self.offset += 1

    async def mine(self, *messages):
        for message in messages:
            await self.desk.mine(message)
        await self.answered()

    async def answered(self):
        """Until nothing waits for the chain, if it is not away."""
        await self.until(lambda: self.desk.is_idle or self.vm.down)

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)

    async def place(self):
        return await self.guard.place(*LOG)

    @property
    def bundles(self):
        return [decision.bundle_hash for decision in self.signed]


@pytest.fixture
async def desked(tmp_path):
    made = Desked(tmp_path / "guard", Vm(BASE_MS + 3 * EPOCH_MS))
    await made.open()
    yield made
    await made.close()


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
    assert await desked.place() >= len(claims) - 1  # a repeat may be read again


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
    assert await desked.place() == 53  # nothing of it is waited for


async def test_a_message_that_names_another_epoch_than_its_header_never_waits(desked, live):
    before = refused("malformed")
    first = live.headers[0]
    await desked.claim(*(msgspec.structs.replace(first, epoch_id=first.epoch_id + n) for n in range(1, 61)))
    assert refused("malformed") == before + 60
    assert await desked.place() == 60
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
    desked.offset = (await desked.desk.begin({LOG: 0}))[LOG]
    await desked.claim(*claims[desked.offset :])
    assert desked.bundles == hashes([first])
    assert not desked.desk.reads_again
    assert await desked.place() == len(claims)


async def test_the_place_to_read_on_from_is_the_first_claim_that_waits(desked, live):
    first, second, third = live.headers
    await desked.mine(first)
    await desked.claim(lie(second), first, second)
    assert desked.bundles == hashes([first])
    assert await desked.place() == 0
    await desked.restart()
    desked.offset = 0
    await desked.claim(lie(second), first, second, third)
    await desked.mine(first, second, third)
    assert desked.bundles == hashes(live.headers)
    assert await desked.place() == 4


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
    await desked.restart()
    await desked.mine(*live.headers)
    assert desked.desk.notes() is None
    assert desked.bundles == hashes(live.headers)  # nothing twice


async def test_what_is_computed_here_does_not_wait_for_a_chain_that_is_away(desked, live):
    desked.vm.down = True
    await desked.tell(*live.headers)
    await desked.mine(*live.headers)
    await desked.until(lambda: desked.desk.problem() is not None)
    assert "the node is away" in desked.desk.problem()
    assert desked.desk.problem().startswith("3 claims wait for the chain")
    assert desked.bundles == []
    assert await desked.place() is None, "what waits at the door is read again after a restart"
    desked.vm.down = False
    await desked.answered()
    assert desked.bundles == hashes(live.headers)
    assert desked.desk.problem() is None


async def test_epochs_that_matched_wait_to_be_signed_while_the_chain_is_away_and_others_are_decided(desked, live):
    first, second, third = live.headers
    await desked.claim(lie(third))  # the chain's clock shows that these epochs are over
    desked.vm.down = True
    await desked.tell(first)
    await desked.mine(first, second)
    await desked.until(lambda: desked.desk.problem() is not None)
    await desked.tell(lie(second), second, first, lie(first))
    await desked.mine(third)
    assert len(desked.reports) == 2, "the lies about the second epoch and the third, told before the chain was away"
    assert desked.desk.waiting == 2
    assert await desked.place() == 1, "the first epoch's header, which waits"
    desked.vm.down = False
    await desked.answered()
    assert desked.bundles == hashes([first, second])
    assert await desked.place() == 6
    assert desked.desk.problem() is None


class OneAway:
    """A chain that says nothing about one catalog."""

    def __init__(self, port, catalog):
        self._port, self.catalog, self.program, self.key = port, catalog, port.program, port.key
        self.signer_set = port.signer_set

    async def view(self, catalog, epoch_id, *, earlier=False):
        if catalog == self.catalog:
            raise RpcUnavailable("the node is away")
        return await self._port.view(catalog, epoch_id, earlier=earlier)


def of_another_catalog(messages):
    moved = []
    for message in messages:
        own = msgspec.structs.replace(with_header(message, catalog="empty"), catalog="empty")
        moved.append(behind(own, moved[-1]) if moved else own)
    return moved


async def test_a_catalog_that_the_chain_says_nothing_of_holds_up_no_other_one(desked, live):
    other = of_another_catalog(live.headers)
    desked.port = OneAway(desked.port, "empty")
    await desked.restart()
    for message in (*live.headers, *other):
        await desked.desk.mine(message)
    for ours, theirs in zip(live.headers, other, strict=True):
        await desked.tell(theirs, ours)
    await desked.until(lambda: desked.bundles == hashes(live.headers))
    await desked.until(lambda: desked.desk.problem() is not None)
    assert "about catalog empty: the node is away" in desked.desk.problem()
    desked.port.catalog = None
    await desked.answered()
    assert sorted(desked.bundles) == sorted([*hashes(live.headers), *hashes(other)])
    assert await desked.place() == 6


async def test_while_the_chain_is_away_only_so_many_epochs_wait_to_be_signed(desked, live):
    many = [live.headers[0]]
    for ahead in range(1, KEPT_PER_CATALOG + 2):
        many.append(behind(moved(live.headers[0], ahead), many[-1]))
    desked.vm.set_time(BASE_MS + 100 * EPOCH_MS)
    await desked.claim(lie(live.headers[2]))
    desked.vm.down = True
    before = refused("unasked")
    for message in many:
        await desked.mine(message)
        await desked.tell(message)
    assert refused("unasked") == before + 2
    assert desked.desk.waiting == KEPT_PER_CATALOG
    assert await desked.place() == 3


async def test_claims_that_find_no_room_at_the_door_are_read_again(desked, live):
    desked.vm.down = True
    await desked.mine(*live.headers)
    noise = [lie(live.headers[0], number) for number in range(AT_THE_DOOR)]
    await desked.tell(*noise, *live.headers)
    assert desked.desk.waiting == AT_THE_DOOR
    desked.vm.down = False
    await desked.answered()
    assert desked.bundles == []
    assert desked.desk.reads_again
    assert await desked.place() == AT_THE_DOOR
    begun = await desked.desk.begin({LOG: 0})
    assert begun == {LOG: AT_THE_DOOR}
    desked.offset = AT_THE_DOOR
    await desked.claim(*live.headers)
    assert desked.bundles == hashes(live.headers)
    assert not desked.desk.reads_again


class SlowDisk:
    """A chain that answers, and behind whose answers the guard's disk does nothing, once told to, until it goes on."""

    def __init__(self, desked):
        self._desked, self._port, self._free = desked, desked.port, threading.Event()
        self.program, self.key, self.signer_set = self._port.program, self._port.key, self._port.signer_set
        self.stops, self.stands = False, None

    async def view(self, catalog, epoch_id, *, earlier=False):
        answer = await self._port.view(catalog, epoch_id, earlier=earlier)
        if self.stops:
            stands = asyncio.create_task(self._desked.guard.database.run(lambda _: self._free.wait(60)))
            await asyncio.sleep(0)
            self.stands = stands
        return answer

    async def go_on(self):
        self._free.set()
        assert await self.stands


async def decides(desked, message):
    """A desk that has come to sign an epoch while its disk does nothing."""
    desked.port = disk = SlowDisk(desked)
    await desked.restart()
    await desked.claim(lie(message))  # so that the chain's clock shows that the epoch is over
    disk.stops = True
    await desked.desk.mine(message)
    await desked.tell(message)
    await desked.until(lambda: disk.stands is not None)
    for _ in range(100):
        await asyncio.sleep(0)
    assert desked.bundles == []
    return disk


async def kept(desked, suffix):
    """The decisions in a copy of the guard's file, as kill -9 would have left it."""
    guard = await Guard.open(desked.path.with_suffix(suffix), bytes(desked.vm.program))
    found = await guard.unfinished()
    await guard.close()
    return found


async def test_nothing_is_signed_before_its_decision_is_on_disk(desked, live):
    disk = await decides(desked, live.headers[0])
    shutil.copy(desked.path, desked.path.with_suffix(".copy"))
    await disk.go_on()
    await desked.until(lambda: desked.bundles == hashes(live.headers[:1]))
    assert await kept(desked, ".copy") == [], "nothing was on disk while nothing was signed"


async def test_a_desk_that_is_stopped_while_it_decides_signs_nothing_and_its_decision_is_gone_on_from(desked, live):
    disk = await decides(desked, live.headers[0])
    desked.task.cancel()
    await asyncio.wait([desked.task])
    await disk.go_on()
    await desked.restart()
    assert desked.bundles == []
    assert [decision.bundle_hash for decision in await desked.guard.unfinished()] == hashes(live.headers[:1])


class Copies:
    """Copies the guard's file whenever it is given a decision to sign."""

    def __init__(self, path):
        self.path, self.given = path, []

    def append(self, decision):
        shutil.copy(self.path, self.path.with_suffix(f".{len(self.given)}"))
        self.given.append(decision)


async def test_whatever_is_given_on_to_be_signed_is_in_the_file(desked, live):
    desked.signed = copies = Copies(desked.path)
    await desked.restart()
    await desked.mine(*live.headers)
    await desked.claim(*live.headers)
    assert [decision.bundle_hash for decision in copies.given] == hashes(live.headers)
    for number in range(len(live.headers)):
        assert await kept(desked, f".{number}") == copies.given[: number + 1]
