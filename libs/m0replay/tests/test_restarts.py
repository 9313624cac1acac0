"""A pipeline restarted behind every record says what a pipeline says, and what is said otherwise is noticed."""

import lanes_world as world
from m0common.errors import DeadLetterError
from m0common.stream.core import Letter
from m0common.stream.records import Produce
from m0replay.restarts import Restarting, Said
from msgspec.structs import replace

STAGES = ("normalize", "feature", "model", "bundle")


def run(records, *, restarts):
    said = Said()
    pipeline = Restarting(world.HEART, [said])
    closed = []
    for record in records:
        closed += pipeline.feed(record)
        if restarts:
            pipeline.restart()
    assert pipeline.parked == []
    return said, world.headers(closed)


def test_a_chain_restarted_behind_every_record_says_what_a_chain_says():
    log = world.season(3)
    log.event("penny", "broken", {"how": "raise"}, log.now_ms)
    log.toss("penny", True, log.now_ms + 25_000)
    (straight, headers), (restarted, again) = (run(log.records, restarts=each) for each in (False, True))
    assert headers == again
    assert headers.keys() == {("coins", world.FIRST + index) for index in range(3)}
    assert [restarted.digest(stage) for stage in STAGES] == [straight.digest(stage) for stage in STAGES]
    assert len(restarted.letters) == 1
    assert restarted.letters == straight.letters
    assert restarted.otherwise == restarted.faults == []


def test_what_is_said_in_two_ways_is_noticed_and_what_is_said_twice_is_not():
    outputs = []
    pipeline = Restarting(world.HEART, [lambda stage, output: outputs.append((stage, output))])
    for record in world.season(1).records:
        pipeline.feed(record)
    said = Said()
    for stage, output in outputs:
        if stage != "bundle":
            said(stage, output)
            said(stage, output)
    assert said.otherwise == []
    output = next(o for stage, o in outputs if stage == "model" and isinstance(o, Produce))
    said("model", replace(output, value=output.value[:-1] + bytes([output.value[-1] ^ 1])))
    assert [otherwise.split()[:3] for otherwise in said.otherwise] == [["stage", "model", "says"]]


def test_two_letters_of_one_record_are_noticed():
    said, (record, *_) = Said(), world.season(1).records
    for error in ("refused", "refused", "domain_raised"):
        said("normalize", Letter(record, DeadLetterError(error, "why")))
    assert said.otherwise == [f"record {record.partition}@0 costs two letters, domain_raised the second time"]
    said("feature", Letter(record, DeadLetterError("domain_raised", "why")))
    assert said.faults == [("feature", "domain_raised", "why")]
