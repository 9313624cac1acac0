"""Storage of every kind, and logs to archive."""

import importlib.util
import sys
from pathlib import Path
from threading import Thread

import pytest
from m0archive.objects import memory, opened
from m0common.secret import Secret
from m0common.settings import Archive
from m0local.ports import free_port

BUCKET = "m0-archive"
KEYS = {"access_key_id": "test", "secret_access_key": "marker-of-the-bucket"}


@pytest.fixture(scope="session")
def s3_endpoint():
    """A server of S3 on loopback, for one request after the other: in threads its conditional writes are none."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    app, port = DomainDispatcherApplication(create_backend_app), free_port()
    server = make_server("127.0.0.1", port, app, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3(s3_endpoint):
    """A client of that server with an empty bucket."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"],
        aws_secret_access_key=KEYS["secret_access_key"],
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=each["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture(params=["folder", "s3", "memory"])
def store(request, tmp_path):
    """Storage of each kind, empty."""
    if request.param == "memory":
        return memory()
    if request.param == "folder":
        return opened(Archive(url=f"file://{tmp_path}/archive"))
    request.getfixturevalue("s3")
    keys = {name: Secret(value) for name, value in KEYS.items()}
    endpoint = request.getfixturevalue("s3_endpoint")
    return opened(Archive(url=f"s3://{BUCKET}/a/prefix", endpoint=endpoint, **keys))


_HERE = Path(__file__).parent
_WORLDS = [
    *(_HERE.parents[1] / "m0lanes/tests" / f"{name}.py" for name in ("lanes_toy", "lanes_world")),
    _HERE.parents[1] / "m0replay/tests/recorded_world.py",
    _HERE / "archive_world.py",
]
for _path in _WORLDS:
    if _path.stem not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_path.stem, _path)
        sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_path.stem])
