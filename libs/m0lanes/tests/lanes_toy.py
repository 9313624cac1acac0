"""A domain of ten lines: coins that are tossed. Markets ask which face comes next."""

from collections.abc import Mapping, Sequence

import msgspec
from m0common.canonical import FLAGS
from m0lanes.bodies import MarketOpened
from m0lanes.port import Distribution, Drop, Event, Put, Refused, Step, View, param

PPB = 1_000_000_000


class Toss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    heads: bool
    decides: bool = False
    weight: int = 1


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Broken(msgspec.Struct, frozen=True):
    how: str

    def __post_init__(self) -> None:
        if self.how == "made":
            raise LookupError("a payload that does not take itself")


class Tossed(msgspec.Struct, frozen=True, array_like=True):
    group: str
    market_id: str | None
    event_ms: int
    heads: int


class Counted(msgspec.Struct, frozen=True, array_like=True):
    tosses: int


class LastToss(msgspec.Struct, frozen=True, array_like=True):
    event_ms: int
    heads: int


class Faces(msgspec.Struct, frozen=True, array_like=True):
    heads: int
    tails: int


class Frequency:
    name = "frequency"
    version = 1
    entities: Mapping[str, type[msgspec.Struct]] = {"faces": Faces}
    learns = ("tossed",)

    def artifact(self) -> bytes:
        return b"prior=1"

    def learn(self, view: View, body: msgspec.Struct) -> Step:
        assert isinstance(body, Tossed)
        seen = view.get(Faces, body.group) or Faces(0, 0)
        # a working copy that must follow from the entities alone
        cached = view.cache.setdefault(body.group, [seen.heads, seen.tails])
        assert cached == [seen.heads, seen.tails]
        cached[0 if body.heads else 1] += 1
        return Step(changes=[Put((body.group,), Faces(*cached))])

    def predict(self, view: View, market: MarketOpened, row: Mapping[str, int]) -> Distribution:
        if row.get("tosses", 0) > param(view, "block_above", 1 << 40):
            return Distribution.blocked(FLAGS.DRIFT)
        if "weird" in market.outcomes:
            raise ZeroDivisionError("a market that breaks the model")
        seen = view.get(Faces, market.group) or Faces(0, 0)
        p = (seen.heads + 1) * PPB // (seen.heads + seen.tails + 2)
        return Distribution(((p, p // 2, PPB), (PPB - p, 0, PPB)), 10, FLAGS(0))


class Coins:
    name = "coins"
    version = 1
    payloads: Mapping[str, type[msgspec.Struct]] = {"toss": Toss, "broken": Broken}
    bodies: Mapping[str, type[msgspec.Struct]] = {"tossed": Tossed}
    normalize_entities: Mapping[str, type[msgspec.Struct]] = {"counted": Counted}
    feature_entities: Mapping[str, type[msgspec.Struct]] = {"last": LastToss}
    models: Mapping[str, Frequency] = {"frequency": Frequency()}
    deciding: Sequence[str] = ()

    def check(self, kind: str, payload: msgspec.Struct) -> None:
        if isinstance(payload, Toss) and payload.weight < 0:
            raise Refused(f"weight {payload.weight}: not below 0")

    def outcome(self, kind: str, payload: msgspec.Struct, outcomes: Sequence[str]) -> int | None:
        return (0 if payload.heads else 1) if isinstance(payload, Toss) and payload.decides else None

    def normalize(self, view: View, event: Event) -> Step:
        payload = event.payload
        if isinstance(payload, Broken):
            view.cache["half"] = True
            if payload.how == "raise":
                raise RuntimeError("a domain with a bug")
            if payload.how == "large":
                return Step(changes=[Put(("x" * 2_000,), Counted(1))])
            if payload.how == "stranger":
                return Step(changes=[Put(("x",), Faces(1, 1))])
            if payload.how == "wordless":
                raise Wordless
            if payload.how == "params":
                view.params["signer_set_id"] = 9  # they are not the domain's to change
                return Step()
            if payload.how == "mistyped":
                return Step(changes=[Put((event.group,), Counted("seven"))])
            if payload.how == "nothing":
                return None
            if payload.how == "chatty":
                return Step(say=[Tossed(event.group, None, 0, 0)] * 100)
            raise Refused(f"broken in no way that is known: {payload.how[:20]!r}")
        assert "half" not in view.cache
        assert isinstance(payload, Toss)
        before = view.get(Counted, event.group) or Counted(0)
        stop = [event.market_id] if payload.decides and event.market_id else []
        return Step(
            changes=[Put((event.group,), Counted(before.tosses + 1))],
            say=[Tossed(event.group, event.market_id, event.event_ms, int(payload.heads))],
            stop=stop,
        )

    def observe(self, view: View, body: msgspec.Struct) -> Step:
        assert isinstance(body, Tossed)
        return Step(changes=[Put((body.group,), LastToss(body.event_ms, body.heads))])

    def features(self, view: View, market: MarketOpened, at_ms: int) -> Mapping[str, int]:
        if market.attribute("breaks") == "features":
            raise KeyError("features")
        last = view.get(LastToss, market.group)
        if last is None:
            return {}
        return {"age_ms": at_ms - last.event_ms, "last_heads": last.heads}

    def forget(self, view: View, market: MarketOpened) -> Step:
        return Step(changes=[Drop(LastToss, (market.market_id,))])


class OtherCoins(Coins):
    """The same with another version: its entities begin anew."""

    version = 2
