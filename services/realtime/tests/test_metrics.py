"""What the server counts: few series whatever clients send, and no failures while everybody behaves."""

import json

from m0_realtime import metrics
from m0common.metrics_page import metrics as metrics_of
from m0common.telemetry.metrics import Counter
from realtime_world import World


def failures():
    return {each.definition.name: each.failures() for each in metrics_of(metrics) if isinstance(each, Counter)}


async def test_ordinary_clients_and_records_move_no_counter_of_failures():
    world, before = World(), failures()
    await world.topics()
    await world.market("M0")
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.*", "predictions.sports", "market.M0", "provisional.sports")
        await world.epoch(1, ("M0",))
        while (await client.hear())["op"] != "update":
            pass
    assert failures() == before


async def test_nonsense_of_clients_makes_no_series_of_its_own():
    world = World()
    await world.topics()
    async with world.service(), world.client() as client:
        for number in range(60):
            await client.ws.send(json.dumps({"op": f"op-{number}", "id": number}))
            await client.hear_op("error")
            await client.ws.send(json.dumps({"op": "subscribe", "id": number, "channels": [f"invented-{number}.x"]}))
            await client.hear_op("error")
    codes = {labels["code"] for labels, _ in metrics.REFUSED.values()}
    assert {"unknown_op", "unknown_channel"} <= codes
    assert [code for code in codes if any(letter.isdigit() for letter in code)] == []
    assert len(codes) < 20
