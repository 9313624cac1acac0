"""What the stages count: nothing that is called a failure in ordinary work, and few series whatever strangers send."""

import lanes_world as lanes
from loop_world import NAMES
from m0common.metrics_page import metrics
from m0common.stream import metrics as defined
from m0common.telemetry.metrics import Counter


def failures():
    counters = [each for each in metrics(defined) if isinstance(each, Counter)]
    return {each.definition.name: each.failures() for each in counters}


def labels(metric, name):
    return {labels[name] for labels, _ in metric.values()}


async def test_ordinary_work_moves_no_counter_of_failures(memory_stages):
    stages = memory_stages
    before = failures()
    assert len(before) > 5
    stages.start()
    await stages.write(lanes.season(4, first=stages.first).records)
    await stages.until_said(await stages.expected())
    await stages.until(stages.ready)
    for name in NAMES:
        await stages.stop(name)
    assert failures() == before
    assert "normalize" in labels(defined.MESSAGES_OUT, "stage")


async def test_invented_sources_groups_and_kinds_make_no_series_of_their_own(memory_stages):
    stages = memory_stages
    world = lanes.season(2, first=stages.first)
    before = len(world.records)
    for number in range(300):
        for group in ("penny", f"group-{number}"):
            world.event(group, f"kind_{number}", {}, world.now_ms, source=f"stranger_{number}", partition=0)
    strangers = world.records[before:]
    stages.start()
    await stages.write(world.records)
    await stages.until_said(await stages.expected())
    await stages.until(lambda: "other" in labels(defined.DROPPED, "source"))
    assert len(strangers) == 600
    assert [source for source in labels(defined.DROPPED, "source") if source.startswith("stranger")] == []
    assert {"unlisted_source", "wrong_partition"} & labels(defined.DEAD_LETTERS, "error")
    assert len(labels(defined.DEAD_LETTERS, "error")) < 30
