"""`/bundles`."""

import struct
from typing import Any

from fastapi import APIRouter, Request, Response
from m0common.canonical import BundleHeader
from m0index.queries import bundles

from m0_api.bundles.schemas import Bundle, InputDigest, StateDigest
from m0_api.caching import FOREVER, respond, respond_bytes
from m0_api.deps import BundleHash, PoolDep
from m0_api.problems import BundleNotFound, documented

router = APIRouter(prefix="/bundles/{bundle_hash}", tags=["bundles"])

RAW = "application/octet-stream"
_LENGTH = struct.Struct("<I")


def _raw(description: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "format": "binary"}
    return documented(BundleNotFound) | {200: {"description": description, "content": {RAW: {"schema": schema}}}}


def _absent(bundle_hash: str) -> BundleNotFound:
    return BundleNotFound(f"bundle {bundle_hash} is not one of a final epoch that is stored; /v1/epochs names those")


@router.get("", response_model=Bundle, responses=documented(BundleNotFound), operation_id="get_bundle")
async def get_bundle(request: Request, pool: PoolDep, bundle_hash: BundleHash) -> Response:
    """A bundle by content."""
    row = await bundles.one(pool, bytes.fromhex(bundle_hash))
    if row is None:
        raise _absent(bundle_hash)
    header = BundleHeader.decode(bytes(row["header"]))
    found = Bundle(
        bundle_hash=bundle_hash,
        catalog=header.catalog,
        epoch_id=header.epoch_id,
        window_start_ms=header.window_start_ms,
        window_end_ms=header.window_end_ms,
        signer_set_id=header.signer_set_id,
        leaf_count=header.leaf_count,
        merkle_root=header.merkle_root.hex(),
        prev_bundle_hash=header.prev_bundle_hash.hex(),
        model_manifest_hash=header.model_manifest_hash.hex(),
        config_hash=header.config_hash.hex(),
        input_root=header.input_root.hex(),
        state_root=header.state_root.hex(),
        header=row["header"].hex(),
        market_ids=row["market_ids"],
        input_digests=[InputDigest(partition=p, digest=d) for p, d in row["input_digests"]],
        state_digests=[StateDigest(partition=p, stage=s, digest=d) for p, s, d in row["state_digests"]],
    )
    return respond(request, found, FOREVER)


@router.get(
    "/header",
    response_class=Response,
    responses=_raw("The 250 bytes of the header"),
    operation_id="get_bundle_header",
)
async def get_header(request: Request, pool: PoolDep, bundle_hash: BundleHash) -> Response:
    """The header's bytes; their sha256 is the bundle hash."""
    header = await bundles.header(pool, bytes.fromhex(bundle_hash))
    if header is None:
        raise _absent(bundle_hash)
    return respond_bytes(request, header, RAW, FOREVER)


@router.get(
    "/leaves",
    response_class=Response,
    responses=_raw(
        "Borsh `vec<vec<u8>>`: u32 count, then u32 length and bytes of each leaf, little-endian, tree order"
    ),
    operation_id="get_bundle_leaves",
)
async def get_leaves(request: Request, pool: PoolDep, bundle_hash: BundleHash) -> Response:
    """The leaves' bytes in tree order."""
    leaves = await bundles.leaves(pool, bytes.fromhex(bundle_hash))
    if not leaves:
        raise _absent(bundle_hash)
    body = _LENGTH.pack(len(leaves)) + b"".join(_LENGTH.pack(len(leaf)) + leaf for leaf in leaves)
    return respond_bytes(request, body, RAW, FOREVER)
