"""The envelope of lane topics. What is inside belongs to the heart and the domains and stays opaque to the rest."""

import msgspec

from m0common.messages.types import CatalogText, Count, CountOrNone, Digest, KindText, Life, Partition


class LaneMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message that a stage said into a lane.

    Identity is `(catalog, partition, life, seq)`; `partition` is the lane's, that of `m0.raw`. `release` is the code
    that said it, `cause` the raw offset behind it, `body` a MessagePack value whose schema follows from `kind`.
    """

    catalog: CatalogText
    partition: Partition
    life: Life
    seq: Count
    release: Digest
    cause: CountOrNone
    kind: KindText
    body: msgspec.Raw
