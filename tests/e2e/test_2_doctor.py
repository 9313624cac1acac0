"""`m0 doctor` on a running stack: every box holds, and a fault is seen by the box that is about it and by no other."""

import json
import time

import pytest
from e2e_stack import Stack
from m0common.rights import ADMINISTRATOR
from m0common.topics import DLQ
from m0kafka.confluent import ConfluentCluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

UNASKED = {"dashboard", "alerts", "backups"}
"""Boxes that are not built, and the one of an archive, which this stack has not."""


def doctor(stack: Stack, *options: str, **env: str) -> dict[str, dict]:
    done = stack.m0("doctor", "--json", *options, check=False, timeout=600, env=env)
    answer = json.loads(done.stdout)
    said = {check["name"]: check for check in answer["checks"]}
    assert answer["ok"] == (done.returncode == 0) == (not failing(said)), done.stdout
    return said


def failing(said: dict[str, dict]) -> set[str]:
    return {name for name, check in said.items() if check["ok"] is False}


def test_every_box_that_is_built_holds(stack: Stack):
    stack.all_ready()
    said = doctor(stack)
    assert failing(said) == set(), said
    assert {name for name, check in said.items() if check["ok"] is None} == UNASKED
    assert "simulated again, is refused with" in said["replay_protection"]["evidence"]
    assert "3 of 3 signatures hold" in said["finalization"]["evidence"]


def test_with_two_addresses_alone_the_public_boxes_hold(stack: Stack):
    # another name of the same machine, so that nothing of the stack is known
    here = {"M0_API_BASE": stack.api.replace("127.0.0.1", "localhost"), "M0_RPC_URL": stack.rpc}
    said = doctor(stack, **here)
    assert failing(said) == set(), said
    assert {name for name, check in said.items() if check["ok"] is None} == {*UNASKED, "metrics", "releases", "topics"}


def test_a_stopped_indexer_is_one_that_has_not_caught_up(stack: Stack):
    stack.goes_on(epochs=1)
    stack.stop("indexer")
    try:
        time.sleep(45)  # two epochs are final meanwhile
        said = doctor(stack, "--wait", "0", M0_METRICS_URLS="")
        assert failing(said) == {"indexer_caught_up"}, said
    finally:
        stack.start("indexer")
    stack.all_ready()


def test_a_stage_that_nobody_runs_is_named(stack: Stack):
    stack.stop("model")
    try:
        time.sleep(8)  # behind the session of its consumer
        said = doctor(stack, "--wait", "0", M0_METRICS_URLS="")
        assert failing(said) == {"releases"}, said
        assert "model of crypto: nobody runs release" in said["releases"]["evidence"]
    finally:
        stack.start("model")
    stack.all_ready()


def test_a_process_that_is_not_there_is_named(stack: Stack):
    said = doctor(stack, "--wait", "0", M0_METRICS_URLS=f"{stack.api},http://127.0.0.1:1")
    assert failing(said) == {"metrics"}, said
    assert "http://127.0.0.1:1/metrics" in said["metrics"]["evidence"]


def test_a_topic_that_somebody_has_changed_is_named(stack: Stack):
    cluster = ConfluentCluster(stack.kafka_of(ADMINISTRATOR))
    cluster.change(DLQ.name, {"retention.ms": "3600000"})
    try:
        said = doctor(stack, "--wait", "0")
        assert failing(said) == {"topics"}, said
        assert f"change topic {DLQ.name}: retention.ms" in said["topics"]["evidence"]
    finally:
        stack.m0("topics", "apply", env=stack.credentials(ADMINISTRATOR))
    assert failing(doctor(stack)) == set()
