"""Signers go on one at a time, on an API server that does with StatefulSets what a cluster's controller does."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from m0deploy.errors import DeployError
from m0deploy.roll import Roll

pytestmark = pytest.mark.loopback
NAMES = [f"m0club-signer-{number}" for number in (1, 2, 3)]
SETS, PODS = "/apis/apps/v1/namespaces/here/statefulsets", "/api/v1/namespaces/here/pods/"


class Signer:
    """A StatefulSet of one replica and its pod, behind an upgrade from v1 to v2 that has changed the template alone."""

    def __init__(self, name):
        self.name, self.partition, self.uid = name, 1, 0
        self.wanted, self.revision, self.ready = "v2", "v1", True
        self.patches = []

    def patched(self, partition):
        self.partition = partition
        self.patches.append(partition)

    def shown(self):
        return {
            "metadata": {"name": self.name, "generation": 3},
            "spec": {"serviceName": "s", "selector": {}, "template": {}},
            "status": {"replicas": 1, "observedGeneration": 3, "updateRevision": self.wanted},
        }

    def pod(self):
        state = {"running": {}} if self.ready else {"waiting": {"reason": "CrashLoopBackOff"}}
        container = {"name": "signer", "image": "i", "imageID": "", "ready": self.ready, "restartCount": 0}
        return {
            "metadata": {
                "name": f"{self.name}-0", "uid": str(self.uid), "labels": {"controller-revision-hash": self.revision},
            },
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": str(self.ready)}],
                "containerStatuses": [container | {"state": state}],
            },
        }  # fmt: skip


class Api:
    """The API server. `starts` says of a version whether its pods become ready."""

    def __init__(self):
        self.signers = {name: Signer(name) for name in NAMES}
        self.starts = {"v1": True, "v2": True}
        self.down, self.away = [], 0

    def patch(self, name, body):
        signer = self.signers[name]
        signer.patched(body["spec"]["updateStrategy"]["rollingUpdate"]["partition"])
        if signer.partition == 0 and signer.revision != signer.wanted:
            signer.revision, signer.uid = signer.wanted, signer.uid + 1
            signer.ready = self.starts[signer.wanted]
        self.down.append(sum(not each.ready for each in self.signers.values()))

    def killed(self, name):
        """A pod is made anew: of the version before, unless its set says otherwise."""
        signer = self.signers[name]
        signer.revision, signer.ready = ("v1", self.starts["v1"]) if signer.partition else ("v2", self.starts["v2"])

    def answer(self, method, path, body):
        if self.away:
            self.away -= 1
            return 503, {"kind": "Status", "status": "Failure", "code": 503, "message": "not now"}
        path = path.partition("?")[0]
        if path == SETS:
            return 200, {"items": [each.shown() for each in self.signers.values()], "metadata": {}}
        name = path.rpartition("/")[2].removesuffix("-0" if path.startswith(PODS) else "")
        if name not in self.signers:
            return 404, {"kind": "Status", "status": "Failure", "code": 404, "message": f"{name} not found"}
        if method == "PATCH":
            self.patch(name, body)
        return 200, self.signers[name].pod() if path.startswith(PODS) else self.signers[name].shown()


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def client(api):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
            code, said = api.answer(self.command, self.path, body)
            text = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_PATCH = do_GET

        def log_message(self, *_):
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "here"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "u", "user": {}}],
    }
    yield Client(config=KubeConfig.from_dict(config), namespace="here", trust_env=False)
    server.shutdown()
    server.server_close()
    thread.join()


def roll(client, said=None, within_s=60.0):
    it = Roll(client, [].append if said is None else said.append, within_s, settled_s=0.03, poll_s=0.01)
    return it.run(it.found())


def revisions(api):
    return [api.signers[name].revision for name in NAMES]


def test_signers_go_on_one_at_a_time_and_are_held_again(api, client):
    said = []
    assert roll(client, said) == NAMES
    assert revisions(api) == ["v2", "v2", "v2"]
    assert [api.signers[name].patches for name in NAMES] == [[0, 1]] * 3
    assert max(api.down) == 0
    expected = [line for name in NAMES for line in (f"{name}: goes on to the new version", f"{name}: ready")]
    assert said == ["asks the cluster for the signers of namespace here", *expected]


def test_the_first_that_does_not_start_is_named_and_the_others_stay(api, client):
    api.starts["v2"] = False
    with pytest.raises(DeployError) as failed:
        roll(client, within_s=0.3)
    said = str(failed.value)
    assert said.startswith("m0club-signer-1 is not ready at the new version after 0 s (its container waits: CrashLoop")
    assert "`kubectl -n here delete pod m0club-signer-1-0` brings its version before back" in said
    assert revisions(api) == ["v2", "v1", "v1"]
    assert [each.partition for each in api.signers.values()] == [1, 1, 1]
    api.killed("m0club-signer-1")
    assert revisions(api) == ["v1", "v1", "v1"]
    assert api.signers["m0club-signer-1"].ready


def test_a_second_run_goes_on_where_the_first_one_stopped(api, client):
    api.starts["v2"] = False
    with pytest.raises(DeployError):
        roll(client, within_s=0.3)
    api.starts["v2"] = api.signers["m0club-signer-1"].ready = True
    assert roll(client) == NAMES[1:]
    assert api.signers["m0club-signer-1"].patches == [0, 1]
    assert revisions(api) == ["v2", "v2", "v2"]


def test_a_signer_that_is_down_already_is_brought_on_before_one_that_signs(api, client):
    api.signers["m0club-signer-3"].ready = False
    said = []
    roll(client, said)
    assert said[1] == "m0club-signer-3: goes on to the new version"
    assert revisions(api) == ["v2", "v2", "v2"]


def test_none_is_moved_while_one_of_the_new_version_is_down(api, client):
    down = api.signers["m0club-signer-2"]
    down.revision, down.ready = "v2", False
    with pytest.raises(DeployError, match="m0club-signer-2 is not ready at the new version"):
        roll(client, within_s=0.3)
    assert revisions(api) == ["v1", "v2", "v1"]


def test_where_nothing_is_to_be_moved_nothing_is_waited_for(api, client):
    for signer in api.signers.values():
        signer.revision, signer.ready = "v2", False
    assert roll(client) == []
    assert not any(signer.patches for signer in api.signers.values())


def test_an_api_server_that_is_away_for_a_moment_stops_nothing(api, client):
    patch, api.patch = api.patch, None

    def then_away(name, body):
        patch(name, body)
        api.away = 2

    api.patch = then_away
    assert roll(client) == NAMES
    assert [each.partition for each in api.signers.values()] == [1, 1, 1]


def test_whoever_waits_for_an_api_server_says_so(api, client):
    api.away, said = 1, []
    Roll(client, said.append, 1, settled_s=0, poll_s=0.01).run(["m0club-signer-1"])
    assert "StatefulSet m0club-signer-1" in said[0]
    assert said[0].endswith("; it is asked again for 1 s")
    assert said[1] == "m0club-signer-1: goes on to the new version"


def test_a_signer_that_is_not_there_is_named(client):
    with pytest.raises(DeployError, match="the cluster refuses StatefulSet m0club-signer-4: m0club-signer-4 not found"):
        Roll(client, print, 1).run(["m0club-signer-4"])
