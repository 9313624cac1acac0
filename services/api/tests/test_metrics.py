"""What requests are counted under follows from the routes, never from what strangers ask for."""

from http import HTTPStatus

from m0_api import metrics


async def test_invented_paths_methods_and_queries_make_no_series_of_their_own(client):
    for number in range(200):
        await client.get(f"/v1/markets/INVENTED_{number}")
        await client.get(f"/invented/{number}?x={number}")
        await client.request(f"M{number}", f"/v1/predictions/INVENTED_{number}/latest")
        await client.get(f"/v1/epochs/sports/{number}/header")
    routes = {labels["route"] for labels, _ in metrics.REQUESTS.values()}
    statuses = {labels["status"] for labels, _ in metrics.REQUESTS.values()}
    assert "none" in routes
    assert [route for route in routes if "invented" in route.lower()] == []
    assert all(route.startswith("/") or route in {"none", "cached"} for route in routes)
    assert statuses <= {str(status.value) for status in HTTPStatus}
    assert len(list(metrics.REQUESTS.values())) < 100
