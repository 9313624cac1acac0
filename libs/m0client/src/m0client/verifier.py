"""Verifiers: fetch the accounts a proof speaks of, and check it against them (see m0client.checks)."""

from typing import Self
from urllib.parse import urlsplit

import httpx2
from solders.pubkey import Pubkey

from m0client.checks import Claim, ProofLike, Verified, conclude, prepare
from m0client.errors import RpcError, TransportError
from m0client.rpc import Account, accounts_request, read_accounts

_CACHED_EPOCHS = 256


class _Memory:
    """Accounts of epochs that were found finalized: final at finalized commitment, so they need no second look."""

    def __init__(self) -> None:
        self._known: dict[tuple[Pubkey, ...], tuple[int, list[Account | None]]] = {}

    def get(self, claim: Claim) -> tuple[int, list[Account | None]] | None:
        return self._known.get(claim.addresses)

    def keep(self, claim: Claim, slot: int, found: list[Account | None]) -> None:
        if len(self._known) >= _CACHED_EPOCHS:
            self._known.pop(next(iter(self._known)))
        self._known[claim.addresses] = (slot, found)


_HEADERS = {"content-type": "application/json"}


def _shown(url: str) -> str:
    """What an error may say of a node's address: a provider's holds a key in its path, query or credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "of that address"


def _body(response: httpx2.Response) -> bytes:
    if response.status_code != 200 and not response.content.startswith(b"{"):
        raise RpcError(f"the node at {_shown(str(response.url))} answered {response.status_code}")
    return response.content


class Verifier:
    """Verifies many proofs over one connection; epochs already found final are not read again.

    `transport` swaps the HTTP transport. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        rpc_url: str,
        oracle_program: str | None = None,
        *,
        timeout: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.rpc_url = rpc_url
        self.oracle_program = oracle_program
        self._http = httpx2.Client(timeout=timeout, transport=transport or httpx2.HTTPTransport(retries=2))
        self._memory = _Memory()

    def verify(self, proof: ProofLike) -> Verified:
        """Check `proof`. Raises VerificationError, or TransportError or RpcError when the node does not answer."""
        claim = prepare(proof, self.oracle_program)
        known = self._memory.get(claim)
        if known is None:
            try:
                response = self._http.post(self.rpc_url, content=accounts_request(claim.addresses), headers=_HEADERS)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise TransportError(
                    f"Solana node {_shown(self.rpc_url)}: {str(error) or type(error).__name__}"
                ) from error
            known = read_accounts(_body(response), len(claim.addresses))
        verified = conclude(claim, *known)
        self._memory.keep(claim, *known)
        return verified

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncVerifier:
    """As Verifier, for asyncio."""

    def __init__(
        self,
        rpc_url: str,
        oracle_program: str | None = None,
        *,
        timeout: float = 10.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.rpc_url = rpc_url
        self.oracle_program = oracle_program
        self._http = httpx2.AsyncClient(timeout=timeout, transport=transport or httpx2.AsyncHTTPTransport(retries=2))
        self._memory = _Memory()

    async def verify(self, proof: ProofLike) -> Verified:
        """Check `proof`. Raises VerificationError, or TransportError or RpcError when the node does not answer."""
        claim = prepare(proof, self.oracle_program)
        known = self._memory.get(claim)
        if known is None:
            content = accounts_request(claim.addresses)
            try:
                response = await self._http.post(self.rpc_url, content=content, headers=_HEADERS)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise TransportError(
                    f"Solana node {_shown(self.rpc_url)}: {str(error) or type(error).__name__}"
                ) from error
            known = read_accounts(_body(response), len(claim.addresses))
        verified = conclude(claim, *known)
        self._memory.keep(claim, *known)
        return verified

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def verify(
    proof: ProofLike,
    rpc_url: str,
    *,
    oracle_program: str | None = None,
    timeout: float = 10.0,
    transport: httpx2.BaseTransport | None = None,
) -> Verified:
    """Check one proof against the chain behind `rpc_url`; see `m0client.checks` for what is checked.

    Raises VerificationError, TransportError or RpcError.
    """
    with Verifier(rpc_url, oracle_program, timeout=timeout, transport=transport) as verifier:
        return verifier.verify(proof)


async def verify_async(
    proof: ProofLike,
    rpc_url: str,
    *,
    oracle_program: str | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - the HTTP client's, as in httpx
    transport: httpx2.AsyncBaseTransport | None = None,
) -> Verified:
    """As `verify`, for asyncio."""
    async with AsyncVerifier(rpc_url, oracle_program, timeout=timeout, transport=transport) as verifier:
        return await verifier.verify(proof)
