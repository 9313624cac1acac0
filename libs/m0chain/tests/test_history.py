"""A history is what a node lists down to an empty page, or to what is known already; less is no answer."""

import hashlib

import pytest
from m0chain import ChainClient, RpcUnavailable, Timing
from scripted_node import BEHIND, ScriptedNode
from solders.pubkey import Pubkey
from solders.signature import Signature

ADDRESS = Pubkey.new_unique()
FAST = Timing(attempts=2, first_wait_s=0.01, longest_wait_s=0.02)
TIP = 5_000


def name(number):
    seed = hashlib.sha256(str(number).encode()).digest()
    return str(Signature.from_bytes(seed + seed))


class History:
    """What a node has of an address: transactions `first` to `last`, at most `page` of them an answer."""

    def __init__(self, first=0, last=250, page=1_000):
        self.first, self.last, self.page = first, last, page
        self.slots = [10 + number // 3 for number in range(last)]

    def __call__(self, _address, config):
        if config.get("minContextSlot", 0) > TIP:
            return {"error": BEHIND}
        numbers = {name(number): number for number in range(self.first, self.last)}
        below = numbers.get(config.get("before"), self.last if "before" not in config else self.first)
        above = numbers.get(config.get("until"), self.first - 1)
        chosen = list(range(below - 1, above, -1))[: min(self.page, config["limit"])]
        return {"result": [self.row(number) for number in chosen]}

    def row(self, number):
        return {
            "signature": name(number), "slot": self.slots[number], "err": None, "memo": None, "blockTime": None,
            "confirmationStatus": "finalized",
        }  # fmt: skip


@pytest.fixture
async def node():
    async with ScriptedNode() as made:
        yield made


async def since(node, until=None, **options):
    async with ChainClient(node.url, timing=FAST) as client:
        return [info.signature async for info in client.signatures_since(ADDRESS, until, **options)]


@pytest.mark.parametrize("page", [1, 7, 100, 249, 250, 1_000])
@pytest.mark.parametrize("known", [None, 0, 3, 149, 248])
async def test_a_short_page_is_not_the_end(node, page, known):
    node.answers["getSignaturesForAddress"] = History(page=page)
    expected = [name(number) for number in range(0 if known is None else known + 1, 250)]
    assert await since(node, None if known is None else name(known)) == expected


@pytest.mark.parametrize("page", [7, 100, 1_000])
@pytest.mark.parametrize("known", [None, 149])
@pytest.mark.parametrize("at_most", [1, 30, 100, 101, 250, 1_000])
async def test_of_a_long_history_the_oldest_part_is_kept(node, page, known, at_most):
    node.answers["getSignaturesForAddress"] = History(page=page)
    expected = [name(number) for number in range(0 if known is None else known + 1, 250)]
    assert await since(node, None if known is None else name(known), at_most=at_most) == expected[:at_most]


async def test_nothing_new_is_one_request(node):
    node.answers["getSignaturesForAddress"] = History()
    assert await since(node, name(249)) == []
    assert len(node.asked) == 1


async def test_a_history_that_does_not_reach_down_to_what_is_known_is_no_answer(node):
    node.answers["getSignaturesForAddress"] = History(first=100)
    with pytest.raises(RpcUnavailable, match="ask a node whose history is longer"):
        await since(node, name(50))


async def test_a_page_of_another_node_that_lost_the_rest_is_no_answer(node):
    whole, short = History(page=100), History(first=200, page=100)

    def answer(address, config):
        return (whole if "before" not in config else short)(address, config)

    node.answers["getSignaturesForAddress"] = answer
    with pytest.raises(RpcUnavailable):
        await since(node, name(3))


async def test_what_is_known_is_found_also_by_a_node_that_lists_on_behind_it(node):
    history = History(page=100)
    node.answers["getSignaturesForAddress"] = lambda address, config: history(address, {**config, "until": None})
    assert await since(node, name(3)) == [name(number) for number in range(4, 250)]


async def test_a_node_that_ignores_where_to_go_on_is_no_answer(node):
    history = History(page=100)
    node.answers["getSignaturesForAddress"] = lambda address, config: history(address, {"limit": config["limit"]})
    with pytest.raises(RpcUnavailable, match="round in circles"):
        await since(node)


async def test_later_pages_are_asked_of_nodes_that_have_reached_the_first(node):
    history = History(page=100)
    node.answers["getSignaturesForAddress"] = history
    await since(node, min_context_slot=20)
    wanted = [params[1].get("minContextSlot") for _, params in node.asked]
    assert wanted == [20, *[history.slots[249]] * 3]
