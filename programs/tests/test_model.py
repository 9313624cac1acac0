"""Random acts on several epochs, compared step by step with a model of the protocol in Python."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.canonical import MountainRange
from m0svm.oracle import COMMIT_MS, EPOCH_MS, REVEAL_MS, Oracle, bundle
from m0svm.oracle import FIRST_EPOCH as E

THRESHOLD, EPOCHS = 2, 3
SIGNERS = frozenset(range(3))


@dataclass
class Epoch:
    """What the model knows of an epoch account."""

    end_ms: int
    commitments: dict[int, int] = field(default_factory=dict)
    reveals: dict[int, int] = field(default_factory=dict)
    status: str = "open"

    @property
    def commit_deadline(self) -> int:
        return self.end_ms + COMMIT_MS

    @property
    def reveal_deadline(self) -> int:
        return self.commit_deadline + REVEAL_MS

    def quorum(self) -> int | None:
        """The variant that a threshold revealed."""
        values = list(self.reveals.values())
        return next((v for v in values if values.count(v) >= THRESHOLD), None)


class Model:
    """Whether each act is allowed, and what it changes."""

    def __init__(self) -> None:
        self.now = E * EPOCH_MS
        self.epochs: dict[int, Epoch] = {}
        self.finalized: list[tuple[int, int]] = []

    def newer(self, n: int) -> bool:
        return not self.finalized or n > self.finalized[-1][0]

    def open(self, n: int, _who: int, _variant: int) -> bool:
        end = (E + n + 1) * EPOCH_MS
        allowed = n not in self.epochs and end <= self.now <= end + COMMIT_MS and self.newer(n)
        if allowed:
            self.epochs[n] = Epoch(end)
        return allowed

    def commit(self, n: int, who: int, variant: int) -> bool:
        e = self.epochs.get(n)
        allowed = bool(e and e.status == "open" and not e.reveals and who not in e.commitments)
        if e and (allowed := allowed and self.now <= e.commit_deadline):
            e.commitments[who] = variant
        return allowed

    def reveal(self, n: int, who: int, variant: int) -> bool:
        e = self.epochs.get(n)
        if not e or e.status != "open" or e.commitments.get(who) != variant or who in e.reveals:
            return False
        if not (set(e.commitments) == SIGNERS or self.now > e.commit_deadline) or self.now > e.reveal_deadline:
            return False
        e.reveals[who] = variant
        return True

    def finalize(self, n: int, _who: int, _variant: int) -> bool:
        e = self.epochs.get(n)
        if not e or e.status != "open" or e.quorum() is None or not self.newer(n):
            return False
        e.status = "finalized"
        self.finalized.append((n, e.quorum() or 0))
        return True

    def expire(self, n: int, _who: int, _variant: int) -> bool:
        e = self.epochs.get(n)
        if not e or e.status != "open" or self.now <= e.reveal_deadline:
            return False
        overtaken = bool(self.finalized) and self.finalized[-1][0] > n
        if e.quorum() is not None and not overtaken:
            return False
        e.status = "expired"
        return True

    def close(self, n: int, _who: int, _variant: int) -> bool:
        e = self.epochs.get(n)
        if not e or e.status == "open" or self.now <= e.reveal_deadline + 60_000:
            return False
        del self.epochs[n]
        return True


BUNDLES = {(n, v): bundle(E + n, 2 + v) for n in range(EPOCHS) for v in range(2)}


def call(oracle: Oracle, act: str, n: int, who: int, variant: int):
    epoch_id, what = E + n, BUNDLES[n, variant]
    if act in ("commit", "reveal"):
        return getattr(oracle, act)(epoch_id, who, what)
    return getattr(oracle, act)(epoch_id)


NAMES = ("open", "commit", "reveal", "finalize", "expire", "close")
OFFSETS_MS = (
    *(-1000, 0, 1000, COMMIT_MS, COMMIT_MS + 1000, COMMIT_MS + REVEAL_MS, COMMIT_MS + REVEAL_MS + 1000),
    *(COMMIT_MS + REVEAL_MS + 60_000, COMMIT_MS + REVEAL_MS + 61_000),
)
# the life of an epoch when nothing goes wrong: act, signer, and where the clock stands after the window's end
LIFE = (
    *(("open", 0, 0), ("commit", 0, 0), ("commit", 1, 0), ("commit", 2, COMMIT_MS), ("reveal", 0, COMMIT_MS + 1000)),
    *(("reveal", 1, COMMIT_MS + 1000), ("reveal", 2, COMMIT_MS + 1000), ("finalize", 0, COMMIT_MS + 1000)),
    *(("expire", 0, COMMIT_MS + REVEAL_MS + 1000), ("close", 0, COMMIT_MS + REVEAL_MS + 61_000)),
)
ANYTHING = st.tuples(
    st.sampled_from(NAMES),
    st.integers(0, EPOCHS - 1),
    st.integers(0, 2),
    st.integers(0, 1),
    st.none() | st.none() | st.sampled_from(OFFSETS_MS),
)


@st.composite
def lives(draw):
    """Epochs one after the other, each with acts left out, bent, or put in between."""
    steps = []
    for n in range(EPOCHS):
        bundles = draw(st.sampled_from([(0, 0, 0), (0, 0, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1)]))
        for act, who, offset_ms in LIFE:
            if draw(st.integers(0, 9)) < 9:
                steps.append((act, n, who, bundles[who], offset_ms))
            if draw(st.integers(0, 9)) < 3:
                steps.append(draw(ANYTHING))
    return steps


@settings(max_examples=60)
@given(steps=lives())
def test_the_program_allows_exactly_what_the_model_allows(steps):
    oracle, model = Oracle().ready(), Model()
    model.now = (E + 1) * EPOCH_MS
    for act, n, who, variant, offset_ms in steps:
        if offset_ms is not None:  # time never goes back
            model.now = max(model.now, (E + n + 1) * EPOCH_MS + offset_ms)
        oracle.chain.at(model.now)
        result = call(oracle, act, n, who, variant).send()
        allowed = getattr(model, act)(n, who, variant)
        assert (result.error is None) == allowed, (act, n, who, variant, result.error)
        assert allowed or result.error in oracle.idl.errors, result.error

    catalog, mountains = oracle.catalog(), MountainRange()
    for n, variant in model.finalized:
        mountains.append(BUNDLES[n, variant].hash)
    assert catalog["finalized_count"] == len(model.finalized)
    assert catalog["peaks"] == mountains.peaks
    for n, epoch in model.epochs.items():
        stored = oracle.epoch(E + n)
        assert stored["committed"] == sum(1 << who for who in epoch.commitments)
        assert stored["revealed"] == sum(1 << who for who in epoch.reveals)
