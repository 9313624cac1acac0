"""From a raw event through lanes, bundle, signers and chain to index and stream, by one trace."""

import asyncio
import contextlib

import lanes_world as lanes
import msgspec
import pytest
from index_scene import Said, Scene
from loop_world import Stages
from m0_indexer.consume import BundleStore
from m0_indexer.follow import ProgramFollower
from m0_indexer.publish import Publisher
from m0_ingest.writer import ConnectorWriter
from m0_realtime.service import Realtime
from m0_signer.guard import Guard
from m0_signer.runner import Pace
from m0_signer.service import Signer
from m0chain import Programs
from m0chain.idl import ORACLE
from m0common import settings
from m0common.clock import ManualClock
from m0common.messages import HeaderMessage
from m0common.process import Process
from m0common.store.postgres import transaction
from m0common.tasks import end_task
from m0common.telemetry.context import ids_of
from m0common.telemetry.traces import epoch_span, epoch_trace, inject
from m0common.topics import BUNDLES, HEADERS, SUBMISSIONS
from m0lanes.control import EPOCH_END
from m0lanes.door import decode_event
from memory_chain import MemoryChain
from realtime_world import Talk, free_port
from signer_vm import Vm
from solders.pubkey import Pubkey
from stream_world import World
from websockets.asyncio.client import connect

pytestmark = pytest.mark.postgres
FAST = Pace(poll_s=0.01, stagger_s=0.02, linger_s=0.2, first_pause_s=0.01, longest_pause_s=0.05)


class Walk:
    """One epoch of the catalog `coins` on one broker, and the spans that it left."""

    def __init__(self, stages, spans, folder):
        self.stages, self.spans, self.folder = stages, spans, folder
        self.epoch_id = stages.first
        self.trace_id = ids_of(epoch_trace("coins", self.epoch_id)).trace_id

    def said(self, name, trace_id=None):
        """The spans of a name in the epoch's trace, or in another."""
        wanted = self.trace_id if trace_id is None else trace_id
        return [s for s in self.spans.get_finished_spans() if s.name == name and s.context.trace_id == wanted]

    async def lanes(self):
        """An epoch's events and its marker, written as ingest does, and what the stages make of them."""
        world = lanes.season(1, first=self.epoch_id)
        writer = ConnectorWriter(self.stages.broker, "test", lanes.PARTITIONS)
        await writer.start()
        for record in world.records:
            event = decode_event(record.value)
            if event.kind == EPOCH_END and b'"epoch_id":%d' % self.epoch_id in record.value:
                with epoch_span("epoch marker", "coins", self.epoch_id, first=True):
                    await writer.say([record.partition], record.value, inject())
            elif event.group:
                await writer.write([event])
            else:
                await writer.say([record.partition], record.value)
        await writer.stop()
        self.stages.start()
        await self.stages.until_said(await self.stages.expected())

    @contextlib.asynccontextmanager
    async def signers(self):
        vm = Vm((self.epoch_id + 1) * lanes.EPOCH_MS, 2, 2)
        tasks, guards = [], []
        for index in range(2):
            config = settings.Settings(
                signer=settings.Signer(name=f"signer-{index}", depth="bundle"), catalogs={"coins": settings.Catalog()}
            )
            port, guard = vm.port(index), await Guard.open(self.folder / f"{index}.guard", bytes(vm.program))
            guards.append(guard)
            deployed = Programs(vm.program, Pubkey.new_unique())
            signer = Signer(deployed, lanes.HEART, self.stages.broker, port, port.key, guard, pace=FAST)

            async def compose(process, signer=signer):
                await signer.begin(process)

            process = Process(config.signer.name, config, ManualClock())
            tasks.append(asyncio.create_task(process.live(compose)))
        try:
            yield vm
        finally:
            for task, guard in zip(tasks, guards, strict=True):
                await end_task(task)
                await guard.close()

    async def index(self, pool):
        """What the chain says of the epoch, its bundle from the log, and what is published of it."""
        (record,) = await self.stages.read(HEADERS.name)
        message = msgspec.msgpack.decode(record.value, type=HeaderMessage)
        said = Said(message, tuple(r.value for r in await self.stages.read(BUNDLES.name)))
        scene, clock = Scene(MemoryChain()), ManualClock()
        scene.set_up(["coins"])
        signature = scene.whole_epoch(said)
        scene.chain.finalize()
        store = BundleStore(clock, lambda: None)
        async with transaction(pool) as connection:
            for piece in said.pieces:
                await store.add_piece(connection, piece)
            await store.add_header(connection, record.value)
        await ProgramFollower(
            ORACLE, scene.programs.oracle, scene.programs, scene.chain, pool, clock, lambda: None
        ).once()
        producer = self.stages.broker.producer()
        await producer.start()
        await Publisher(pool, self.stages.broker, clock, asyncio.Event()).once(producer)
        await producer.stop()
        return record, signature


async def test_one_trace_leads_from_a_raw_event_to_its_transactions_and_its_frame_on_the_stream(spans, pool, tmp_path):
    async with Stages(World()) as stages:
        walk = Walk(stages, spans, tmp_path)
        await walk.lanes()
        async with walk.signers() as vm:
            await stages.until(lambda: vm.catalog("coins").finalized_count == 1)
            await stages.until(lambda: len(walk.said("signer reveal")) == 2)

            async def reported():
                return len(await stages.read(SUBMISSIONS.name)) >= 5

            await stages.until(reported)
        port = free_port()
        process = Process("realtime", settings.Settings(), ManualClock())
        service = Realtime(stages.broker, f"127.0.0.1:{port}", process.clock, process.status)
        serving = asyncio.create_task(process.live(service.begin))
        await stages.until(service.finalized.ready.is_set)
        async with connect(f"ws://127.0.0.1:{port}/ws", compression=None) as socket:
            client = Talk(socket)
            await client.subscribe("epochs.coins", "predictions.coins")
            header, signature = await walk.index(pool)
            frames = {}
            while len(frames) < 2:
                frame = await client.hear(60)
                if frame["op"] == "update":
                    frames[frame["channel"]] = frame["traceparent"]
        await end_task(serving)

    # the raw event: a trace of its own, linked to the epoch's
    events = [s for s in spans.get_finished_spans() if s.name == "raw event" and s.attributes["m0.kind"] == "toss"]
    steps = [step for event in events for step in walk.said("normalize step", event.context.trace_id)]
    assert any(link.context.trace_id == walk.trace_id for step in steps for link in step.links)
    # the marker is the first span of the epoch's trace, and all stages are below it
    marker = walk.said("epoch marker")[0]
    assert marker.parent is None
    assert marker.context.span_id == ids_of(epoch_trace("coins", walk.epoch_id)).span_id
    for stage in ("normalize", "feature", "model", "bundle"):
        assert walk.said(f"{stage} step"), stage
    assert ids_of(header.headers).trace_id == walk.trace_id
    # the transactions
    assert len(walk.said("signer claim")) == 2
    for action in ("open", "commit", "reveal", "finalize"):
        landed = {span.attributes.get("m0.transaction") for span in walk.said(f"signer {action}")}
        assert landed - {None}, action
    # the index and the stream
    (published,) = walk.said("indexer publish")
    assert published.attributes["m0.transaction"] == signature
    assert walk.said("realtime publish")
    assert frames.keys() == {"epochs.coins", "predictions.coins"}
    assert {int(parent.split("-")[1], 16) for parent in frames.values()} == {walk.trace_id}
