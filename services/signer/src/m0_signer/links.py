"""The chain of bundle hashes as the log has it: each bundle names the one before it, agreed with or not.

A signer that disagreed with a bundle still finds it in the log before the next one. So the link is taken from the log,
and everything else from what the signer computed itself.
"""

import dataclasses
from collections import OrderedDict

import msgspec
from m0common.canonical import BundleHeader
from m0common.errors import InvalidValue
from m0common.messages import BundleMessage

from m0_signer.guard import Guard

_KEPT = 256
_NAME = "link"
_decode = msgspec.msgpack.Decoder(tuple[int, bytes]).decode
_encode = msgspec.msgpack.Encoder().encode


class Links:
    """Bundle hashes by sequence number, per catalog; the newest that is certain survives a restart."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._hashes: dict[str, OrderedDict[int, bytes]] = {}

    def saw(self, bundle: BundleMessage) -> None:
        """A bundle came by in the log; the first one of a number counts, and what has no header is none."""
        try:
            found = BundleHeader.decode(bundle.header).bundle_hash
        except InvalidValue:
            return
        hashes = self._of(bundle.catalog)
        hashes.setdefault(bundle.seq, found)
        while len(hashes) > _KEPT:
            hashes.popitem(last=False)

    def before(self, bundle: BundleMessage) -> bytes | None:
        """The hash of the bundle before this one: zero bytes before the first, None when it has not been seen."""
        return bytes(32) if bundle.seq == 1 else self._of(bundle.catalog).get(bundle.seq - 1)

    def keep(self, catalog: str, below: int | None) -> None:
        """Note the newest link with a number less than `below` (None: any), from which reading will go on."""
        known = [(seq, found) for seq, found in self._of(catalog).items() if below is None or seq < below]
        if known:
            self._guard.keep(catalog, _NAME, _encode(max(known)))

    def _of(self, catalog: str) -> OrderedDict[int, bytes]:
        if catalog not in self._hashes:
            kept = self._guard.snapshot(catalog, _NAME)
            self._hashes[catalog] = OrderedDict([] if kept is None else [_decode(kept)])
        return self._hashes[catalog]


def linked(mine: BundleMessage, before: bytes | None) -> BundleMessage:
    """What was computed here, behind the bundle that the log has before it."""
    if before is None:
        return mine
    header = dataclasses.replace(BundleHeader.decode(mine.header), prev_bundle_hash=before)
    return msgspec.structs.replace(mine, header=header.encode())
