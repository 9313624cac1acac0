"""The chain of bundle hashes as the log has it: each bundle names the one before it, agreed with or not.

A signer that disagreed with a bundle still finds it in the log before the next one. So the link is taken from the log,
and everything else from what the signer computed itself. Epochs without leaves are no links.
"""

import dataclasses
from collections import OrderedDict

import msgspec
from m0common.canonical import BundleHeader
from m0common.errors import InvalidValue
from m0common.messages import HeaderMessage

from m0_signer.guard import Guard

_KEPT = 256


class Links:
    """Bundle hashes by epoch, per catalog; the newest that is certain survives a restart."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._hashes: dict[str, OrderedDict[int, bytes]] = {}

    def saw(self, claim: HeaderMessage) -> None:
        """A header came by in the log; the first one of an epoch counts, and what has no header is none."""
        try:
            header = BundleHeader.decode(claim.header)
        except InvalidValue:
            return
        hashes = self._of(claim.catalog)
        if header.leaf_count:
            hashes.setdefault(claim.epoch_id, header.bundle_hash)
        while len(hashes) > _KEPT:
            hashes.popitem(last=False)

    def before(self, claim: HeaderMessage) -> bytes | None:
        """The hash of the bundle before this one, None when none has been seen."""
        known = self._of(claim.catalog)
        earlier = [epoch_id for epoch_id in known if epoch_id < claim.epoch_id]
        return known[max(earlier)] if earlier else None

    def keep(self, catalog: str, below: int | None) -> None:
        """Note the newest link before an epoch (None: any), from which reading will go on."""
        known = [
            (epoch_id, found) for epoch_id, found in self._of(catalog).items() if below is None or epoch_id < below
        ]
        if known:
            self._guard.keep_link(catalog, *max(known))

    def _of(self, catalog: str) -> OrderedDict[int, bytes]:
        if catalog not in self._hashes:
            kept = self._guard.link(catalog)
            self._hashes[catalog] = OrderedDict([] if kept is None else [kept])
        return self._hashes[catalog]


def linked(mine: HeaderMessage, before: bytes | None) -> HeaderMessage:
    """What was computed here, behind the bundle that the log has before it."""
    if before is None:
        return mine
    header = dataclasses.replace(BundleHeader.decode(mine.header), prev_bundle_hash=before)
    return msgspec.structs.replace(mine, header=header.encode())
