"""A domain in a pipeline: the log made for it played straight on, again, and restarted behind every record.

The same log must give the same messages whatever becomes of the process, so a domain that keeps something outside its
entities shows here, and so does one that raises or returns what the heart refuses.
"""

import hashlib
from collections.abc import Iterator, Mapping

from m0common.canonical import ZERO
from m0common.messages.codec import encode_json
from m0lanes.port import Domain
from m0lanes.stages import Heart

from m0replay.play_log import RELEASES, STRANGE, Play
from m0replay.restarts import Restarting, Said
from m0replay.samples import FILE, Samples, samples_of
from m0replay.watched import Notes, WatchedDomain

STAGES = ("normalize", "feature", "model", "bundle")


def played(domain: Domain) -> list[str]:
    """What shows while a domain plays, a sentence each. Raises InvalidValue for samples that are none."""
    samples, found = samples_of(domain), []
    for model in sorted(domain.models):
        found += [f"model {model}: {fault}" for fault in _played(domain, model, samples)]
    return found


def play_digest(domain: Domain) -> str:
    """A hash of everything that a domain's plays say, in hex."""
    hasher, samples = hashlib.sha256(), samples_of(domain)
    for model in sorted(domain.models):
        play, notes = Play(domain, model, samples), Notes()
        said = _run(play, _watched(domain, notes, samples), restarts=False)
        for stage in STAGES:
            hasher.update(said.digest(stage))
        hasher.update(encode_json(sorted(said.letters.items())))
    return hasher.hexdigest()


def _watched(domain: Domain, notes: Notes, samples: Samples) -> Mapping[bytes, Domain]:
    outcomes = [market.outcomes for market in (*samples.markets, *STRANGE)]
    return {release: WatchedDomain(domain, notes, outcomes, ahead) for release, ahead in RELEASES.items()}


def _run(play: Play, domains: Mapping[bytes, Domain], *, restarts: bool) -> Said:
    said = Said()
    pipeline = Restarting(Heart(play.log.deployment, domains, ZERO), [said])
    for record in play.log.records:
        pipeline.feed(record)
        if restarts:
            pipeline.restart()
    said.otherwise += pipeline.parked
    return said


def _played(domain: Domain, model: str, samples: Samples) -> Iterator[str]:
    play, notes = Play(domain, model, samples), Notes()
    watched = _watched(domain, notes, samples)
    first = _run(play, watched, restarts=False)
    if not notes.faults:
        yield from _vacuous(domain, notes)
        yield from _otherwise(first, play, watched)
    yield from notes.faults


def _otherwise(first: Said, play: Play, domains: Mapping[bytes, Domain]) -> Iterator[str]:
    """At most one sentence: what else than the first time a domain says of the same log."""
    differs = _difference(first, _run(play, domains, restarts=False))
    if differs is not None:
        yield f"played a second time, {differs}: keep nothing outside entities, neither in the domain nor in a module"
        return
    differs = _difference(first, _run(play, domains, restarts=True))
    if differs is not None:
        yield (
            f"restarted behind every record, {differs}: what View.cache holds must be what the entities give again, "
            "and nothing may be kept anywhere else"
        )


def _vacuous(domain: Domain, notes: Notes) -> Iterator[str]:
    """What the play says nothing about, since nothing of it was taken in."""
    for kind in sorted(set(domain.payloads) - set(notes.taken)):
        yield f"nothing made of the type of {kind} is taken in: put some into {FILE} in the domain's folder"
    if not notes.taken["predict"]:
        yield f"no market gets probabilities: put markets and events that lead to some into {FILE} in its folder"


def _difference(first: Said, again: Said) -> str | None:
    """Where two plays of one log first differ, in the order of the stages; None when they do not."""
    if again.otherwise:
        return again.otherwise[0]
    for stage in STAGES:
        ours = {place: value for place, value in first.messages.items() if place[0] == stage}
        others = {place: value for place, value in again.messages.items() if place[0] == stage}
        if ours != others:
            place = min(place for place in ours.keys() | others.keys() if ours.get(place) != others.get(place))
            return f"stage {stage} says something else from message {place[-1]} of {place[1]}/{place[2]} on"
    ours_letters, others_letters = set(first.letters.items()), set(again.letters.items())
    if ours_letters != others_letters:
        where, letter = min(ours_letters ^ others_letters)
        return f"record {where[0]}@{where[1]} costs a letter in one of the plays alone, {letter}"
    return None
