"""Events played into domains: those of the project come through, and each way to break the port shows by name."""

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
import pytest
from lanes_toy import Coins, Faces, Frequency, LastToss, Tossed
from m0common.canonical import FLAGS
from m0common.errors import InvalidValue
from m0domains.crypto import DOMAIN as CRYPTO
from m0domains.sports import DOMAIN as SPORTS
from m0lanes.port import Distribution, Put, Refused, Step
from m0replay.domain_play import play_digest, played
from m0replay.samples import read_samples


class Fair(Frequency):
    """A model that blocks markets of other than two outcomes, which the toy's own leaves to the heart."""

    def predict(self, view, market, row):
        if len(market.outcomes) != 2:
            return Distribution.blocked(FLAGS.LOW_COVERAGE)
        return super().predict(view, market, row)


class Sound(Coins):
    """The toy domain without the kind that breaks it."""

    payloads: Mapping[str, type[msgspec.Struct]] = {"toss": Coins.payloads["toss"]}

    def __init__(self):
        self.models = {"frequency": Fair()}

    def forget(self, view, market):
        return Step()


@pytest.mark.parametrize("domain", [Sound(), CRYPTO, SPORTS], ids=lambda domain: domain.name)
def test_a_domain_that_keeps_the_port_comes_through_and_says_the_same_each_time(domain):
    assert played(domain) == []
    assert play_digest(domain) == play_digest(domain)


def test_what_a_domain_says_is_in_the_digest_of_its_play():
    class Other(Sound):
        def features(self, view, market, at_ms):
            return {**super().features(view, market, at_ms), "one": 1}

    assert play_digest(Other()) != play_digest(Sound())


def test_a_model_that_leaves_markets_of_others_to_the_heart_is_told_so():
    (found,) = [fault for fault in played(Coins()) if "predict" in fault]
    assert found.startswith("model frequency: predict of a market of A, B, C: the heart refuses its result: 2 probab")


class Remembers(Sound):
    """What it has seen lies in the object."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def normalize(self, view, event):
        self.seen += 1
        return Step(say=(Tossed(event.group, event.market_id, event.event_ms, self.seen),))


class Caches(Sound):
    """What it has seen lies in the cache alone."""

    def observe(self, view, body):
        view.cache["seen"] = view.cache.get("seen", 0) + 1
        return Step((Put((body.group,), LastToss(view.cache["seen"], body.heads)),))


class Presumes(Fair):
    """It takes it that whatever stage 1 has counted it has learnt."""

    def learn(self, view, body):
        seen = Faces(0, 0) if body.event_ms == 1 else view.get(Faces, body.group)
        return Step((Put((body.group,), Faces(seen.heads + body.heads, seen.tails)),))


class Counts(Sound):
    """It says with every toss the how manieth of its group it is."""

    def __init__(self):
        self.models = {"frequency": Presumes()}

    def normalize(self, view, event):
        made = super().normalize(view, event)
        (counted,) = [change.value for change in made.changes]
        return Step(made.changes, (Tossed(event.group, event.market_id, counted.tosses, 1),), made.stop)


class Hoards(Fair):
    """What it has learnt of every group lies in the class."""

    heads: ClassVar[list[int]] = []

    def learn(self, view, body):
        self.heads.append(body.heads)
        return Step((Put((body.group,), Faces(sum(self.heads), len(self.heads))),))


class Hoarder(Sound):
    def __init__(self):
        self.models = {"frequency": Hoards()}


class HalfWay(Sound):
    """It raises once it has put something by."""

    def observe(self, view, body):
        view.cache["half"] = True
        return [Put((body.group,), LastToss(0, 0))][body.heads]


class Late(Sound):
    """It raises only where it is restarted with nothing in its cache."""

    def observe(self, view, body):
        if view.get(LastToss, body.group) is not None:
            view.cache["known"]
        view.cache["known"] = True
        return super().observe(view, body)


class Refuses(Sound):
    """It refuses where nobody expects it."""

    def features(self, view, market, at_ms):
        raise Refused("not today")


class Says(Sound):
    """It says something where only normalize may."""

    def observe(self, view, body):
        return Step(say=(body,))


class Large(Sound):
    """Its parts of keys grow with what comes in."""

    def normalize(self, view, event):
        return Step(changes=(Put((event.group * 200,), self.normalize_entities["counted"](1)),))


class Chatty(Sound):
    """It says too much at once."""

    def normalize(self, view, event):
        return Step(say=super().normalize(view, event).say * 65)


class Stops(Sound):
    """It stops what is not open."""

    def normalize(self, view, event):
        return Step(stop=("NEVER_OPENED",))


class Wide(Sound):
    """A value of its row is larger than any message takes."""

    def features(self, view, market, at_ms):
        return {"large": 1 << 63}


class Decides(Sound):
    """It decides an outcome that no market has."""

    def outcome(self, kind, payload, outcomes):
        return len(outcomes)


class Deaf(Sound):
    """It takes nothing in, so that its play says nothing about it."""

    def check(self, kind, payload):
        raise Refused("never")


@pytest.mark.parametrize(
    ("domain", "finding"),
    [
        (Remembers, "played a second time, stage normalize says something else from message"),
        (Hoarder, "played a second time, stage model says something else from message"),
        (Caches, "restarted behind every record, stage feature says something else from message"),
        (Counts, "learn of a Tossed: raises AttributeError"),
        (HalfWay, "observe of a Tossed: "),
        (Late, "observe of a Tossed: raises KeyError('known')"),
        (Refuses, "features of a market of A, B: only check, outcome, normalize and learn refuse"),
        (Says, "observe of a Tossed: says or stops something, which is for normalize alone"),
        (Large, "normalize of a toss: the heart refuses its result: a key part of"),
        (Chatty, "normalize of a toss: the heart refuses its result: 65 messages at once"),
        (Stops, "normalize of a toss: stops NEVER_OPENED, which is not open"),
        (Wide, "features of a market of A, B: the heart refuses its result: value 'large'"),
        (Decides, "outcome of a toss: says 2 of 2 outcomes"),
        (Deaf, "nothing made of the type of toss is taken in"),
    ],
)
def test_a_broken_port_shows_by_name(domain, finding):
    found = played(domain())
    assert any(fault.startswith(f"model frequency: {finding}") for fault in found), found


class Bounded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Annotated[int, msgspec.Meta(ge=3, le=5)]


MARKET = {"outcomes": ["A", "B"]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "truncated"),
        ('{"markets": [{"outcomes": ["A"]}]}', "length >= 2"),
        (json.dumps({"markets": [MARKET | {"attributes": {"Bad Name": "x"}}]}), "matching regex"),
        (json.dumps({"events": [{"kind": "height", "payload": {}}]}), "event 0 is of kind 'height'"),
        (json.dumps({"events": [{"kind": "level", "market": 0, "payload": {"level": 4}}]}), "market 0 of 0"),
        (json.dumps({"markets": [MARKET], "events": [{"kind": "level", "payload": {"level": 6}}]}), "is no level"),
    ],
)
def test_samples_that_are_none_are_named(tmp_path, text, why):
    path = tmp_path / "samples.json"
    path.write_text(text)
    with pytest.raises(InvalidValue, match=rf"samples.json: .*{why}"):
        read_samples(path, {"level": Bounded})
