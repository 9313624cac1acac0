"""`make images-pin` against a registry of this machine, and what Compose and the chart make of what it writes."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pin
import pytest
import yaml
from locks import IMAGES, ROOT
from m0local.ports import free_port

pytestmark = pytest.mark.loopback
SCRIPT = Path(pin.__file__)
SERVERS = ("apache/kafka:4.4.0", "postgres:18", "valkey/valkey:9", "clickhouse/clickhouse-server:25.8")
BASE = "debian:bookworm-slim"


class Registry(ThreadingHTTPServer):
    """Manifests by PATH:TAG, for whoever fetched a token first where `guarded`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", free_port()), Answer)
        self.manifests = {name: f'{{"of": "{name}"}}'.encode() for name in (*SERVERS, BASE)}
        self.guarded = False
        self.lying = ""
        self.host = f"127.0.0.1:{self.server_port}"

    def pinned(self, name):
        return f"{self.host}/{name}@sha256:{hashlib.sha256(self.manifests[name]).hexdigest()}"


class Answer(BaseHTTPRequestHandler):
    server: Registry

    def log_message(self, *_):
        pass

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/token?"):
            assert "service=here" in self.path
            return self.answer(200, b'{"token": "open"}')
        if self.server.guarded and self.headers["Authorization"] != "Bearer open":
            told = f'Bearer realm="http://{self.server.host}/token",service="here"'
            return self.answer(401, b"", WWW_Authenticate=told)
        path, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
        body = self.server.manifests.get(f"{path}:{tag}")
        if body is None or "application/vnd.oci.image.index.v1+json" not in self.headers["Accept"]:
            return self.answer(404, b"{}")
        said = self.server.lying or f"sha256:{hashlib.sha256(body).hexdigest()}"
        return self.answer(200, body, Docker_Content_Digest=said)


@pytest.fixture
def registry():
    with Registry() as made:
        serving = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield made
        made.shutdown()
        serving.join()


def run(folder, *words, **told):
    env = {name: value for name, value in os.environ.items() if not name.endswith("_IMAGE")} | told
    command = [sys.executable, SCRIPT, "--to", folder, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def env_of(folder):
    return dict(line.split("=", 1) for line in (folder / "compose.env").read_text().splitlines())


def test_the_chart_and_compose_start_the_same_servers():
    values = yaml.safe_load((ROOT / "infra/helm/m0club/values.yaml").read_text())
    found = pin.named({})
    assert found.keys() == {"KAFKA_IMAGE", "POSTGRES_IMAGE", "VALKEY_IMAGE", "CLICKHOUSE_IMAGE", "BASE_IMAGE"}
    for name in pin.CHART:
        assert values["servers"][name]["image"] == found[f"{name.upper()}_IMAGE"]


@pytest.mark.parametrize("guarded", [False, True])
def test_servers_are_named_by_what_the_registry_sends(registry, tmp_path, guarded):
    registry.guarded = guarded
    done = run(tmp_path, "--registry", registry.host)
    assert done.returncode == 0, done.stderr
    pinned = [registry.pinned(name) for name in SERVERS]
    assert list(env_of(tmp_path).values()) == [*pinned, registry.pinned(BASE)]
    values = yaml.safe_load((tmp_path / "values.yaml").read_text())
    assert [values["servers"][name]["image"] for name in pin.CHART] == pinned[:3]


def test_an_image_that_names_its_registry_is_asked_there(registry, tmp_path):
    registry.manifests["team/kafka:1"] = b"mine"
    done = run(tmp_path, "--registry", registry.host, KAFKA_IMAGE=f"{registry.host}/team/kafka:1")
    assert done.returncode == 0, done.stderr
    assert env_of(tmp_path)["KAFKA_IMAGE"] == registry.pinned("team/kafka:1")


def test_images_of_a_release_are_named_where_compose_and_the_chart_look(registry, tmp_path):
    for name in IMAGES:
        registry.manifests[f"team/m0club/{name}:v1.2.3"] = name.encode()
    prefix = f"{registry.host}/team"
    done = run(tmp_path, "--registry", registry.host, "--ours", prefix, "--tag", "v1.2.3")
    assert done.returncode == 0, done.stderr
    pinned = {name: registry.pinned(f"team/m0club/{name}:v1.2.3") for name in IMAGES}
    asked = subprocess.run("docker compose version", shell=True, capture_output=True, check=False)
    if not asked.returncode:
        command = ["docker", "compose", "--env-file", tmp_path / "compose.env", "--profile", "*"]
        command += ["-f", ROOT / "infra/compose/compose.dev.yml", "config", "--format", "json"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        images = {each["image"] for each in json.loads(said.stdout)["services"].values()}
        assert images == {*pinned.values(), *(registry.pinned(name) for name in SERVERS)}
    values = yaml.safe_load((tmp_path / "values.yaml").read_text())
    digests = {f"{name}:v1.2.3": image.partition("@")[2] for name, image in pinned.items()}
    assert values["global"] == {"imageDigests": digests}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("absent", "has no postgres:18 for us (404): push it there"),
        ("lying", "trust neither"),
        ("untagged", "has no tag: name one, as kafka:1.2.3"),
    ],
)
def test_what_cannot_be_named_is_said_and_nothing_is_written(registry, tmp_path, fault, said):
    told = {}
    if fault == "absent":
        del registry.manifests["postgres:18"]
    elif fault == "lying":
        registry.lying = f"sha256:{'0' * 64}"
    else:
        told["KAFKA_IMAGE"] = f"{registry.host}/kafka"
    done = run(tmp_path / "to", "--registry", registry.host, **told)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "to").exists()


def test_where_no_registry_is_reached_one_sentence_says_so(registry, tmp_path):
    registry.shutdown()
    registry.server_close()
    done = run(tmp_path / "to", "--registry", registry.host)
    assert done.returncode == 1
    assert done.stderr.startswith(f"images-pin: no registry is reached for {registry.host}/apache/kafka:4.4.0 (")
    alone = run(tmp_path / "to", PATH=str(tmp_path))
    assert alone.stderr == (
        "images-pin: no registry is reached for apache/kafka:4.4.0 (there is neither skopeo nor docker here): "
        "name one that is with --registry; nothing was written\n"
    )
    assert not (tmp_path / "to").exists()
