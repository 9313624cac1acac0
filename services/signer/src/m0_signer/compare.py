"""Where a bundle differs from the one computed here: lane input, then stage, then leaf, then header field."""

from dataclasses import fields

from m0common.canonical import BundleHeader
from m0common.messages import BundleMessage

STAGES = {1: "normalize", 2: "feature", 3: "model"}


def first_difference(claim: BundleMessage, mine: BundleMessage) -> str | None:
    """One phrase that names the first difference, None when both headers are the same bytes. Both must be headers.

    `mine` may come without leaves, as it does from a snapshot; a difference in them then shows as that of the root.
    """
    if claim.header == mine.header:
        return None
    theirs, ours = dict(claim.input_digests), dict(mine.input_digests)
    for partition in sorted(theirs.keys() | ours.keys()):
        if theirs.get(partition) != ours.get(partition):
            return f"input of lane {claim.catalog}/{partition}"
    states = {(p, stage): digest for p, stage, digest in claim.state_digests}
    own = {(p, stage): digest for p, stage, digest in mine.state_digests}
    for partition, stage in sorted(states.keys() | own.keys(), key=lambda place: (place[1], place[0])):
        if states.get((partition, stage)) != own.get((partition, stage)):
            return f"state of stage {STAGES.get(stage, stage)} in lane {claim.catalog}/{partition}"
    return _leaf(claim, mine) or _field(claim.header, mine.header)


def _leaf(claim: BundleMessage, mine: BundleMessage) -> str | None:
    if not mine.leaves:
        return None
    theirs = dict(zip(claim.market_ids, claim.leaves, strict=False))
    ours = dict(zip(mine.market_ids, mine.leaves, strict=False))
    for market_id in sorted(theirs.keys() | ours.keys()):
        if theirs.get(market_id) != ours.get(market_id):
            return f"leaf of {market_id}"
    return None


def _field(claim: bytes, mine: bytes) -> str:
    theirs, ours = BundleHeader.decode(claim), BundleHeader.decode(mine)
    for field in fields(BundleHeader):
        if getattr(theirs, field.name) != getattr(ours, field.name):
            return f"header field {field.name}"
    return "header bytes"
