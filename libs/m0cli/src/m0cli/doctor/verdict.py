"""What a box says."""

from dataclasses import dataclass

from m0common.errors import M0Error


class Fault(M0Error):
    """A box cannot look, so it does not hold; the sentence names what does not answer, and the remedy."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ok` None: there is nothing to look at here; `built` says whether there is anything anywhere."""

    ok: bool | None
    evidence: str
    built: bool = True


def holds(evidence: str) -> Verdict:
    return Verdict(ok=True, evidence=evidence)


def fails(evidence: str) -> Verdict:
    return Verdict(ok=False, evidence=evidence)


def not_applicable(why: str) -> Verdict:
    """It cannot be asked of this deployment, or from here."""
    return Verdict(ok=None, evidence=f"not applicable: {why}")


def not_built(what: str) -> Verdict:
    return Verdict(ok=None, evidence=f"not built: {what}", built=False)
