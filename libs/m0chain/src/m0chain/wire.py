"""One request to a node and its answer, whatever the node says: every fault names the method, none is anything else."""

from typing import TypeVar

import httpx2
from m0common.errors import Unavailable
from m0common.secret import SecretUrl
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.async_http_provider import AsyncHTTPProvider
from solana.rpc.commitment import Commitment
from solana.rpc.core import RPCException
from solana.rpc.types import URI
from solders.commitment_config import CommitmentLevel
from solders.rpc.config import RpcContextConfig
from solders.rpc.requests import Body, GetEpochInfo
from solders.rpc.responses import GetEpochInfoResp, RPCResult

from m0chain.errors import RpcUnavailable

_LEVELS = {
    Commitment.PROCESSED: CommitmentLevel.Processed,
    Commitment.CONFIRMED: CommitmentLevel.Confirmed,
    Commitment.FINALIZED: CommitmentLevel.Finalized,
}
_SHOWN = 120
"""Characters of what cannot be read that are shown."""

_T = TypeVar("_T", bound=RPCResult)


class Refused(Exception):
    """The node answered `method` with an error."""

    def __init__(self, method: str, answer: object) -> None:
        super().__init__(f"{method}: {getattr(answer, 'message', answer)}")
        self.method, self.answer = method, answer


class _Provider(AsyncHTTPProvider):
    """Raises Refused or RpcUnavailable. The address may hold a key: asked for at each request, never shown."""

    def __init__(self, address: SecretUrl, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s, http2=False, max_transport_retries=0)
        self._address = address

    async def make_request(self, body: Body, parser: type[_T]) -> _T:
        method = type(body).__name__
        method = method[:1].lower() + method[1:]
        try:
            self.endpoint_uri = URI(self._address.reveal())
        except Unavailable as error:
            raise RpcUnavailable(f"{method}: {error}") from None
        try:
            answer = await super().make_request(body, parser)
        except SolanaRpcException as error:
            raise RpcUnavailable(f"{method}: {self._why(error.__cause__)}") from error
        except RPCException as error:
            raise Refused(method, error.args[0] if error.args else None) from error
        except Exception as error:  # a proxy's page, a node going down, an answer to another question
            what = self._shown(f"{type(error).__name__}: {error}")
            raise RpcUnavailable(f"{method}: the node gave an answer that cannot be read: {what}") from error
        if not isinstance(answer, parser):
            # solana-py takes an error code that it does not know for the result
            raise RpcUnavailable(
                f"{method}: the node answered with an error code of its own: {self._shown(str(answer))}"
            )
        return answer

    def _why(self, cause: BaseException | None) -> str:
        if isinstance(cause, httpx2.HTTPStatusError):
            return f"the node answers HTTP {cause.response.status_code}"
        why = self._shown(f"{type(cause).__name__}: {cause}")
        return f"the node at {self._address} cannot be asked: {why}"

    def _shown(self, text: str) -> str:
        return self._address.scrub(text)[:_SHOWN]


class Node(AsyncClient):
    """solana-py's client over that provider, with what its own methods leave out."""

    def __init__(self, address: SecretUrl, commitment: Commitment, timeout_s: float) -> None:
        super().__init__(commitment=commitment)
        self._provider = _Provider(address, timeout_s)

    async def get_head(self, min_context_slot: int | None) -> GetEpochInfoResp:
        """The slot and the height of the newest block, of a node that has reached `min_context_slot`."""
        level = _LEVELS[self._commitment or Commitment.CONFIRMED]
        return await self._provider.make_request(
            GetEpochInfo(RpcContextConfig(level, min_context_slot)), GetEpochInfoResp
        )
