"""Where a claimed epoch differs from the one computed here: lane input, then stage, then release, then header field."""

from dataclasses import fields

from m0common.canonical import BundleHeader
from m0common.messages import HeaderMessage
from m0replay.states import STAGES


def first_difference(claim: HeaderMessage, mine: HeaderMessage) -> str | None:
    """One phrase that names the first difference, None when both headers are the same bytes. Both must be headers.

    Leaves that differ alone show as the header's Merkle root.
    """
    if claim.header == mine.header:
        return None
    theirs = {lane.partition: lane for lane in claim.lanes}
    ours = {lane.partition: lane for lane in mine.lanes}
    lanes = sorted(theirs.keys() | ours.keys())
    for partition in lanes:
        if partition not in theirs or partition not in ours:
            who = "claimed" if partition in theirs else "computed"
            return f"lane {claim.catalog}/{partition}, which is only {who}"
        if theirs[partition].input_digest != ours[partition].input_digest:
            return f"input of lane {claim.catalog}/{partition}"
    for stage, name in STAGES.items():
        for partition in lanes:
            if theirs[partition].stage_digests[stage - 1 : stage] != ours[partition].stage_digests[stage - 1 : stage]:
                return f"state of stage {name} in lane {claim.catalog}/{partition}"
    for partition in lanes:
        if theirs[partition].release != ours[partition].release:
            return f"release of lane {claim.catalog}/{partition}"
    return _field(claim.header, mine.header)


def _field(claim: bytes, mine: bytes) -> str:
    theirs, ours = BundleHeader.decode(claim), BundleHeader.decode(mine)
    for field in fields(BundleHeader):
        if getattr(theirs, field.name) != getattr(ours, field.name):
            return f"header field {field.name}"
    return "header bytes"
