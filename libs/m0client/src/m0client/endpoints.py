"""The API's endpoints, without I/O: what to ask and how to read the answer."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from m0client.errors import UNDECODABLE, ApiError, DecodeError, NotFound
from m0client.models import Epoch, Info, Market, Page, Prediction, Proof

T = TypeVar("T")
PAGE_ITEMS = 100


class Endpoint(NamedTuple):
    """A path below the API's base, its query, and the type of the answer (a msgspec type, hence Any)."""

    path: str
    params: dict[str, str]
    answer: Any


class _Problem(msgspec.Struct):
    code: str = "error"
    title: str = ""
    detail: str = ""


def _query(**params: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}


def markets(catalog: str | None, state: str | None, cursor: str | None) -> Endpoint:
    query = _query(catalog=catalog, state=state, limit=PAGE_ITEMS, cursor=cursor)
    return Endpoint("/v1/markets", query, Page[Market])


def market(market_id: str) -> Endpoint:
    return Endpoint(f"/v1/markets/{quote(market_id, safe='')}", {}, Market)


def epochs(catalog: str | None, status: str | None, cursor: str | None) -> Endpoint:
    query = _query(catalog=catalog, status=status, limit=PAGE_ITEMS, cursor=cursor)
    return Endpoint("/v1/epochs", query, Page[Epoch])


def latest(market_id: str, status: str | None) -> Endpoint:
    return Endpoint(f"/v1/predictions/{quote(market_id, safe='')}/latest", _query(status=status), Prediction)


def history(market_id: str, cursor: str | None) -> Endpoint:
    query = _query(limit=PAGE_ITEMS, cursor=cursor)
    return Endpoint(f"/v1/predictions/{quote(market_id, safe='')}/history", query, Page[Prediction])


def proof(market_id: str, epoch_id: int | None) -> Endpoint:
    query = _query(epoch_id=epoch_id)
    return Endpoint(f"/v1/predictions/{quote(market_id, safe='')}/proof", query, Proof)


def info() -> Endpoint:
    return Endpoint("/v1/info", {}, Info)


def read(endpoint: Endpoint, response: httpx2.Response) -> Any:
    """The decoded answer. Raises NotFound, ApiError, or DecodeError when the server sent something else."""
    if response.status_code >= 300:
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except UNDECODABLE:
            problem = _Problem(title=response.reason_phrase)
        kind = NotFound if response.status_code == 404 else ApiError
        raise kind(response.status_code, problem.code, problem.detail or problem.title)
    try:
        return msgspec.json.decode(response.content, type=endpoint.answer)
    except UNDECODABLE as error:
        raise DecodeError(f"{response.url} did not answer as documented: {error}") from error


def headers(api_key: str | None) -> Mapping[str, str]:
    """Headers of every request."""
    base = {"accept": "application/json", "user-agent": "m0client/0.1"}
    return base | ({"authorization": f"Bearer {api_key}"} if api_key else {})


def stream_url(base_url: str) -> str:
    """Where the realtime server of a default deployment listens: the API's host, port 8090, path /ws."""
    url = httpx2.URL(base_url)
    scheme = "wss" if url.scheme == "https" else "ws"
    return str(httpx2.URL(scheme=scheme, host=url.host, port=8090, path="/ws"))
