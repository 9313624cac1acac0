"""`m0 replay`: what it prints of a verdict."""

import json
from dataclasses import replace

import pytest
from m0cli import verify
from m0cli.replay import app, verdict_json, verdict_text
from m0common.canonical import ZERO
from m0common.ids import Lane
from m0replay.following import NewLife
from m0replay.mutate import Damaged
from m0replay.replay import Verdict
from typer.testing import CliRunner

ROOTS = (bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32)
FROM_EPOCH = NewLife(Lane("coins", 1), 2, 40, ROOTS, 9)
ANEW = NewLife(Lane("coins", 3), 1, 0, (ZERO,) * 3, -1)


def verdict(*lives: NewLife, difference: str | None = None) -> Verdict:
    root = bytes([9]) * 32
    match = difference is None
    return Verdict(match, "coins", 42, root, root, "the checkpoint of epoch 41", 70, 5, difference, lives)


def test_a_verdict_is_one_line():
    assert verdict_text(verdict()) == (
        f"MATCH coins epoch 42 root {'09' * 32} (5 leaves, 70 raw events from the checkpoint of epoch 41)"
    )
    assert verdict_text(verdict(difference="lane coins/1, stage model, seq 3: nothing is recorded")) == (
        "DIFFERS coins epoch 42: lane coins/1, stage model, seq 3: nothing is recorded "
        "(70 raw events from the checkpoint of epoch 41)"
    )


def test_of_each_life_that_began_on_the_way_it_says_from_which_roots():
    _, first, second = verdict_text(verdict(FROM_EPOCH, ANEW)).splitlines()
    assert first == (
        f"life 2 of lane coins/1 began from epoch 40, roots normalize {'01' * 32}, feature {'02' * 32}, "
        f"model {'03' * 32}"
    )
    assert second == "life 1 of lane coins/3 began anew, without a state"
    lives = json.loads(verdict_json(verdict(FROM_EPOCH, ANEW)))["lives"]
    assert lives[0] == {"partition": 1, "life": 2, "epoch_id": 40, "roots": [root.hex() for root in ROOTS]}
    assert lives[1]["roots"] == ["00" * 32] * 3


@pytest.mark.parametrize(
    ("offsets", "where"), [((1679,), "raw offset 1679"), ((1679, 1685), "raw offset 1679 and 1685")]
)
def test_of_a_damage_it_says_which_observation_was_damaged(offsets, where):
    damaged = replace(verdict(FROM_EPOCH, difference="said otherwise"), damaged=Damaged(2, 78, 1, offsets))
    said = verdict_text(damaged).splitlines()
    assert said[1] == f"damaged observation 3 of 78 (--index 2): {where} in partition 1"
    shown = json.loads(verdict_json(damaged))["damaged"]
    assert shown == {"index": 2, "count": 78, "partition": 1, "offsets": list(offsets)}
    assert json.loads(verdict_json(verdict()))["damaged"] is None


def test_a_damage_that_there_is_not_is_wrong_use():
    done = CliRunner().invoke(app, ["coins", "42", "--mutate", "burn"])
    assert done.exit_code == 2
    assert "--mutate burn: one of change, drop, add, swap" in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize("epoch", [str(1 << 63), "9" * 26, "9" * 5_000])
def test_an_epoch_that_there_cannot_be_is_wrong_use(epoch):
    assert CliRunner().invoke(app, ["coins", epoch]).exit_code == 2
    assert CliRunner().invoke(verify.app, ["COIN", "--epoch", epoch]).exit_code == 2
