"""REST through a swapped transport: paths, paging, errors, and what the package shows to the world."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import httpx2
import m0client
import pytest
from m0client import ApiError, AsyncClient, Client, DecodeError, NotFound, RpcError, TransportError, verify
from m0client_world import RPC, World

MARKET = {
    "market_id": "M1", "catalog": "sports", "title": "A v B", "outcomes": ["home", "draw", "away"], "state": "ACTIVE",
    "schema_version": 1, "opens_ms": 1, "resolves_after_ms": 2, "resolution": None,
}  # fmt: skip
EPOCH = {
    "catalog": "sports", "epoch_id": 7, "status": "open", "window_start_ms": 1, "window_end_ms": 2, "leaf_count": None,
    "merkle_root": None, "bundle_hash": None, "prev_bundle_hash": None,
    "signers": [{"signer": "k", "committed": True, "revealed": False}], "finalized_slot": None,
    "finalize_signature": None,
}  # fmt: skip
PREDICTION = {
    "market_id": "M1", "catalog": "sports", "epoch_id": 7, "status": "finalized",
    "outcomes": [{"name": "home", "p": 0.5, "lo": 0.4, "hi": 1, "p_ppb": 500000000, "lo_ppb": 1, "hi_ppb": 10**9}],
    "risk_bps": 12, "quality_flags": ["stale"], "model": "pool", "model_key": "00", "features_hash": "00",
    "window_end_ms": 2,
}  # fmt: skip
INFO = {
    "cluster": "localnet", "rpc_url": RPC, "ws_url": "ws://node.test", "programs": {"oracle": "P", "registry": None},
    "signer_sets": [{"id": 1, "threshold": 2, "signers": ["k"], "activation_epoch": 0, "retired": False}],
    "version": "0.1.0",
}  # fmt: skip


class Api:
    """An API that keeps what it was asked."""

    def __init__(self):
        self.world = World()
        self.asked = []

    def __call__(self, request):
        self.asked.append(request.url.raw_path.decode())
        cursor = request.url.params.get("cursor")
        match request.url.path:
            case "/v1/markets":
                items = [MARKET | {"market_id": f"M{i}"} for i in range(2)]
                return httpx2.Response(200, json={"items": items, "next_cursor": None if cursor else "next page&more"})
            case "/v1/epochs":
                return httpx2.Response(200, json={"items": [EPOCH], "next_cursor": None})
            case "/v1/markets/M1":
                return httpx2.Response(200, json=MARKET)
            case "/v1/predictions/M1/latest":
                return httpx2.Response(200, json=PREDICTION)
            case "/v1/predictions/M1/history":
                return httpx2.Response(200, json={"items": [PREDICTION] * 3, "next_cursor": None})
            case "/v1/predictions/M1/proof":
                return httpx2.Response(200, json=self.world.proof())
            case "/v1/info":
                return httpx2.Response(200, json=INFO)
            case "/v1/predictions/HTML/latest":
                return httpx2.Response(200, text="<html>")
            case "/v1/predictions/BROKEN/latest":
                return httpx2.Response(502, text="bad gateway")
            case _:
                problem = {"type": "about:blank", "title": "Not found", "code": "market_not_found", "detail": "no such"}
                return httpx2.Response(404, json=problem, headers={"content-type": "application/problem+json"})


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def client(api):
    with Client("http://api.test", transport=httpx2.MockTransport(api), rpc_transport=api.world.transport) as client:
        yield client


def test_lists_are_read_page_by_page(client, api):
    assert [m.market_id for m in client.markets("sports", "ACTIVE")] == ["M0", "M1", "M0", "M1"]
    assert len(api.asked) == 2
    assert api.asked[0] == "/v1/markets?catalog=sports&state=ACTIVE&limit=100"
    assert "cursor=next" in api.asked[1]
    first = client.markets()
    next(first)
    assert len(api.asked) == 3


def test_the_newest_of_one_status_can_be_asked_for(client, api):
    client.latest("M1", "finalized")
    assert api.asked[-1] == "/v1/predictions/M1/latest?status=finalized"


def test_answers_are_typed(client):
    assert client.market("M1").outcomes == ("home", "draw", "away")
    assert next(client.epochs(status="open")).signers[0].revealed is False
    assert client.latest("M1").outcomes[0].hi == 1.0
    assert len(list(client.history("M1"))) == 3
    assert client.proof("M1").market_id == World().market_id
    assert client.info().programs.oracle == "P"


def test_verify_asks_the_node_that_the_api_names_unless_told_otherwise(client, api):
    assert client.verify(client.proof("M1")).source == "epoch"
    assert api.asked[-1] == "/v1/info"
    with Client(
        "http://api.test", rpc_url=RPC, transport=httpx2.MockTransport(api), rpc_transport=api.world.transport
    ) as own:
        own.verify(api.world.proof())
    assert api.asked.count("/v1/info") == 1


def test_an_api_that_names_no_node_is_verified_against_ones_own_alone():
    nameless = httpx2.MockTransport(lambda _: httpx2.Response(200, json=INFO | {"rpc_url": None, "ws_url": None}))
    with Client("http://api.test", transport=nameless) as client, pytest.raises(RpcError, match="pass the rpc_url of"):
        client.verify(World().proof())


def test_an_error_does_not_show_the_key_in_a_nodes_address():
    def refuse(request):
        raise httpx2.ConnectError("refused", request=request)

    for transport in (refuse, lambda _: httpx2.Response(403, content=b"forbidden")):
        address = "https://user-key@node.example:8443/v2/path-key?api-key=query-key"
        with pytest.raises((RpcError, TransportError)) as caught:
            verify(World().proof(), address, transport=httpx2.MockTransport(transport))
        assert "https://node.example:8443" in str(caught.value)
        assert "-key" not in str(caught.value)


def test_problems_become_errors_with_the_stable_code(client):
    with pytest.raises(NotFound) as caught:
        client.latest("NOBODY")
    assert (caught.value.status, caught.value.code, caught.value.detail) == (404, "market_not_found", "no such")
    with pytest.raises(ApiError, match="502"):
        client.latest("BROKEN")
    with pytest.raises(DecodeError, match="HTML"):
        client.latest("HTML")


def test_a_market_id_cannot_leave_its_place_in_the_path(client, api):
    with pytest.raises(NotFound):
        client.latest("../info?x=")
    assert api.asked[-1] == "/v1/predictions/..%2Finfo%3Fx%3D/latest"


def test_an_api_key_travels_as_a_bearer_token():
    seen = []

    def answer(request):
        seen.append(request.headers.get("authorization"))
        return httpx2.Response(200, json=INFO)

    Client("http://api.test", api_key="k", transport=httpx2.MockTransport(answer)).info()
    assert seen == ["Bearer k"]


def test_an_api_that_is_not_there_is_a_transport_error_that_names_it():
    def refuse(request):
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(TransportError, match=r"http://api\.test/v1/info"):
        Client("http://api.test", transport=httpx2.MockTransport(refuse)).info()


@pytest.mark.parametrize(
    ("base", "stream"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8090/ws"),
        ("https://api.m0.test", "wss://api.m0.test:8090/ws"),
        ("http://[::1]:8080/", "ws://[::1]:8090/ws"),
    ],
)
def test_the_realtime_server_is_looked_for_beside_the_api(base, stream):
    assert Client(base).stream_url == stream
    assert AsyncClient(base).stream_url == stream
    assert Client(base, stream_url="ws://x/y").stream_url == "ws://x/y"


async def test_the_asynchronous_client_does_the_same(api):
    transport = httpx2.MockTransport(api)
    async with AsyncClient("http://api.test", transport=transport, rpc_transport=api.world.transport) as client:
        assert [m.market_id async for m in client.markets()] == ["M0", "M1", "M0", "M1"]
        assert (await client.market("M1")).title == "A v B"
        assert [e.epoch_id async for e in client.epochs()] == [7]
        assert (await client.latest("M1")).model == "pool"
        assert len([p async for p in client.history("M1")]) == 3
        assert (await client.verify(await client.proof("M1"))).slot == 5678
        assert (await client.info()).cluster == "localnet"
        with pytest.raises(NotFound):
            await client.market("NOBODY")


# --- the package ----------------------------------------------------------------------------------------------------


def test_all_names_what_the_package_shows_and_nothing_else():
    public = {n for n, v in vars(m0client).items() if not n.startswith("_") and not isinstance(v, type(json))}
    assert public == set(m0client.__all__)
    assert list(m0client.__all__) == sorted(m0client.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n))


def test_every_exception_is_in_the_tree_of_the_docstring():
    from m0client import errors

    tree = errors.__doc__
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert name in tree
            assert issubclass(value, m0client.M0ClientError)
            assert value.__doc__


def test_the_package_is_typed_and_needs_nothing_of_m0common():
    root = Path(m0client.__file__).parent
    assert (root / "py.typed").exists()
    for module in root.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "m0common" for name in names), module
    code = "import sys, m0client; sys.exit(any(n.split('.')[0] == 'm0common' for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
