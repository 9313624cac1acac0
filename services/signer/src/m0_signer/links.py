"""The chain of bundle hashes as the log has it: each bundle names the one before it, agreed with or not.

A signer that disagreed with a bundle still finds it in the log before the next one. So the link is taken from the log,
and everything else from what the signer computed itself. Anybody may have written beside it: of the epochs up to the
newest one agreed with, nothing else is a link. Epochs without leaves are no links.
"""

import dataclasses

import msgspec
from m0common.canonical import BundleHeader
from m0common.messages import HeaderMessage

from m0_signer.database import Statement
from m0_signer.guard import Guard, noted_link

_KEPT = 256
_PER_EPOCH = 1024


class Links:
    """Bundle hashes by epoch, per catalog; the newest one survives a restart. A catalog is recalled before it is asked
    about.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._seen: dict[str, dict[int, list[bytes]]] = {}
        """In the order of the log; of an epoch agreed with, that one alone."""
        self._agreed: dict[str, int] = {}

    async def recall(self, catalog: str) -> None:
        """Know what was noted of a catalog before a restart."""
        if catalog in self._seen:
            return
        noted = await self._guard.link(catalog)
        signed = None if noted is None else await self._guard.decision(catalog, noted[0])
        self._seen[catalog] = {} if noted is None else {noted[0]: [noted[1]]}
        if noted is not None and signed is not None and signed.bundle_hash == noted[1]:
            self._agreed[catalog] = noted[0]

    def forget(self) -> None:
        """The log is another: what stands before its claims is read there."""
        self._seen.clear()
        self._agreed.clear()

    def saw(self, header: BundleHeader) -> None:
        """A header that may be true came by in the log."""
        if not header.leaf_count or header.epoch_id <= self.newest_agreed(header.catalog):
            return
        seen = self._seen[header.catalog]
        of_epoch = seen.setdefault(header.epoch_id, [])
        if header.bundle_hash not in of_epoch and len(of_epoch) < _PER_EPOCH:
            of_epoch.append(header.bundle_hash)
        while len(seen) > _KEPT:
            del seen[min(seen)]

    def agreed(self, header: BundleHeader) -> None:
        """A header says what was computed here."""
        if header.leaf_count:
            self._seen[header.catalog][header.epoch_id] = [header.bundle_hash]
            self._agreed[header.catalog] = max(header.epoch_id, self.newest_agreed(header.catalog))

    def newest_agreed(self, catalog: str) -> int:
        """The newest epoch whose header says what was computed here, as far as that is still known; -1 before."""
        return self._agreed.get(catalog, -1)

    def before(self, claim: BundleHeader, mine: BundleHeader) -> bytes:
        """The hash that stands before this header if it is one that may, else the one that should."""
        seen = self._seen[claim.catalog]
        agreed = self.newest_agreed(claim.catalog)
        # what was agreed with later says nothing about what came before an older epoch
        since = agreed if agreed < claim.epoch_id else -1
        earlier = [epoch_id for epoch_id in seen if since <= epoch_id < claim.epoch_id]
        known = [each for epoch_id in sorted(earlier, reverse=True) for each in seen[epoch_id]]
        if since < 0:
            known.append(mine.prev_bundle_hash)
        return claim.prev_bundle_hash if claim.prev_bundle_hash in known else known[0]

    def noted(self, catalog: str, below: int | None) -> list[Statement]:
        """What notes the newest link before an epoch (None: any), from which reading will go on."""
        known = [epoch_id for epoch_id in self._seen[catalog] if below is None or epoch_id < below]
        return [noted_link(catalog, max(known), self._seen[catalog][max(known)][0])] if known else []


def linked(mine: HeaderMessage, before: bytes) -> HeaderMessage:
    """What was computed here, behind the bundle that the log has before it."""
    header = dataclasses.replace(BundleHeader.decode(mine.header), prev_bundle_hash=before)
    return msgspec.structs.replace(mine, header=header.encode())
