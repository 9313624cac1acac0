"""The two things this signer signs or hides, made from a decision."""

from m0chain import pda
from m0chain.accounts import SignerSet
from m0chain.keystore import KeyStore
from m0common.canonical import attestation_digest, commitment_hash
from solders.pubkey import Pubkey

from m0_signer.guard import Decision


def commitment_hash_of(decision: Decision, program: Pubkey, signer: Pubkey) -> bytes:
    """The commitment hash that goes on chain first."""
    epoch = pda.epoch(program, decision.catalog, decision.epoch_id)
    return commitment_hash(bytes(program), bytes(epoch), bytes(signer), decision.bundle_hash, decision.salt)


async def attest(decision: Decision, program: Pubkey, signer_set: SignerSet, key: KeyStore) -> bytes:
    """The attestation: an ed25519 signature anybody can check without the chain."""
    digest = attestation_digest(
        bytes(program), decision.catalog, decision.epoch_id, decision.bundle_hash, signer_set.digest
    )
    return await key.sign(digest)
