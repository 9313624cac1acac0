"""A catalog's settings inside the lanes: integers only, content-addressed as the header's config hash."""

import hashlib

import msgspec
from m0common.messages import CatalogPayload, CatalogSet

from m0lanes.codec import pack

_TAG = b"M0CONFIG1"
NO_CONFIG = CatalogSet(bytes(32), 0, 0, "", (), {})


def config_of(payload: CatalogPayload) -> CatalogSet:
    """The settings in a `catalog` event, with their hash; the order of params and groups does not matter."""
    params = dict(sorted(payload.params.items()))
    groups = tuple(sorted(payload.groups))
    bare = CatalogSet(bytes(32), payload.epoch_ms, payload.signer_set_id, payload.model, groups, params)
    return msgspec.structs.replace(bare, config_hash=hashlib.sha256(_TAG + pack(bare)).digest())


def param(config: CatalogSet, name: str, default: int) -> int:
    """An integer parameter of the catalog, or its default."""
    return config.params.get(name, default)
