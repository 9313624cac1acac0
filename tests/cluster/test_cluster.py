"""The chart's dev values on a real Kubernetes: roles come up, epochs become final, edges are what they should be."""

import json

import pytest
from cluster_world import SMOKE, plain_pod

pytestmark = pytest.mark.timeout(1200)
SMOKE_KILLS = ("kafka", "normalize", "signer", "api")
ROLES = (
    "api", "bundle", "feature", "indexer", "ingest", "jobs", "kafka", "localnet", "model", "normalize", "postgres",
    "realtime", "signer", "toolbox", "valkey", "warden",
)  # fmt: skip
SERVERS = {"m0club-kafka": 9092, "m0club-postgres": 5432, "m0club-valkey": 6379, "m0club-localnet": 8899}
PUBLIC = {"m0club-api": 8080, "m0club-realtime": 8090}
REACHES = {
    "ingest": {"m0club-kafka", "m0club-postgres", "m0club-localnet"},
    "normalize": {"m0club-kafka"},
    "bundle": {"m0club-kafka"},
    "signer": {"m0club-kafka", "m0club-localnet", "m0club-api", "m0club-realtime"},
    "indexer": {"m0club-kafka", "m0club-postgres", "m0club-localnet"},
    "api": {"m0club-postgres", "m0club-valkey"},
    "realtime": {"m0club-kafka"},
    "jobs": {"m0club-kafka", "m0club-postgres", "m0club-localnet"},
}
CONNECT = """
import json, socket, sys
found = {}
for name, port in json.loads(sys.argv[1]).items():
    try:
        socket.create_connection((name, port), 2).close()
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""
STRANGER = plain_pod("stranger", "m0club/m0:dev", ["sleep", "infinity"])


def reached(release, pod, ports):
    """Which of these a pod can connect to."""
    said = release.kubectl("exec", pod, "--", "python3", "-c", CONNECT, json.dumps(ports))
    return {name for name, open_ in json.loads(said).items() if open_}


def one(release, component):
    return next(iter(release.pods(component)))


def test_every_role_comes_up_and_what_it_finalizes_can_be_replayed_and_verified(release):
    roles = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in release.pods().values()}
    assert roles == set(ROLES)
    assert not release.unready()
    epoch = release.final()
    assert release.m0("replay", "sports", str(epoch)).startswith(f"MATCH sports epoch {epoch} ")
    assert release.m0("topics", "check") == "Everything is as it should be.\n"
    (bundle,) = [
        entry["bundle_hash"]
        for entry in release.get("/v1/epochs?limit=50&catalog=sports")["items"]
        if entry["epoch_id"] == epoch
    ]
    market = release.get(f"/v1/bundles/{bundle}")["market_ids"][0]
    assert "VERIFIED" in release.m0("verify", market, "--epoch", str(epoch))


def test_helms_own_test_passes(release):
    done = release.helm("test", "m0club", "--timeout", "5m")
    said = release.kubectl("logs", "m0club-test")
    assert done.returncode == 0, done.stderr + said
    assert "FAILS" not in said


def test_every_box_of_the_checklist_holds(release):
    found = json.loads(release.m0("doctor", "--json"))
    assert found["ok"]
    checks = {each["name"]: each["ok"] for each in found["checks"]}
    assert {name for name, ok in checks.items() if ok is None} <= {"dashboard", "alerts", "backups"}


def test_a_backup_is_made_and_the_archive_is_sound(release):
    release.kubectl("create", "job", "backup-now", "--from=cronjob/m0club-backup")
    release.kubectl("wait", "--for=condition=complete", "job/backup-now", "--timeout=300s")
    assert "\nsound: " in release.kubectl("logs", "job/backup-now")
    (box,) = [each for each in json.loads(release.m0("doctor", "--json"))["checks"] if each["name"] == "backups"]
    assert box["ok"], box


def test_the_namespace_takes_no_pod_that_asks_for_more(release):
    bad = json.loads(json.dumps(STRANGER))
    bad["metadata"]["name"] = "bad"
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    done = release.cluster.run("kubectl", "-n", release.namespace, "apply", "-f", "-", given=json.dumps(bad))
    assert 'violates PodSecurity "restricted:latest": privileged' in done.stderr


@pytest.fixture(params=["beside", "elsewhere"])
def stranger(release, request):
    """A pod that is nobody's, in the namespace or in another one."""
    there = release if request.param == "beside" else release.elsewhere()
    there.kubectl("apply", "-f", "-", given=json.dumps(STRANGER))
    there.kubectl("wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
    yield there
    there.kubectl("delete", "pod", "stranger", "--grace-period=0", "--force")
    if there is not release:
        there.remove()


def test_a_stranger_reaches_what_is_public_and_nothing_else(release, stranger):
    ports = {f"{name}.{release.namespace}": port for name, port in (SERVERS | PUBLIC).items()}
    ports |= {
        pod["status"]["podIP"]: 9464
        for pod in release.pods().values()
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] in REACHES
    }
    public = set() if stranger is release else {f"{name}.{release.namespace}" for name in PUBLIC}
    release.until(lambda: reached(stranger, "stranger", ports) == public, 60)


