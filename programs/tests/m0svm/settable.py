"""An oracle whose newest finalized root a test sets at will, by writing the catalog account."""

import struct
from typing import Any

from m0svm.oracle import EPOCH_MS, FIRST_EPOCH, Oracle


def _zero(kind: Any) -> Any:
    return bytes(kind["array"][1]) if isinstance(kind, dict) else 0


class Settable:
    """One finalized epoch stands in the ring; `finalize` replaces its entry."""

    def __init__(self) -> None:
        self.oracle = Oracle().ready()
        self.oracle.finalized(FIRST_EPOCH)
        self.where = self.oracle.catalog_at()
        self.account = self.oracle.chain.svm.get_account(self.where)
        fields = self.oracle.idl.types["Catalog"]
        head = fields[: [f["name"] for f in fields].index("ring")]
        self.ring_at = 8 + sum(len(self.oracle.idl.encode(f["type"], _zero(f["type"]))) for f in head)

    def finalize(
        self, root: bytes, leaf_count: int, epoch_id: int = FIRST_EPOCH, window_end_ms: int | None = None
    ) -> None:
        window_end_ms = (FIRST_EPOCH + 1) * EPOCH_MS if window_end_ms is None else window_end_ms
        entry = struct.pack("<QqIB", epoch_id, window_end_ms, leaf_count, 3) + root
        data = bytearray(self.account.data)
        data[self.ring_at : self.ring_at + len(entry)] = entry
        self.oracle.chain.put(self.where, self.oracle.program, bytes(data))
