"""The verifier against the committed oracle program, run in LiteSVM: what the program writes is what it reads."""

import base64
import json
import sys
from pathlib import Path

import httpx2
import pytest
from m0client import VerificationError, Verifier, verify
from m0client_world import RPC
from m0common.ids import market_key
from solders.pubkey import Pubkey
from solders.signature import Signature

sys.path.append(str(Path(__file__).parents[3] / "programs" / "tests"))

from m0svm.oracle import COMMIT_MS, REVEAL_MS, Oracle, bundle, leaf
from m0svm.oracle import FIRST_EPOCH as E

MARKETS = sorted((f"MARKET_{i}" for i in range(6)), key=market_key)


class Real:
    """The oracle with one finalized bundle, and a node in front of its accounts."""

    def __init__(self, signers=(0, 1, 2)):
        self.oracle = Oracle().ready()
        self.bundle = self.made(E)
        self.oracle.revealed(E, self.bundle, signers)
        self.signers = signers

    def made(self, epoch_id):
        leaves = [leaf(epoch_id, i, market=market_key(name)).encode() for i, name in enumerate(MARKETS)]
        return bundle(epoch_id, leaves)

    def proof(self, index=2, epoch_id=E):
        made, oracle = self.bundle, self.oracle
        return {
            "schema": 1,
            "catalog": "sports",
            "epoch_id": epoch_id,
            "market_id": MARKETS[index],
            "leaf": made.leaves[index].hex(),
            "leaf_index": index,
            "leaf_count": len(made.leaves),
            "siblings": [sibling.hex() for sibling in made.tree.path(index)],
            "merkle_root": made.tree.root.hex(),
            "header": made.header.encode().hex(),
            "bundle_hash": made.hash.hex(),
            "attestations": [
                {
                    "signer": str(oracle.keys[who]),
                    "signature": str(Signature.from_bytes(oracle.attestation(epoch_id, who, made))),
                }
                for who in self.signers
            ],
            "chain": {
                "cluster": "test",
                "oracle_program": str(oracle.program),
                "epoch_account": str(oracle.epoch_at(epoch_id)),
                "commitment": "finalized",
            },
        }

    def answer(self, request):
        addresses, _ = json.loads(request.content)["params"]
        value = []
        for address in addresses:
            account = self.oracle.chain.svm.get_account(Pubkey.from_string(address))
            known = account is not None and account.lamports > 0
            data = base64.b64encode(account.data).decode() if known else ""
            value.append({"data": [data, "base64"], "owner": str(account.owner)} if known else None)
        return httpx2.Response(200, json={"result": {"context": {"slot": 1}, "value": value}})

    @property
    def transport(self):
        return httpx2.MockTransport(self.answer)

    def check(self):
        with pytest.raises(VerificationError) as caught:
            verify(self.proof(), RPC, transport=self.transport)
        return caught.value.check


@pytest.mark.parametrize("signers", [(0, 1, 2), (0, 2), (1, 2)])
def test_what_the_program_finalized_verifies(signers):
    real = Real(signers)
    assert real.check() == "chain"  # revealed, not finalized
    real.oracle.finalize(E).ok()
    for index in range(len(MARKETS)):
        verified = verify(real.proof(index), RPC, transport=real.transport, oracle_program=str(real.oracle.program))
        assert (verified.source, verified.threshold, len(verified.signers)) == ("epoch", 2, len(signers))


def test_a_closed_epoch_verifies_from_the_ring_until_64_others_followed():
    real = Real()
    real.oracle.finalize(E).ok()
    real.oracle.at_end_of(E, COMMIT_MS + REVEAL_MS + 61_000)
    real.oracle.close(E).ok()
    assert verify(real.proof(), RPC, transport=real.transport).source == "ring"
    for later in range(E + 10, E + 10 + 63):
        real.oracle.finalized(later)
    assert verify(real.proof(), RPC, transport=real.transport).source == "ring"
    real.oracle.finalized(E + 100)
    assert real.check() == "chain"


def test_an_expired_epoch_proves_nothing():
    real = Real(signers=(0,))
    real.oracle.at_end_of(E, COMMIT_MS + REVEAL_MS + 1000)
    real.oracle.expire(E).ok()
    assert real.check() == "attestations"
    real.signers = (0, 1)
    assert real.check() == "chain"


def test_a_second_bundle_with_good_attestations_does_not_replace_the_finalized_one():
    real = Real()
    real.oracle.finalize(E).ok()
    leaves = [leaf(E, i, market=market_key(name), risk_bps=1).encode() for i, name in enumerate(MARKETS)]
    real.bundle = bundle(E, leaves)
    assert real.check() == "chain"


def test_one_byte_of_anything_is_noticed():
    real = Real()
    real.oracle.finalize(E).ok()
    with Verifier(RPC, transport=real.transport) as verifier:
        verifier.verify(real.proof())
        for field in ("leaf", "header", "merkle_root", "bundle_hash"):
            original = bytes.fromhex(real.proof()[field])
            for at in range(len(original)):
                changed = bytearray(original)
                changed[at] ^= 0x10
                with pytest.raises(VerificationError):
                    verifier.verify(real.proof() | {field: changed.hex()})
