"""The pinned log gives the pinned outcome, whoever runs it and however often it is broken off."""

import json
from collections import Counter

import golden_log
import golden_run
import pytest
from m0domains.crypto import Crypto


@pytest.fixture(scope="module")
def told():
    return golden_run.told()


@pytest.fixture(scope="module")
def pinned():
    return json.loads(golden_run.OUTCOME.read_text())


def test_the_log_is_what_its_script_writes_and_small():
    text = golden_run.LOG.read_text()
    assert text == golden_log.golden_log()
    assert len(text) <= 300 << 10


@pytest.mark.parametrize("part", ["stages", "letters", "epochs"])
@pytest.mark.parametrize("run", [0, 1], ids=["straight on", "restarted behind every epoch"])
def test_the_heart_makes_of_it_what_is_pinned(told, pinned, run, part):
    assert told["outcomes"][run][part] == pinned[part]


def test_restarts_change_no_word_of_a_letter(told):
    assert told["reasons"][0] == told["reasons"][1]


def test_it_is_restarted_behind_every_epoch():
    run = golden_run.Run(golden_run.read(golden_run.LOG.read_text()), restarts=True)
    assert run.restarts == len({epoch.header.header for epoch in run.closed}) == 2 * golden_log.EPOCHS - 2


def test_it_has_everything_that_can_befall_an_event(pinned):
    letters = Counter(code for _, _, code in pinned["letters"])
    assert letters.keys() == {
        "empty", "invalid_event", "invalid_payload", "no_source_seq", "not_json", "refused", "too_deep",
        "unlisted_source", "wrong_partition", "wrong_signature",
    }  # fmt: skip
    run = golden_run.Run(golden_run.read(golden_run.LOG.read_text()))
    assert {reason for _, reason in run.pipeline.drops} == {
        "market_not_open", "no_catalog_names_the_group", "repeat", "too_far_ahead", "too_old",
    }  # fmt: skip
    assert any(manifest.held_from is not None for manifest in run.pipeline.keeper.manifests)


def test_sports_is_retired_and_returns_without_what_it_missed(pinned):
    epochs = {e["epoch_id"] - golden_log.FIRST: e for e in pinned["epochs"] if e["catalog"] == "sports"}
    assert [epochs[index]["generation"] for index in epochs] == [1, 1, 1, 2, 2, 2, 4, 4]
    assert epochs.keys() == {0, 1, 2, 3, 4, 5, 8, 9}
    assert epochs[8]["missed"] == [golden_log.FIRST + index for index in (6, 7)]
    assert (len(epochs[8]["leaves"]), len(epochs[9]["leaves"])) == (0, 3)


class Nudged(Crypto):
    """Its arithmetic is off by the smallest part there is, at one end of an interval."""

    def features(self, view, market, at_ms):
        row = dict(super().features(view, market, at_ms))
        return row | {"book_hi_ppb": max(row["book_consensus_ppb"], row["book_hi_ppb"] - 1)} if row else row


def test_arithmetic_that_is_off_by_a_billionth_is_seen(pinned):
    domains = golden_run.HEART.domains | {golden_log.CRYPTO_RELEASE: Nudged()}
    heart = golden_run.Heart(golden_run.HEART.deployment, domains, golden_run.HEART.build)
    nudged = golden_run.Run(golden_run.read(golden_run.LOG.read_text()), heart).outcome()["epochs"]
    differ = {e["catalog"] for e, was in zip(nudged, pinned["epochs"], strict=True) if e != was}
    assert differ == {"crypto"}