@pytest.mark.parametrize("role", REACHES)
def test_a_role_reaches_what_it_needs_and_nothing_else(release, role):
    # the address of the cluster itself is one that nobody was told of
    ports = SERVERS | PUBLIC | {"kubernetes.default.svc": 443}
    ports.pop(f"m0club-{role}", None)  # nobody has to reach itself
    release.until(lambda: reached(release, one(release, role), ports) == REACHES[role], 30)


def test_more_signers_than_may_be_missing_are_not_evicted(release):
    def evict(pod):
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": release.namespace},
        }
        path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
        return release.cluster.run("kubectl", "create", "--raw", path, "-f", "-", given=json.dumps(body))

    gone = release.pods("signer")["m0club-signer-1-0"]["metadata"]["uid"]
    assert evict("m0club-signer-1-0").returncode == 0
    assert "would violate the pod's disruption budget" in evict("m0club-signer-2-0").stderr
    release.until(lambda: release.pods("signer")["m0club-signer-1-0"]["metadata"]["uid"] != gone)
    release.until(lambda: not release.unready())


def test_an_upgrade_whose_preparation_fails_changes_nothing(release):
    before = {name: pod["metadata"]["uid"] for name, pod in release.pods().items()}
    done = release.upgrade("--set-string", r"config.dev\.toml=plaid", "--set", "pod.startupSeconds=60")
    assert done.returncode
    assert "pre-upgrade hooks failed" in done.stderr
    assert {name: pod["metadata"]["uid"] for name, pod in release.pods().items()} == before
    assert "dev.toml: Expected" in release.kubectl("logs", "job/m0club-upgrade", "-c", "preflight")
    assert not release.unready()


def test_any_pod_may_be_killed(release):
    before = release.final()
    for role in ROLES:
        if SMOKE and role not in SMOKE_KILLS:
            continue
        name = one(release, role)
        uid = release.pods(role)[name]["metadata"]["uid"]
        release.kubectl("delete", "pod", name, "--grace-period=0", "--force")
        release.until(lambda u=uid, r=role: all(pod["metadata"]["uid"] != u for pod in release.pods(r).values()))
        release.until(lambda: not release.unready())
        print(f"{role}: killed and ready again", flush=True)
    after = release.final(after=release.final() + 1)
    release.matches(before, after)


def test_an_upgrade_replaces_every_pod_and_epochs_go_on(release):
    before = release.final()
    done = release.upgrade("--set", "global.logLevel=debug")
    assert done.returncode == 0, done.stderr
    after = release.final(after=before + 2)
    missed = [
        entry
        for entry in release.get("/v1/epochs?limit=50&catalog=sports")["items"]
        if before < entry["epoch_id"] <= after and entry["status"] == "expired"
    ]
    print(f"epochs that a whole restart cost: {len(missed)} of {after - before}")
    release.matches(after)
