"""How boxes ask: the API, its plain routes, and the chain; what goes wrong is a Fault that names address and remedy."""

import contextlib
import ssl
import time
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import httpx2
from m0chain import ChainClient, ChainError, Timing, idl
from m0client import AsyncClient, M0ClientError, TransportError
from m0common.secret import SecretUrl
from solders.pubkey import Pubkey

from m0cli.doctor.site import Site
from m0cli.doctor.verdict import Fault, Verdict

REQUEST_S = 10.0
"""Who takes longer for one answer has not answered."""
POLL_S = 2.0
TIMING = Timing(request_s=REQUEST_S, attempts=2)

T = TypeVar("T")


@contextlib.asynccontextmanager
async def api_of(site: Site) -> AsyncIterator[AsyncClient]:
    """A client of the API that also verifies proofs; a Fault when it does not answer as documented."""
    rpc = None if site.rpc is None else site.rpc.reveal()
    async with AsyncClient(site.api, timeout=REQUEST_S, rpc_url=rpc, oracle_program=site.oracle) as client:
        try:
            yield client
        except TransportError as error:
            raise Fault(f"{error}: start the API, or let M0_API_BASE name it") from error
        except M0ClientError as error:
            raise Fault(f"the API at {site.api} answers wrongly: {error}: see its log and M0_API_BASE") from error


async def get(url: str, remedy: str) -> httpx2.Response:
    """What an address answers, whatever its status. Raises Fault when nobody does."""
    try:
        transport = httpx2.AsyncHTTPTransport(verify=_trusted(), retries=2)
        async with httpx2.AsyncClient(timeout=REQUEST_S, transport=transport) as client:
            return await client.get(url)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Fault(f"{url}: {str(error) or type(error).__name__}: {remedy}") from error


@cache
def _trusted() -> ssl.SSLContext:
    """Whom connections trust: read once, for it takes longer than a request."""
    return httpx2.create_ssl_context()


async def some(items: AsyncIterator[T], most: int) -> list[T]:
    """The first `most` of them."""
    found: list[T] = []
    async for item in items:
        found.append(item)
        if len(found) == most:
            break
    return found


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of the site, by a node and the programs that are the site's."""

    client: ChainClient
    oracle: Pubkey
    registry: Pubkey | None


@contextlib.asynccontextmanager
async def chain_of(site: Site, commitment: str = "confirmed") -> AsyncIterator[Chain]:
    """The chain; a Fault when no node is named, it does not answer, or it is of another chain."""
    rpc, oracle, registry = site.rpc, site.oracle, site.registry
    if rpc is None or oracle is None:
        async with api_of(site) as api:
            info = await api.info()
        rpc = rpc or (SecretUrl(info.rpc_url) if info.rpc_url else None)
        oracle, registry = oracle or info.programs.oracle, registry or info.programs.registry
    if rpc is None:
        raise Fault(f"no Solana node is named, and {site.api} names none for anybody: set M0_RPC_URL")
    program = _address("M0_ORACLE_PROGRAM_ID", oracle)
    listed_by = None if registry is None else _address("M0_REGISTRY_PROGRAM_ID", registry)
    async with ChainClient(rpc, commitment=commitment, timing=TIMING, idls={program: idl.oracle()}) as client:
        try:
            await _refuse_another_chain(client, site.genesis_hash)
            yield Chain(client, program, listed_by)
        except ChainError as error:
            raise Fault(f"the Solana node {rpc}: {error}: let M0_RPC_URL name one that answers") from error


def _address(variable: str, value: str | None) -> Pubkey:
    try:
        return Pubkey.from_string(value or "")
    except ValueError:
        raise Fault(f"the program is {value!r}, which is no address: set {variable}") from None


async def _refuse_another_chain(client: ChainClient, wanted: str | None) -> None:
    found = bytes(await client.genesis_hash()).hex()
    if wanted is not None and found != wanted.lower():
        raise Fault(
            f"the node is of the chain with genesis hash {found}, and the deployment of {wanted}: let M0_RPC_URL name "
            "a node of that chain, or M0_GENESIS_HASH this one"
        )


async def watched(wait_s: float, look: Callable[[], Awaitable[Verdict]]) -> Verdict:
    """What `look` says: that it holds, or the last of it after `wait_s` seconds."""
    until_s = time.monotonic() + wait_s
    while (said := await look()).ok is not True and time.monotonic() < until_s:  # noqa: ASYNC110 - the world is looked at
        await sleep(POLL_S)
    return said
