"""M0Club for Python: markets, predictions, streams, and proofs checked against the chain.

with m0client.Client("http://127.0.0.1:8080") as client:
    proof = client.proof("EPL_2016_ARSENAL_CHELSEA")
verified = m0client.verify(proof, rpc_url="http://127.0.0.1:8899", oracle_program="…")
"""

from m0client.checks import CHECKS, ProofLike, Verified
from m0client.client import AsyncClient, Client
from m0client.errors import (
    ApiError,
    DecodeError,
    M0ClientError,
    NotFound,
    RpcError,
    StreamError,
    TransportError,
    VerificationError,
)
from m0client.header import Header
from m0client.leaf import Leaf, LeafOutcome
from m0client.models import (
    Attestation,
    ChainReference,
    Epoch,
    EpochSigner,
    Info,
    Market,
    PredictedOutcome,
    Prediction,
    Programs,
    Proof,
    SignerSetInfo,
)
from m0client.subscription import Event, Gap, Snapshot, Subscription, Update
from m0client.verifier import AsyncVerifier, Verifier, verify, verify_async

__all__ = [
    "CHECKS",
    "ApiError",
    "AsyncClient",
    "AsyncVerifier",
    "Attestation",
    "ChainReference",
    "Client",
    "DecodeError",
    "Epoch",
    "EpochSigner",
    "Event",
    "Gap",
    "Header",
    "Info",
    "Leaf",
    "LeafOutcome",
    "M0ClientError",
    "Market",
    "NotFound",
    "PredictedOutcome",
    "Prediction",
    "Programs",
    "Proof",
    "ProofLike",
    "RpcError",
    "SignerSetInfo",
    "Snapshot",
    "StreamError",
    "Subscription",
    "TransportError",
    "Update",
    "VerificationError",
    "Verified",
    "Verifier",
    "verify",
    "verify_async",
]
__version__ = "0.1.0"
