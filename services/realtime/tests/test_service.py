"""Over a real socket: snapshot, updates without a hole, resume or an announced gap, restarts, and limits."""

import asyncio
import json

import httpx2
import msgspec
import pytest
from m0_realtime import limits
from m0_realtime.numbering import Anchor
from m0common.errors import SettingsError
from m0common.messages import FinalizedPrediction
from m0common.process import Process
from m0common.settings import Settings
from m0common.stream.door import PROVISIONAL_GRACE_MS
from m0common.stream.records import Produce
from m0common.topics import FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, PROVISIONAL, REALTIME_ANCHORS, REGISTRY
from realtime_world import OUTCOMES, World
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


@pytest.fixture
async def world():
    world = World()
    await world.topics()
    for market in ("M0", "M1"):
        await world.market(market)
    await world.epoch(1)
    await world.epoch(2)
    return world


async def test_a_snapshot_then_every_update_with_the_next_number(world):
    async with world.service(), world.client() as client:
        assert (await client.subscribe("epochs.sports"))["channels"] == ["epochs.sports"]
        snapshot = await client.hear_op("snapshot")
        assert (snapshot["channel"], snapshot["seq"]) == ("epochs.sports", 2)
        assert [item["epoch_id"] for item in snapshot["data"]] == [2, 1]
        for epoch_id in (3, 4, 5):
            await world.epoch(epoch_id)
            update = await client.hear_op("update")
            assert (update["seq"], update["data"]["epoch_id"]) == (epoch_id, epoch_id)
            assert update["ts_ms"] == world.clock.now_ms()


