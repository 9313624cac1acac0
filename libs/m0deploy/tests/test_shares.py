"""Keys as Secrets: each holder's Secret has what the holder needs, and nothing of anybody else's."""

import base64
import json

import httpx2
import pytest
from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from m0common.errors import SettingsError
from m0deploy import cluster, keys
from m0deploy.changes import Changes
from m0deploy.errors import DeployError
from m0deploy.shares import database_address, manifests, shares
from m0deploy.site import Site

SIGNERS = 3
KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "here"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://cluster"}}],
    "users": [{"name": "u", "user": {}}],
}


@pytest.fixture
def site(tmp_path):
    made = Site.of(tmp_path, tmp_path)
    keys.init(made, SIGNERS)
    return made


def test_every_holder_has_its_own(site):
    held: dict[str, set[str]] = {}
    for share in shares(site, SIGNERS, "m0club"):
        held.setdefault(share.secret, set()).add(share.key)
    assert held == {
        "m0club-control": {"control.json"},
        "m0club-chain": {"admin.json", "guardian.json", "program-oracle.json", "program-registry.json"},
        "m0club-servers": {"kafka.admin", "postgres.m0"},
        "m0club-operator": {"kafka.operator"},
        "m0club-ingest": {"registrar.json", "clock.json", "registry.json", "kafka.ingest", "postgres.pgpass"},
        "m0club-jobs": {"resolver.json", "kafka.jobs", "postgres.pgpass"},
        **{f"m0club-{name}": {f"kafka.{name}"} for name in ("normalize", "feature", "model", "bundle")},
        **{f"m0club-{name}": {f"kafka.{name}", "postgres.pgpass"} for name in ("indexer", "api", "realtime")},
        **{f"m0club-signer-{n}": {f"signer-{n}.json", f"kafka.signer-{n}", "passphrase"} for n in (1, 2, 3)},
    }  # fmt: skip
    assert {share.file for share in shares(site, SIGNERS, "x")} == {item.path for item in keys.items(site, SIGNERS)}


def test_the_manifests_hold_the_files_as_they_are(site):
    made = manifests(site, SIGNERS, "club")
    assert made["kind"] == "List"
    found = {item["metadata"]["name"]: item["stringData"] for item in made["items"]}
    assert found["club-control"]["control.json"] == site.control_key.read_text()
    assert found["club-signer-2"]["passphrase"] == site.passphrase.read_text()
    assert all(item["kind"] == "Secret" and item["apiVersion"] == "v1" for item in made["items"])


@pytest.mark.parametrize("prefix", ["", "M0", "m0_club", "-m0", "m0-", "m" * 60, "a/b"])
def test_a_prefix_that_no_secrets_name_has_is_refused(site, prefix):
    with pytest.raises(SettingsError, match="cannot begin the name of a Secret"):
        manifests(site, SIGNERS, prefix)


def test_a_key_that_is_missing_is_named_with_what_makes_it(site):
    site.passphrase.unlink()
    with pytest.raises(SettingsError, match=r"passphrase cannot be read .*m0 keys init"):
        manifests(site, SIGNERS, "m0club")


def test_the_databases_address_has_the_password_of_the_keys(site):
    password = site.database_password.read_text().strip()
    assert database_address(site, "pg:5432") == f"postgresql://m0:{password}@pg:5432/m0"


class Api:
    """What of the API server is asked here, in memory."""

    def __init__(self):
        self.kept: dict[str, dict[str, bytes]] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self.refuses = False

    def __call__(self, request):
        kind, _, name = request.url.path.removeprefix("/api/v1/namespaces/here/").partition("/")
        if self.refuses:
            said = {"kind": "Status", "status": "Failure", "code": 403, "message": f"{kind} is forbidden"}
            return httpx2.Response(403, json=said)
        there = self.kept if kind == "secrets" else self.maps
        if request.method == "GET" and name not in there:
            return httpx2.Response(404, json={"kind": "Status", "status": "Failure", "code": 404, "message": "no"})
        if request.method != "GET":
            body = json.loads(request.content)
            name = name or body["metadata"]["name"]
            new = body.get("stringData") or body.get("data")
            there.setdefault(name, {}).update({k: v.encode() if kind == "secrets" else v for k, v in new.items()})
        data = there[name]
        shown = {k: base64.b64encode(v).decode() for k, v in data.items()} if kind == "secrets" else data
        return httpx2.Response(200, json={"metadata": {"name": name}, "data": shown})


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def there(api):
    config = KubeConfig.from_dict(KUBECONFIG)
    return cluster.Cluster(Client(config=config, namespace="here", transport=httpx2.MockTransport(api)))


def empty(folder):
    folder.mkdir()
    return Site.of(folder, folder)


def test_what_a_namespace_lacks_is_made_once_and_never_written_over(api, there, tmp_path):
    made = cluster.init(there, empty(tmp_path / "first"), SIGNERS, "m0club")
    assert "m0club-signer-1/signer-1.json" in made
    before = {name: dict(content) for name, content in api.kept.items()}
    del api.kept["m0club-jobs"]["kafka.jobs"]
    assert cluster.init(there, empty(tmp_path / "second"), SIGNERS, "m0club") == ["m0club-jobs/kafka.jobs"]
    after = {name: dict(content) for name, content in api.kept.items()}
    assert after["m0club-jobs"].pop("kafka.jobs") != before["m0club-jobs"].pop("kafka.jobs")
    assert after == before


def test_what_an_older_version_kept_in_the_operators_secret_is_not_made_anew(api, there, tmp_path):
    cluster.init(there, empty(tmp_path / "first"), SIGNERS, "m0club")
    apart = [api.kept.pop(f"m0club-{name}") for name in ("chain", "servers")]
    api.kept["m0club-operator"] |= apart[0] | apart[1]
    made = cluster.init(there, empty(tmp_path / "second"), SIGNERS, "m0club")
    assert {each.partition("/")[0] for each in made} == {"m0club-chain", "m0club-servers"}
    assert [api.kept[f"m0club-{name}"] for name in ("chain", "servers")] == apart


async def test_the_record_is_kept_in_a_config_map_and_said_when_it_changes(api, there, site):
    site.record.write_text("{}\n")
    changes = Changes(lambda _: None, apply=True)
    for _ in range(2):
        await there.record(site, "m0club-deployment", changes)
    assert api.maps == {"m0club-deployment": {"deployment.json": "{}\n"}}
    assert changes.said == ["write the record of the deployment to ConfigMap m0club-deployment"]
    site.record.write_text('{"a": 1}\n')
    await there.record(site, "m0club-deployment", changes)
    assert api.maps["m0club-deployment"]["deployment.json"] == '{"a": 1}\n'


def test_what_the_cluster_refuses_is_one_sentence(api, there, tmp_path):
    api.refuses = True
    with pytest.raises(DeployError, match=r"the cluster refuses Secret m0club-\S+: secrets is forbidden"):
        cluster.init(there, empty(tmp_path / "x"), SIGNERS, "m0club")


@pytest.mark.parametrize("text", ["{}", "clusters: 5", "a: [", "", "[]"])
def test_a_file_that_names_no_cluster_is_one_sentence(monkeypatch, tmp_path, text):
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(SettingsError, match=r"no cluster of Kubernetes is named \(.*\): set KUBECONFIG"):
        cluster.Cluster.reached(None)


def test_without_a_cluster_it_says_how_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"no cluster of Kubernetes is named .*set KUBECONFIG"):
        cluster.Cluster.reached(None)
