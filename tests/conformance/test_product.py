"""The product's own programs, deployed through the upgradeable loader: same outcome, events and units everywhere."""

import base64
import hashlib
from pathlib import Path

import pytest
from m0chain import pda
from m0chain.oracle import LeafClaim, Oracle
from m0chain.registry import Registry
from m0common.canonical import (
    BundleHeader,
    MerkleTree,
    Outcome,
    PredictionLeaf,
    attestation_digest,
    commitment_hash,
    leaf_hash,
    signer_set_digest,
)
from solders.keypair import Keypair

DEPLOY = Path(__file__).parents[2] / "programs" / "deploy"
CATALOG = "sports"
# One window so long that its epoch is number 0 until 2033, over since 2001 and open for commits until 2065: addresses
# and arguments, and with them the units, do not depend on when the suite runs.
EPOCH_MS, COMMIT_MS, REVEAL_MS = 10**12, 2 * 10**12, 10**12


def key(name: str) -> Keypair:
    """Return the same key on every target: the cost of finding a program address depends on its seeds."""
    return Keypair.from_seed(hashlib.sha256(b"conformance " + name.encode()).digest())


def code(name: str) -> bytes:
    path = DEPLOY / f"{name}.so"
    if not path.exists():
        pytest.skip(f"{path.name} is not built")
    return path.read_bytes()


@pytest.fixture(scope="session")
def units() -> dict[str, dict[str, int]]:
    """Compute units by call and target."""
    return {}


async def run(chain, units, name, instruction, signers):
    told = await chain.ok([instruction], signers)
    seen = units.setdefault(name, {})
    seen[chain.name] = told["meta"]["computeUnitsConsumed"]
    assert len(set(seen.values())) == 1, f"{name} costs differ: {seen}"
    assert told["meta"]["fee"] == 5000 * len(signers)
    return told


async def test_the_registry_costs_the_same_units_everywhere(chain, units):
    admin = await chain.funded(20 * 10**9, key("registry admin"))
    program, _ = await chain.deploy(admin, code("m0_registry"), program=key("registry"))
    registry, me = Registry(program.pubkey()), admin.pubkey()
    await run(chain, units, "initialize_root", registry.initialize_root(me, me, me, me, me), [admin])
    await run(chain, units, "create_catalog", registry.create_catalog(me, me, CATALOG), [admin])
    market = registry.create_market(
        me, me, CATALOG, "HOME_AWAY", "league", "Home v Away", ["home", "draw", "away"], opens_ms=0, resolves_after_ms=1
    )
    told = await run(chain, units, "create_market", market, [admin])
    assert any(line.startswith("Program data: ") for line in told["meta"]["logMessages"])
    again = chain.try_send(chain.sign([market], [admin]))
    assert again["code"] == -32002
    assert again["data"]["err"]["InstructionError"][0] == 0


async def test_an_epoch_is_finalized_at_the_same_cost_everywhere(chain, units):
    admin = await chain.funded(20 * 10**9, key("oracle admin"))
    signers = [await chain.funded(10**9, key(f"signer {i}")) for i in range(3)]
    deployed, _ = await chain.deploy(admin, code("m0_oracle"), program=key("oracle"))
    program, me = deployed.pubkey(), admin.pubkey()
    oracle = Oracle(program)
    keys = [signer.pubkey() for signer in signers]
    await run(chain, units, "initialize", oracle.initialize(me, me, me, key("registry").pubkey()), [admin])
    await run(chain, units, "create_signer_set", oracle.create_signer_set(me, me, 1, 2, keys), [admin])
    catalog = oracle.create_catalog(me, me, CATALOG, 1, EPOCH_MS, COMMIT_MS, REVEAL_MS)
    await run(chain, units, "oracle create_catalog", catalog, [admin])
    await run(chain, units, "open_epoch", oracle.open_epoch(me, CATALOG, 0, 1), [admin])

    leaves = [leaf(i).encode() for i in range(5)]
    tree = MerkleTree([leaf_hash(raw) for raw in leaves])
    head = header(tree, len(leaves))
    digest = signer_set_digest(1, 2, sorted(bytes(k) for k in keys))
    epoch = bytes(pda.epoch(program, CATALOG, 0))
    for i, signer in enumerate(signers):
        sealed = commitment_hash(bytes(program), epoch, bytes(signer.pubkey()), head.bundle_hash, bytes([i]) * 32)
        await run(chain, units, f"commit {i}", oracle.commit(signer.pubkey(), CATALOG, 0, 1, sealed), [signer])
    for i, signer in enumerate(signers):
        attested = signer.sign_message(attestation_digest(bytes(program), CATALOG, 0, head.bundle_hash, digest))
        reveal = oracle.reveal(signer.pubkey(), CATALOG, 0, 1, head.encode(), bytes([i]) * 32, bytes(attested))
        await run(chain, units, f"reveal {i}", reveal, [signer])
    await run(chain, units, "finalize_epoch", oracle.finalize_epoch(CATALOG, 0), [admin])

    claim = LeafClaim(0, 2, leaves[2], tree.path(2))
    told = await run(chain, units, "verify_prediction", oracle.verify_prediction(CATALOG, claim), [admin])
    returned = base64.b64decode(told["meta"]["returnData"]["data"][0])
    assert told["meta"]["returnData"]["programId"] == str(program)
    assert returned == leaf_hash(leaves[2]) + EPOCH_MS.to_bytes(8, "little") + tree.root
    forged = LeafClaim(0, 2, leaves[3], tree.path(2))
    refused = chain.simulate(chain.sign([oracle.verify_prediction(CATALOG, forged)], [admin]))
    assert refused["err"]["InstructionError"][0] == 0


def leaf(index: int) -> PredictionLeaf:
    return PredictionLeaf(
        market_key=index.to_bytes(32, "big"),
        epoch_id=0,
        window_end_ms=EPOCH_MS,
        schema_version=1,
        outcomes=(Outcome(600_000_000, 0, 10**9), Outcome(400_000_000, 0, 10**9)),
        risk_bps=250,
        quality_flags=0,
        model_key=bytes([7]) * 32,
        features_hash=bytes([9]) * 32,
    )


def header(tree: MerkleTree, count: int) -> BundleHeader:
    return BundleHeader(
        catalog=CATALOG,
        epoch_id=0,
        window_start_ms=0,
        window_end_ms=EPOCH_MS,
        signer_set_id=1,
        leaf_count=count,
        merkle_root=tree.root,
        prev_bundle_hash=bytes(32),
        model_manifest_hash=bytes([1]) * 32,
        config_hash=bytes([2]) * 32,
        input_root=bytes([3]) * 32,
        state_root=bytes([4]) * 32,
    )
