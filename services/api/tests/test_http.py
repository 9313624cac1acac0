"""Caching, problems, request ids, and the interface against its own description."""

import hashlib
import importlib

import pytest
from api_served import served
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from m0_api.caching import matches
from m0_api.observe import MAX_ID_BYTES
from m0common.secret import SecretUrl
from m0common.settings import Solana

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def schemathesis():
    """Slow to load, and every process of a run collects this file."""
    return importlib.import_module("schemathesis")


@pytest.mark.parametrize("path", ["/v1/markets", "/v1/info", "/v1/predictions/EPL_002/proof", "/v1/epochs"])
async def test_the_etag_is_the_hash_of_the_body_and_saves_sending_it_again(client, path):
    answer = await client.get(path)
    tag = answer.headers["etag"]
    assert tag == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await client.get(path, headers={"If-None-Match": header})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


def test_an_empty_if_none_match_matches_nothing():
    assert not matches("", '"a"')


async def test_what_is_addressed_by_content_may_be_kept_for_ever(client, world):
    name = hashlib.sha256(world.bundles[104].header).hexdigest()
    assert "immutable" in (await client.get(f"/v1/bundles/{name}/header")).headers["cache-control"]
    assert "immutable" in (await client.get("/v1/predictions/EPL_002/proof?epoch_id=101")).headers["cache-control"]
    assert (await client.get("/v1/predictions/EPL_002/proof")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/markets", 405, "method_not_allowed"),
        ("GET", "/v1/markets/lower", 422, "invalid_request"),
        ("GET", "/v1/epochs/sports/-1", 422, "invalid_request"),
        ("GET", "/v1/epochs/sports/9223372036854775808", 422, "invalid_request"),
        ("GET", "/v1/epochs/sports/1", 404, "epoch_not_found"),
        ("GET", "/v1/bundles/zz", 422, "invalid_request"),
        ("GET", "/v1/epochs?status=final", 422, "invalid_request"),
    ],
)
async def test_every_error_is_a_problem_with_a_stable_code(client, method, path, status, code):
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "code", "detail"}
    assert "etag" not in answer.headers


async def test_a_request_id_is_kept_when_it_is_harmless_and_made_otherwise(client):
    assert (await client.get("/health", headers={"X-Request-Id": "abc-1"})).headers["x-request-id"] == "abc-1"
    made = (await client.get("/health", headers={"X-Request-Id": 'a"b'})).headers["x-request-id"]
    assert made.isalnum()
    long = (await client.get("/health", headers={"X-Request-Id": "a" * 999})).headers["x-request-id"]
    assert len(long) == MAX_ID_BYTES


async def test_a_page_of_another_origin_may_read(client):
    answer = await client.get("/v1/info", headers={"Origin": "http://localhost:3000"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_description_documents_every_problem_of_an_endpoint(client):
    schema = (await client.get("/openapi.json")).json()
    responses = schema["paths"]["/v1/predictions/{market_id}/proof"]["get"]["responses"]
    assert set(responses) == {"200", "404", "409", "422", "503"}
    for status in ("404", "409", "422", "503"):
        assert list(responses[status]["content"]) == ["application/problem+json"]
    assert "`epoch_not_final`" in responses["409"]["description"]
    assert all(path.startswith("/v1/") for path in schema["paths"])
    assert "HTTPValidationError" not in str(schema["paths"])


def test_every_answer_of_the_running_service_is_what_its_description_says(address, schemathesis):
    described = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) == 11

    @hypothesis_settings(max_examples=200, suppress_health_check=list(HealthCheck), database=None)
    @given(case=st.one_of([operation.as_strategy() for operation in operations]))
    def check(case):
        # a cursor is opaque: the description cannot say which ones this list made
        case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance])

    check()


def test_every_answer_about_something_known_is_what_the_description_says(address, world, schemathesis):
    described = schemathesis.openapi.from_url(f"{address}/openapi.json")
    known = {
        "market_id": "EPL_002",
        "catalog": "sports",
        "epoch_id": 101,
        "bundle_hash": hashlib.sha256(world.bundles[104].header).hexdigest(),
    }
    for result in described.get_all_operations():
        operation = result.ok()
        wanted = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
        case = operation.Case(path_parameters=wanted)
        response = case.call_and_validate()
        assert response.status_code == 200


async def test_info_names_the_public_node_and_never_the_one_that_is_used(settings):
    private, public = "https://node.example/v2/private-key-of-ours", "https://public.example"
    for said in (public, ""):
        solana = Solana(
            rpc_url=SecretUrl(private), ws_url=SecretUrl(private.replace("https", "wss")), public_rpc_url=said
        )
        async with served(settings.model_copy(update={"solana": solana})) as (_, client):
            answer = await client.get("/v1/info")
        assert (answer.json()["rpc_url"], answer.json()["ws_url"]) == (said or None, None)
        assert "node.example" not in answer.text