async def test_epochs_look_like_rest(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports")
        item = (await client.hear_op("snapshot"))["data"][0]
        assert item == {
            "catalog": "sports",
            "epoch_id": 2,
            "status": "finalized",
            "window_start_ms": 40_000,
            "window_end_ms": 60_000,
            "leaf_count": 2,
            "merkle_root": item["merkle_root"],
            "bundle_hash": item["bundle_hash"],
            "prev_bundle_hash": item["prev_bundle_hash"],
            "signer_set_id": 1,
            "commit_deadline_ms": 100_000,
            "reveal_deadline_ms": 140_000,
            "signers": [
                {"signer": "A", "committed": True, "revealed": True, "bundle_hash": item["bundle_hash"]},
                {"signer": "B", "committed": True, "revealed": False, "bundle_hash": None},
            ],
            "finalized_slot": 77,
            "finalize_signature": "sig",
            "body": "available",
        }
        assert len(item["merkle_root"]) == len(item["bundle_hash"]) == 64


async def test_predictions_look_like_rest_and_a_market_has_a_channel_of_its_own(world):
    async with world.service(), world.client() as client:
        await client.subscribe("predictions.sports", "market.M1")
        whole = await client.hear_op("snapshot")
        own = await client.hear_op("snapshot")
        assert whole["seq"] == 4
        assert [item["market_id"] for item in whole["data"]] == ["M0", "M1"]
        assert (own["channel"], own["seq"], own["data"]) == ("market.M1", 2, [whole["data"][1]])
        item = own["data"][0]
        assert item["outcomes"][0] == {
            "name": "up", "p": 0.45, "lo": 0.4, "hi": 0.5,
            "p_ppb": 450_000_000, "lo_ppb": 400_000_000, "hi_ppb": 500_000_000,
        }  # fmt: skip
        assert item["outcomes"][1]["name"] == "down"
        assert (item["status"], item["epoch_id"], item["quality_flags"]) == ("finalized", 2, ["stale"])
        assert list(item) == [
            "market_id", "catalog", "epoch_id", "status", "outcomes", "risk_bps", "quality_flags", "model",
            "model_key", "features_hash", "window_end_ms", "bundle_hash",
        ]  # fmt: skip
        await world.epoch(3)
        updates = [await client.hear_op("update") for _ in range(3)]
        assert sorted((u["channel"], u["seq"]) for u in updates) == [
            ("market.M1", 3),
            ("predictions.sports", 5),
            ("predictions.sports", 6),
        ]


async def test_a_wildcard_covers_channels_that_come_later(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.*")
        assert (await client.hear_op("snapshot"))["channel"] == "epochs.sports"
        await world.epoch(1, catalog="crypto")
        snapshot = await client.hear_op("snapshot")
        assert (snapshot["channel"], snapshot["seq"], snapshot["data"]) == ("epochs.crypto", 0, [])
        assert (await client.hear_op("update"))["seq"] == 1
        await world.epoch(3)
        assert (await client.hear_op("update"))["channel"] == "epochs.sports"


async def test_a_channel_without_anything_yet_starts_at_nothing(world):
    async with world.service(), world.client() as client:
        await client.subscribe("predictions.crypto", "alerts", "market.LATER")
        for channel in ("predictions.crypto", "alerts", "market.LATER"):
            assert await client.hear() == {"op": "snapshot", "channel": channel, "seq": 0, "data": []}
        await world.epoch(1, ("LATER",), catalog="crypto")
        updates = [await client.hear_op("update") for _ in range(2)]
        assert {u["channel"]: u["seq"] for u in updates} == {"predictions.crypto": 1, "market.LATER": 1}


async def test_who_resumes_gets_exactly_what_was_missed(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports", epochs__sports=1)
        assert (await client.hear_op("update"))["seq"] == 2
        assert await client.silent()


async def test_who_has_seen_everything_hears_only_what_is_new(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.*", epochs__sports=2)
        await world.epoch(3)
        assert (await client.hear_op("update"))["seq"] == 3


async def test_who_was_away_too_long_is_told_of_the_gap_and_gets_a_snapshot(world, monkeypatch):
    monkeypatch.setitem(__import__("m0_realtime.channel").channel.RINGS, "epochs", 3)
    for epoch_id in range(3, 11):
        await world.epoch(epoch_id)
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports", epochs__sports=6)
        assert await client.hear() == {
            "op": "gap", "channel": "epochs.sports", "from": 7, "to": 10, "reason": "expired",
        }  # fmt: skip
        assert (await client.hear_op("snapshot"))["seq"] == 10
        await client.subscribe("epochs.sports", epochs__sports=7)
        assert [(await client.hear_op("update"))["seq"] for _ in range(3)] == [8, 9, 10]


async def test_a_number_from_the_future_is_answered_with_a_reset(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports", epochs__sports=99)
        frame = await client.hear_op("gap")
        assert (frame["from"], frame["to"], frame["reason"]) == (100, 2, "reset")
        assert (await client.hear_op("snapshot"))["seq"] == 2


async def test_numbers_are_the_same_after_a_restart(world):
    async with world.service(), world.client() as client:
        await client.subscribe("predictions.sports")
        before = await client.hear_op("snapshot")
    await world.epoch(3)
    async with world.service(), world.client() as client:
        await client.subscribe("predictions.sports", predictions__sports=before["seq"])
        assert [(await client.hear_op("update"))["data"]["epoch_id"] for _ in range(2)] == [3, 3]
        assert await client.silent()


async def test_numbers_are_the_same_after_a_restart_on_a_log_whose_beginning_is_gone(world):
    async with world.service():
        pass
    world.broker.truncate(FINALIZED_EPOCHS.name, 0, 1)
    world.broker.truncate(FINALIZED_PREDICTIONS.name, 0, 3)
    await world.epoch(3)
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports", "predictions.sports", epochs__sports=1, predictions__sports=3)
        frames = [await client.hear_op("update") for _ in range(5)]
        assert [(f["seq"], f["data"]["epoch_id"]) for f in frames] == [(2, 2), (3, 3), (4, 2), (5, 3), (6, 3)]


async def test_without_an_anchor_a_cut_log_announces_a_gap_and_never_repeats_a_number(world):
    world.broker.truncate(FINALIZED_EPOCHS.name, 0, 1)
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports", epochs__sports=0)
        assert (await client.hear_op("gap"))["to"] == 2
        assert (await client.hear_op("snapshot"))["seq"] == 2


async def test_what_the_indexer_says_twice_is_published_once(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports", "predictions.sports")
        assert [(await client.hear_op("snapshot"))["seq"] for _ in range(2)] == [2, 4]
        await world.epoch(2)
        await world.epoch(1)
        await world.epoch(3)
        frames = [await client.hear_op("update") for _ in range(3)]
        assert sorted(f["seq"] for f in frames) == [3, 5, 6]
        assert {f["data"]["epoch_id"] for f in frames} == {3}


async def test_a_market_listed_together_with_its_first_prediction_has_names(world):
    async with world.service(), world.client() as client:
        await client.subscribe("market.NEW")
        await client.hear_op("snapshot")
        await world.market("NEW")
        await world.epoch(3, ("NEW",))
        update = await client.hear_op("update")
        assert [o["name"] for o in update["data"]["outcomes"]] == ["up", "down"]


async def test_a_closed_market_leaves_the_snapshots(world):
    async with world.service(), world.client() as client:
        await world.market("M0", state="DEPRECATED")
        await asyncio.sleep(0.1)
        await client.subscribe("predictions.sports", "market.M0")
        assert [i["market_id"] for i in (await client.hear_op("snapshot"))["data"]] == ["M1"]
        assert [i["epoch_id"] for i in (await client.hear_op("snapshot"))["data"]] == [2]
        await world.epoch(3)
        for _ in range(3):
            await client.hear_op("update")
        await client.subscribe("predictions.sports")
        assert [i["market_id"] for i in (await client.hear_op("snapshot"))["data"]] == ["M1"]


async def test_provisional_predictions_are_conflated_to_the_newest(world, monkeypatch):
    monkeypatch.setattr(limits, "CONFLATE_S", 0.2)
    async with world.service(), world.client() as client:
        await client.subscribe("provisional.sports")
        first = await client.hear_op("snapshot")
        for seq in range(1, 51):
            await world.provisional("M0", seq, risk_bps=seq)
        await world.provisional("M0", 50, risk_bps=9999)  # a repeat after a restart of the model
        await world.provisional("M1", 51)
        updates = [await client.hear_op("update") for _ in range(2)]
        assert [u["data"]["market_id"] for u in updates] == ["M0", "M1"]
        assert updates[0]["data"]["risk_bps"] == 50
        assert updates[0]["data"]["status"] == "provisional"
        assert [u["seq"] for u in updates] == [first["seq"] + 1, first["seq"] + 2]
        assert await client.silent()
        await client.subscribe("provisional.sports")
        assert len((await client.hear_op("snapshot"))["data"]) == 2


async def test_a_provisional_prediction_says_neither_what_the_model_saw_nor_a_bundle(world):
    async with world.service(), world.client() as client:
        await client.subscribe("provisional.sports")
        await client.hear_op("snapshot")
        await world.provisional("M0", 1)
        data = (await client.hear_op("update"))["data"]
        assert (data["status"], data["features_hash"], data["bundle_hash"]) == ("provisional", None, None)
        assert data["outcomes"][0]["p_ppb"] == 450_000_000


async def test_of_several_provisional_predictions_the_highest_life_and_cause_counts(world):
    async with world.service(), world.client() as client:
        await client.subscribe("provisional.sports")
        await client.hear_op("snapshot")
        await world.provisional("M0", 9, risk_bps=1)
        await world.provisional("M0", 2, risk_bps=3, life=1)
        await world.provisional("M0", 8, risk_bps=2)
        await world.provisional("M0", 1, risk_bps=4, life=1)
        assert (await client.hear_op("update"))["data"]["risk_bps"] == 3
        assert await client.silent()


async def test_a_provisional_prediction_is_shown_while_its_epoch_is_open(world):
    now = world.clock.now_ms() // 20_000
    async with world.service(), world.client() as client:
        await client.subscribe("provisional.sports")
        await client.hear_op("snapshot")
        await world.provisional("M0", 1, epoch_id=now - 2)  # its window has long been over
        await world.provisional("M1", 2, epoch_id=now)
        assert (await client.hear_op("update"))["data"]["market_id"] == "M1"
        await world.epoch(now)
        await asyncio.sleep(0.1)
        await client.subscribe("provisional.sports")
        assert (await client.hear_op("snapshot"))["data"] == []
        await world.provisional("M1", 3, epoch_id=now)  # late: the epoch is final
        assert await client.silent(0.4)


async def test_a_provisional_prediction_leaves_the_snapshot_when_its_window_is_long_over(world, monkeypatch):
    monkeypatch.setattr(limits, "POLL_MS", 20)
    async with world.service(), world.client() as client:
        await client.subscribe("provisional.sports")
        await client.hear_op("snapshot")
        await world.provisional("M0", 1)
        await client.hear_op("update")
        world.clock.advance(20_000 + PROVISIONAL_GRACE_MS)
        await asyncio.sleep(0.1)
        await client.subscribe("provisional.sports")
        assert (await client.hear_op("snapshot"))["data"] == []


async def test_a_provisional_channel_resumes_with_an_announced_gap_across_restarts(world):
    async with world.service(), world.client() as client:
        await world.provisional("M0", 1)
        await client.subscribe("provisional.sports")
        await client.hear_op("snapshot")
        last = (await client.hear_op("update"))["seq"]
    world.clock.advance(1)
    async with world.service(), world.client() as client:
        await asyncio.sleep(limits.CONFLATE_S + 0.1)
        await client.subscribe("provisional.sports", provisional__sports=last)
        gap = await client.hear_op("gap")
        assert (gap["from"], gap["reason"]) == (last + 1, "conflated")
        assert (await client.hear_op("snapshot"))["seq"] == gap["to"]


async def test_unsubscribed_means_silence(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.*", "market.M0")
        await client.hear_op("snapshot")
        await client.hear_op("snapshot")
        await client.say(op="unsubscribe", id="u", channels=["epochs.*"])
        assert await client.hear() == {"op": "unsubscribed", "id": "u", "channels": ["epochs.*"]}
        await world.epoch(3)
        assert (await client.hear_op("update"))["channel"] == "market.M0"
        assert await client.silent()


MALFORMED = {
    "": "bad_json",
    "{": "bad_json",
    "nonsense": "bad_json",
    "[" * 30_000: "bad_request",
    "[]": "bad_request",
    "null": "bad_request",
    "{}": "unknown_op",
    '{"op":1}': "unknown_op",
    '{"op":"dance","id":7}': "unknown_op",
    '{"op":"subscribe","id":7}': "bad_request",
    '{"op":"subscribe","id":7,"channels":[]}': "bad_request",
    '{"op":"subscribe","id":7,"channels":"epochs.sports"}': "bad_request",
    '{"op":"subscribe","id":7,"channels":[1]}': "bad_request",
    '{"op":"subscribe","id":7,"channels":["epochs.sports"],"resume":{"epochs.sports":-1}}': "bad_request",
    '{"op":"subscribe","id":7,"channels":["epochs.sports"],"resume":{"epochs.sports":NaN}}': "bad_json",
    '{"op":"subscribe","id":7,"channels":["epochs.sports","nothing"]}': "unknown_channel",
    '{"op":"subscribe","id":7,"channels":["epochs.SPORTS"]}': "unknown_channel",
    '{"op":"subscribe","id":7,"channels":["market.*"]}': "unknown_channel",
    '{"op":"subscribe","id":7,"channels":["*"]}': "unknown_channel",
    '{"op":"subscribe","id":7,"channels":[""]}': "unknown_channel",
    '{"op":"unsubscribe","id":7,"channels":["x"]}': "unknown_channel",
    '{"op":"ping","id":7,"deep":' + "[" * 20_000 + "]" * 20_000 + "}": "bad_json",
}


async def test_malformed_requests_are_answered_and_nobody_is_disconnected(world):
    async with world.service(), world.client() as client:
        for text, code in MALFORMED.items():
            await client.ws.send(text)
            frame = await client.hear_op("error")
            assert frame["code"] == code, text[:80]
            assert frame["message"]
            if '"id":7' in text and code != "bad_json":
                assert frame["id"] == 7
        await client.ws.send(b'{"op":"ping"}')
        assert (await client.hear_op("error"))["code"] == "binary_frame"
        await client.say(op="ping", id=8)
        assert await client.hear() == {"op": "pong", "id": 8}
        await client.say(op="ping")
        assert await client.hear() == {"op": "pong"}


async def test_a_refused_subscription_changes_nothing(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CHANNELS_PER_CLIENT", 2)
    async with world.service(), world.client() as client:
        await client.say(op="subscribe", channels=["epochs.sports", "epochs.crypto", "alerts"])
        assert (await client.hear_op("error"))["code"] == "too_many_channels"
        await world.epoch(3)
        assert await client.silent()
        await client.subscribe("epochs.sports")


async def test_a_message_too_large_closes_with_1009(world):
    async with world.service(), world.client() as client:
        await client.ws.send("x" * (limits.MAX_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed) as caught:
            await client.hear()
        assert caught.value.rcvd.code == 1009


async def test_who_talks_too_fast_waits_and_stays(world, monkeypatch):
    monkeypatch.setattr(limits, "REQUEST_BURST", 5)
    monkeypatch.setattr(limits, "REQUESTS_PER_S", 50.0)
    async with world.service(), world.client() as client:
        start = asyncio.get_running_loop().time()
        for i in range(20):
            await client.say(op="ping", id=i)
        assert [(await client.hear_op("pong"))["id"] for _ in range(20)] == list(range(20))
        assert asyncio.get_running_loop().time() - start > 0.2


async def test_one_address_may_not_hold_everything(world):
    async with world.service(connections_per_address_max=2), world.client() as first:
        async with world.client() as second:
            await second.say(op="ping")
            await second.hear_op("pong")
            with pytest.raises(InvalidStatus) as caught:
                async with world.client():
                    pass
            assert caught.value.response.status_code == 429
            assert json.loads(caught.value.response.body)["code"] == "too_many_connections"
        await first.say(op="ping")
        await first.hear_op("pong")
        async with world.client() as third:
            await third.say(op="ping")
            await third.hear_op("pong")


async def test_clients_behind_a_trusted_proxy_are_told_apart_and_others_cannot_name_themselves(world):
    limit = {"connections_per_address_max": 1}
    for trusted, refused in ((["127.0.0.0/8"], False), ([], True)):
        first = {"X-Forwarded-For": "192.0.2.1"}
        async with world.service(**limit, trusted_proxies=trusted), world.client(**first) as one:
            await one.say(op="ping")
            await one.hear_op("pong")
            if refused:
                with pytest.raises(InvalidStatus):
                    async with world.client(**{"X-Forwarded-For": "192.0.2.2"}):
                        pass
                continue
            async with world.client(**{"X-Forwarded-For": "192.0.2.2"}) as other:
                await other.say(op="ping")
                await other.hear_op("pong")
                with pytest.raises(InvalidStatus):
                    async with world.client(**{"X-Forwarded-For": "198.51.100.7, 192.0.2.1"}):
                        pass


async def test_who_does_not_read_is_cut_with_a_reason_and_the_others_hear_everything(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUFFERED_BYTES", 20_000)
    monkeypatch.setattr(limits, "ABORT_AFTER_S", 30.0)
    async with world.service() as service, world.client() as reader:
        await reader.subscribe("epochs.sports")
        await reader.hear_op("snapshot")
        url = f"ws://127.0.0.1:{world.port}/ws"
        async with connect(url, compression=None, max_queue=1, ping_interval=None) as slow:
            await slow.send(json.dumps({"op": "subscribe", "channels": ["epochs.sports"]}))
            sent, heard = 0, 2
            assert json.loads(await slow.recv())["op"] == "subscribed"
            slow.transport.pause_reading()
            while sent < 20_000:
                for _ in range(100):
                    sent += 1
                    publish(service, "x" * 2000)
                for _ in range(100):
                    update = await reader.hear_op("update")
                    heard += 1
                    assert update["seq"] == heard
                if any(client._cut for client in service.hub._held):
                    break
            assert any(client._cut for client in service.hub._held), "the slow client was never cut"
            slow.transport.resume_reading()
            with pytest.raises(ConnectionClosed) as caught:
                await read_to_the_end(slow)
            assert caught.value.rcvd.code == limits.SLOW_CONSUMER_CODE == 4008
            assert caught.value.rcvd.reason.startswith("slow_consumer")


async def read_to_the_end(socket):
    while True:
        await asyncio.wait_for(socket.recv(), 5)


def publish(service, text):
    from m0_realtime.names import parse

    service.hub.publish(parse("epochs.sports"), "k", json.dumps({"text": text}).encode(), 1)


async def test_a_large_snapshot_is_no_reason_to_be_cut(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUFFERED_BYTES", 100)
    async with world.service() as service, world.client() as client:
        for i in range(60):
            publish(service, "y" * 50_000 + str(i))
        await client.subscribe("epochs.sports")
        await client.hear_op("snapshot")
        publish(service, "z")
        await client.hear_op("update")


async def test_health_readiness_and_metrics_are_on_the_same_port(world):
    async with world.service(), httpx2.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as http:
        for path in ("/health", "/ready"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        async with world.client() as client:
            await client.subscribe("epochs.*")
            text = (await http.get("/metrics")).text
            assert "m0_realtime_connections 1.0" in text
            assert "m0_realtime_subscriptions 1.0" in text
        answer = await http.get("/nothing")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_until_the_log_is_read_it_is_healthy_but_not_ready():
    world = World()  # no topics yet
    async with world.service(wait=False) as service:
        await asyncio.sleep(0.1)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as http:
            assert (await http.get("/health")).status_code == 200
            answer = await http.get("/ready")
            assert (answer.status_code, "rebuilt" in answer.json()["problems"]["channels"]) == (503, True)
        with pytest.raises(InvalidStatus):
            async with world.client():
                pass
        await world.topics()
        await asyncio.wait_for(service.finalized.ready.wait(), 10)
        async with world.client() as client:
            await client.subscribe("epochs.*")


async def test_a_restart_tells_clients_to_come_back(world):
    service = world.service()
    await service.__aenter__()
    async with world.client() as client:
        await client.subscribe("alerts")
        await client.hear_op("snapshot")
        await service.__aexit__(None, None, None)
        with pytest.raises(ConnectionClosed) as caught:
            await client.hear()
    assert caught.value.rcvd.code == 1001
    assert "resume" in caught.value.rcvd.reason


async def test_a_taken_address_is_one_clear_sentence(world):
    async with world.service():
        second = Process("realtime", Settings(), world.clock)
        with pytest.raises(SettingsError, match=f"127.0.0.1:{world.port} cannot be bound"):
            await second.live(world.realtime(second).begin)


BROKEN = [
    b"", b"\xc1", b"{}", b"\x93\x01", b"\x91\xa1\xff", b"\x91\xa3\xed\xa0\x80", b"\x91" * 50_000,
    b"\x9f" + b"\xa1a" * 15,
]  # fmt: skip


async def test_records_that_are_no_messages_are_counted_and_passed(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports")
        await client.hear_op("snapshot")
        for value in BROKEN:
            for topic in (FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, PROVISIONAL, REGISTRY):
                await world.producer.send([Produce(topic.name, 0, None, value)])
        await world.epoch(3)
        assert (await client.hear_op("update"))["seq"] == 3


async def test_a_message_about_what_cannot_exist_leaves_no_trace_that_a_restart_stumbles_over(world):
    async with world.service(), world.client() as client:
        await client.subscribe("predictions.*", "provisional.*")
        await client.hear_op("snapshot")
        await world.epoch(1, catalog="a catalog\0", markets=())
        await world.provisional("not\0a market", 1)
        await world.provisional("M0", 1, outcomes=OUTCOMES[:1])  # not a distribution
        await world.provisional("M0", 1, window_end_ms=1 << 63)
        wrong = FinalizedPrediction("not a market", "sports", 3, bytes(32), 0, b"", "pool")
        await world.put(FINALIZED_PREDICTIONS, wrong)
        await world.epoch(3)
        updates = [(await client.hear_op("update"))["data"]["market_id"] for _ in range(2)]
        assert updates == ["M0", "M1"]
    async with world.service(), world.client() as client:
        await client.subscribe("predictions.sports")
        assert (await client.hear_op("snapshot"))["seq"] == 6


async def test_an_anchor_that_cannot_be_read_is_passed_over(world):
    odd = Anchor(FINALIZED_EPOCHS.name, 0, 1, {"market.not a market": 7})
    for value in [*BROKEN, msgspec.msgpack.encode(odd)]:
        await world.producer.send([Produce(REALTIME_ANCHORS.name, 0, b"k", value)])
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports")
        assert (await client.hear_op("snapshot"))["seq"] == 2


async def test_the_broker_may_go_away_for_a_while_and_readiness_says_so(world):
    async with world.service(), world.client() as client:
        await client.subscribe("epochs.sports")
        await client.hear_op("snapshot")
        world.broker.faults.down = True
        await until(lambda: "no broker has answered" in str(world.status.ready["log"]()))
        world.broker.faults.down = False
        await world.epoch(3)
        assert (await client.hear_op("update"))["seq"] == 3
        await until(lambda: world.status.ready["log"]() is None)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what readiness sees is asked for, not told
            await asyncio.sleep(0.05)
