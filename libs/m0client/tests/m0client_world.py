"""A finalized epoch as the pipeline makes it, and a Solana node that serves its accounts at the transport level."""

import base64
import hashlib
import json

import httpx2
from m0chain import idl, pda
from m0common.canonical import (
    BundleHeader,
    MerkleTree,
    Outcome,
    PredictionLeaf,
    attestation_digest,
    leaf_hash,
    signer_set_digest,
)
from m0common.ids import catalog_bytes, market_key
from m0quant.fixed import simplex
from solders.keypair import Keypair
from solders.pubkey import Pubkey

RPC = "http://node.test"
EPOCH_MS = 30_000


def h(label: str) -> bytes:
    return hashlib.sha256(label.encode()).digest()


class World:
    """One epoch of `leaf_count` markets, threshold two of `signers` members; `accounts` is what is on chain."""

    def __init__(self, leaf_count=5, signers=3, market=2, epoch_id=59_000_000, catalog="sports"):
        self.program = Pubkey(h("program"))
        self.catalog, self.epoch_id = catalog, epoch_id
        self.pairs = sorted(
            (Keypair.from_seed(h(f"signer {i}")) for i in range(signers)), key=lambda k: bytes(k.pubkey())
        )
        self.window = (epoch_id * EPOCH_MS, (epoch_id + 1) * EPOCH_MS)
        market_ids = sorted((f"MARKET_{i}" for i in range(leaf_count)), key=market_key)
        self.market_id, self.index = market_ids[market], market
        self.leaves = [self.leaf(market_id, i) for i, market_id in enumerate(market_ids)]
        self.tree = MerkleTree([leaf_hash(leaf.encode()) for leaf in self.leaves])
        self.header = BundleHeader(
            catalog, epoch_id, *self.window, 1, leaf_count, self.tree.root, *(h(f"hash {i}") for i in range(5))
        )
        self.members = [bytes(pair.pubkey()) for pair in self.pairs]
        self.set_digest = signer_set_digest(1, 2, self.members)
        self.signed = attestation_digest(
            bytes(self.program), catalog, epoch_id, self.header.bundle_hash, self.set_digest
        )
        self.set_address = pda.signer_set(self.program, 1)
        self.epoch_address = pda.epoch(self.program, catalog, epoch_id)
        self.catalog_address = pda.catalog(self.program, catalog)
        self.accounts = {
            self.set_address: (self.program, self.signer_set()),
            self.epoch_address: (self.program, self.epoch()),
            self.catalog_address: (self.program, self.catalog_account()),
        }
        self.requests = []

    def leaf(self, market_id, i):
        outcomes = tuple(Outcome(p, p // 2, p + (10**9 - p) // 2) for p in simplex([i + 1, 2, 3]))
        return PredictionLeaf(
            market_key(market_id), self.epoch_id, self.window[1], 1, outcomes, 120, 0, h("model"), h("features")
        )

    def signer_set(self, **changed):
        fields = {
            "version": 1, "bump": 255, "id": 1, "threshold": 2, "count": len(self.members), "retired": False,
            "activation_epoch": 0, "digest": self.set_digest, "keys": [pair.pubkey() for pair in self.pairs],
        }  # fmt: skip
        return idl.oracle().encode_account("SignerSet", fields | changed)

    def tally(self, **changed):
        return {
            "bundle_hash": self.header.bundle_hash, "merkle_root": self.tree.root,
            "leaf_count": self.header.leaf_count, "mask": (1 << len(self.pairs)) - 1,
        } | changed  # fmt: skip

    def epoch(self, **changed):
        fields = {
            "version": 1, "bump": 255, "catalog": catalog_bytes(self.catalog), "epoch_id": self.epoch_id, "status": 3,
            "signer_set_id": 1, "count": len(self.pairs), "threshold": 2, "opener": self.pairs[0].pubkey(),
            "window_start_ms": self.window[0], "window_end_ms": self.window[1],
            "commit_deadline_ms": self.window[1] + 40_000, "reveal_deadline_ms": self.window[1] + 80_000,
            "committed": 7, "revealed": 7, "finalized_tally": 1, "finalized_slot": 1234,
            "commitments": [h(f"commitment {i}") for i in range(len(self.pairs))],
            "tallies": [self.tally(bundle_hash=h("a dissenting signer"), mask=0), self.tally()],
        }  # fmt: skip
        return idl.oracle().encode_account("Epoch", fields | changed)

    def ring_entry(self, epoch_id, **changed):
        return {
            "epoch_id": epoch_id, "window_end_ms": (epoch_id + 1) * EPOCH_MS, "leaf_count": self.header.leaf_count,
            "signers": 2, "merkle_root": self.tree.root, "bundle_hash": self.header.bundle_hash,
        } | changed  # fmt: skip

    def catalog_account(self, first=None, written=10, **changed):
        """A ring of `written` epochs from `first` on, 64 places, wrapping."""
        first = max(0, self.epoch_id - 4) if first is None else first
        empty = {"epoch_id": 0, "window_end_ms": 0, "leaf_count": 0, "signers": 0}
        ring = [empty | {"merkle_root": bytes(32), "bundle_hash": bytes(32)} for _ in range(64)]
        for i in range(written):
            epoch_id = first + i
            own = epoch_id == self.epoch_id
            other = {"merkle_root": h(f"root {epoch_id}"), "bundle_hash": h(f"bundle {epoch_id}")}
            ring[i % 64] = self.ring_entry(epoch_id, **({} if own else other))
        fields = {
            "version": 1, "bump": 255, "catalog": catalog_bytes(self.catalog), "signer_set_id": 1,
            "epoch_ms": EPOCH_MS, "commit_ms": 40_000, "reveal_ms": 40_000, "last_finalized_epoch": first + written - 1,
            "finalized_count": written, "ring_head": written % 64, "ring": ring, "peaks": [bytes(32)] * 32,
        }  # fmt: skip
        return idl.oracle().encode_account("Catalog", fields | changed)

    def close_epoch(self):
        del self.accounts[self.epoch_address]

    def attestations(self, count=None):
        return [
            {"signer": str(pair.pubkey()), "signature": str(pair.sign_message(self.signed))}
            for pair in self.pairs[:count]
        ]

    def proof(self, **changed):
        return {
            "schema": 1,
            "catalog": self.catalog,
            "epoch_id": self.epoch_id,
            "market_id": self.market_id,
            "leaf": self.leaves[self.index].encode().hex(),
            "leaf_index": self.index,
            "leaf_count": len(self.leaves),
            "siblings": [sibling.hex() for sibling in self.tree.path(self.index)],
            "merkle_root": self.tree.root.hex(),
            "header": self.header.encode().hex(),
            "bundle_hash": self.header.bundle_hash.hex(),
            "attestations": self.attestations(),
            "chain": {
                "cluster": "localnet",
                "oracle_program": str(self.program),
                "epoch_account": str(self.epoch_address),
                "finalize_signature": "5" * 88,
                "slot": 1234,
                "commitment": "finalized",
            },
        } | changed

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """`getMultipleAccounts` as a node answers it."""
        body = json.loads(request.content)
        self.requests.append(body)
        addresses, options = body["params"]
        assert body["method"] == "getMultipleAccounts"
        assert options == {"encoding": "base64", "commitment": "finalized"}
        value = []
        for address in addresses:
            owner, data = self.accounts.get(Pubkey.from_string(address), (None, None))
            value.append(
                None
                if owner is None
                else {
                    "data": [base64.b64encode(data).decode(), "base64"],
                    "executable": False,
                    "lamports": 1,
                    "owner": str(owner),
                    "rentEpoch": 18446744073709551615,
                    "space": len(data),
                },
            )
        result = {"context": {"slot": 5678, "apiVersion": "2.0"}, "value": value}
        return httpx2.Response(200, json={"jsonrpc": "2.0", "id": body["id"], "result": result})

    @property
    def transport(self):
        return httpx2.MockTransport(self.answer)
