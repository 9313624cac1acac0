"""The chart without a cluster: it renders, Kubernetes' own schemas take it, and it keeps to the house's rules."""

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from chart_world import CHART, ENVIRONMENTS, OPTIONS, pods, selects, with_apis

GOLDEN = Path(__file__).parent / "golden"
VALUES = ("--values", "/etc/m0club/values/values.yaml")
"""What a backup keeps beside the settings."""
NEWEST = "1.37"
FULL = [f"1.{minor}" for minor in range(27, 38)]
VERSIONS = FULL if os.environ.get("FULL") else ["1.27", "1.32", NEWEST]

environments = pytest.mark.parametrize("environment", ENVIRONMENTS)


@environments
def test_lint_has_nothing_to_say(helm, environment):
    said = helm("lint", str(CHART), "--strict", *ENVIRONMENTS[environment])
    assert "0 chart(s) failed" in said


@environments
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object_and_knows_every_field(helm, environment, version):
    objects = helm.objects(*ENVIRONMENTS[environment], kube=f"{version}.0")
    assert len(objects) > 40
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


@environments
def test_it_renders_what_was_looked_at(helm, environment):
    """UPDATE=1 writes the files anew, to be looked at."""
    text = re.sub(r"m0club.io/config: .*", "m0club.io/config: …", helm.text(*ENVIRONMENTS[environment]))
    text = re.sub(r"(?ms)^data:\n.*?(?=^---)", "data: …\n", text)
    file = GOLDEN / f"{environment}.yaml"
    if os.environ.get("UPDATE"):
        file.write_text(text)
    assert yaml_of(text) == yaml_of(file.read_text())


def yaml_of(text):
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.load_all(text, yaml.CSafeLoader) if each}


@environments
def test_every_pod_keeps_to_the_strictest_rules(helm, environment):
    for name, _, spec in pods(helm.objects(*ENVIRONMENTS[environment])):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert not any("hostPath" in volume for volume in spec.get("volumes", ())), name
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            held = container["securityContext"]
            assert held["allowPrivilegeEscalation"] is False, name
            assert held["readOnlyRootFilesystem"] is True, name
            assert held["capabilities"] == {"drop": ["ALL"]}, name
            assert not held.get("privileged"), name
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            image, _, tag = container["image"].rpartition(":")
            assert image, name
            assert tag not in ("", "latest"), name


@environments
def test_every_pod_is_closed_unless_a_policy_opens_it(helm, environment):
    objects = helm.objects(*ENVIRONMENTS[environment])
    (closed,) = [
        each["spec"]["podSelector"]
        for each in objects
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "m0club-deny-all"
    ]
    for name, metadata, _ in pods(objects):
        assert selects(closed, metadata["labels"]), name


@environments
def test_who_has_a_token_is_known(helm, environment):
    objects = helm.objects(*ENVIRONMENTS[environment])
    told = {name for name, _, spec in pods(objects) if spec.get("automountServiceAccountToken", True)}
    assert told == {"m0club-roll"} | ({"m0club-keys", "m0club-bootstrap-1"} if environment == "dev" else set())
    accounts = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ServiceAccount"}
    assert not any(each["automountServiceAccountToken"] for each in accounts.values())
    for name, _, spec in pods(objects):
        assert spec["serviceAccountName"] in accounts, name
    for each in objects:
        assert each["kind"] not in ("ClusterRole", "ClusterRoleBinding")
        if each["kind"] == "Role":
            assert not any("*" in word for rule in each["rules"] for words in rule.values() for word in words)


@environments
def test_a_role_is_given_its_own_keys_and_the_secrets_that_it_needs(helm, environment):
    seen = {}
    for name, metadata, spec in pods(helm.objects(*ENVIRONMENTS[environment])):
        role = metadata["labels"]["app.kubernetes.io/component"]
        secrets = {volume["secret"]["secretName"] for volume in spec.get("volumes", ()) if "secret" in volume}
        env = {each["name"]: each for each in spec["containers"][0].get("env", ())}
        keys = {each for each, said in env.items() if "secretKeyRef" in said.get("valueFrom", {})}
        seen[name.removeprefix("m0club-")] = (secrets, keys)
        assert len(env) == len(spec["containers"][0].get("env", ())), f"{name} is told something twice"
        assert "m0club-control" not in secrets or role in ("warden", "bootstrap", "toolbox"), name
    rpc = set() if environment == "dev" else {"M0_RPC_URL", "M0_WS_URL"}
    assert seen["api"] == ({"m0club-api"}, {"M0_PG_DSN", "M0_REDIS_URL", "M0_JWT_SECRET", "M0_API_KEYS"})
    lanes = ["normalize-0123456789", "normalize-abcdef0123"] if environment == "releases" else ["normalize"]
    assert all(seen[lane] == ({"m0club-normalize"}, set()) for lane in lanes)
    assert seen["ingest"] == ({"m0club-ingest"}, {"M0_PG_DSN"} | rpc)
    assert seen["signer-2"] == ({"m0club-signer-2"}, rpc)
    assert seen["realtime"] == ({"m0club-realtime"}, set())


def test_the_guides_skeleton_is_a_file_of_values(helm, tmp_path):
    skeleton = tmp_path / "values.yaml"
    skeleton.write_text(Path(__file__).with_name("guide-values.yaml").read_text())
    objects = helm.objects("-f", str(skeleton))
    found = {each["metadata"]["name"]: each for each in objects if each["kind"] in ("Deployment", "StatefulSet")}
    assert found["m0club-api"]["spec"]["replicas"] == 2
    for lane in ("normalize", "feature", "model", "bundle"):
        assert found[f"m0club-{lane}"]["spec"]["replicas"] == 2
    signers = [name for name in found if "signer" in name]
    assert signers == ["m0club-signer-1", "m0club-signer-2"]
    for name in signers:
        spec = found[name]["spec"]["template"]["spec"]
        assert spec["nodeSelector"] == {"m0club.io/role": "signer"}
        assert spec["tolerations"][0]["key"] == "m0club.io/signer"
    assert found["m0club-api"]["spec"]["template"]["spec"]["containers"][0]["image"] == "m0club/api:sha-REPLACE"


def test_prod_keeps_the_guides_sizes(helm):
    objects = helm.objects(*ENVIRONMENTS["prod"])
    scaled = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "HorizontalPodAutoscaler"}
    for name in ("m0club-api", "m0club-realtime"):
        assert (scaled[name]["minReplicas"], scaled[name]["maxReplicas"]) == (2, 4)
    replicas = {
        each["metadata"]["name"]: each["spec"].get("replicas") for each in objects if each["kind"] == "Deployment"
    }
    assert 1 <= replicas["m0club-indexer"] <= 2
    assert all(replicas[f"m0club-{lane}"] >= 2 for lane in ("normalize", "feature", "model", "bundle"))


BUCKET = (
    "--set",
    "archive.url=s3://bucket/m0,archive.endpoint=https://objects.example,networkPolicies.archive={192.0.2.9/32}",
)
KEYS = {"M0_ARCHIVE_ACCESS_KEY_ID", "M0_ARCHIVE_SECRET_ACCESS_KEY"}


def archivists(objects):
    """Role → (variables of the archive, how its volume is mounted, what is reached) of the pods that are told of it."""
    found = {}
    for _, metadata, spec in pods(objects):
        (container,) = spec["containers"]
        told = {each["name"] for each in container.get("env", ()) if each["name"].startswith("M0_ARCHIVE_")}
        mounts = [each.get("readOnly", False) for each in container["volumeMounts"] if each["name"] == "archive"]
        if told or mounts:
            labels = metadata["labels"]
            reaches = {label.rpartition("-")[2] for label in labels if label.startswith("m0club.io/reaches-")}
            found[labels["app.kubernetes.io/component"]] = (told, mounts, reaches)
    return found


def test_without_an_archive_nobody_is_told_of_one_and_nothing_is_backed_up(helm):
    objects = helm.objects(*ENVIRONMENTS["staging"])
    assert archivists(objects) == {}
    assert not any(each["kind"] in ("CronJob", "PersistentVolumeClaim") for each in objects)


def test_a_folder_is_a_volume_that_jobs_and_backups_write_and_the_toolbox_reads(helm):
    objects = helm.objects(*ENVIRONMENTS["dev"])
    found = archivists(objects)
    assert {role: mounts for role, (_, mounts, _) in found.items()} == {
        "jobs": [False], "backup": [False], "toolbox": [True],
    }  # fmt: skip
    assert all(told == {"M0_ARCHIVE_URL"} for told, _, _ in found.values())
    (claim,) = [each for each in objects if each["kind"] == "PersistentVolumeClaim"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_bucket_has_keys_and_an_edge_of_its_own(helm):
    objects = helm.objects(*ENVIRONMENTS["prod"], *BUCKET, "--set", "toolbox.enabled=true")
    found = archivists(objects)
    assert found.keys() == {"jobs", "backup", "toolbox"}
    for told, mounts, reaches in found.values():
        assert told == KEYS | {"M0_ARCHIVE_URL", "M0_ARCHIVE_ENDPOINT"}
        assert mounts == []
        assert "archive" in reaches
    assert found["backup"][2] == {"postgres", "archive"}
    edges = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "NetworkPolicy"}
    assert edges["m0club-to-archive"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "192.0.2.9/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    ]
    said = helm.refusal(*ENVIRONMENTS["prod"], "--set", "archive.url=s3://bucket")
    assert "networkPolicies.archive is missing: in prod name the addresses outside" in said


def test_backups_are_made_when_the_values_say_and_hold_no_key(helm):
    (job,) = [each for each in helm.objects(*ENVIRONMENTS["prod"], *BUCKET) if each["kind"] == "CronJob"]
    assert (job["spec"]["schedule"], job["spec"]["concurrencyPolicy"]) == ("17 3 * * *", "Forbid")
    assert job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == ["backup", "create", *VALUES, "--verify"]
    assert not any("secret" in volume or "projected" in volume for volume in spec["volumes"])
    told = (*ENVIRONMENTS["prod"], *BUCKET, "--set", "archive.backup.verify=false,archive.backup.deadlineSeconds=7200")
    (job,) = [each for each in helm.objects(*told) if each["kind"] == "CronJob"]
    assert job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 7200
    assert job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "backup", "create", *VALUES,
    ]  # fmt: skip
    never = helm.objects(*ENVIRONMENTS["prod"], *BUCKET, "--set", "archive.backup.schedule=")
    assert not any(each["kind"] == "CronJob" for each in never)


def test_an_upgrade_is_looked_at_before_anything_is_done(helm):
    def first(*arguments):
        (spec,) = [
            s for name, _, s in pods(helm.objects(*ENVIRONMENTS["staging"], *arguments)) if name == "m0club-upgrade"
        ]
        assert spec["containers"][0]["args"][0] == "bootstrap"
        return [container["args"] for container in spec.get("initContainers", ())]

    assert first() == [["preflight", "--without", "topics"]]
    assert first("--set", "upgrade.steps={database}") == [["preflight"]]
    two = "releases[0].tag=v1,releases[0].id=0123456789,releases[1].tag=v2,releases[1].id=89abcdef01"
    assert first("--set-string", two) == [["preflight", "--without", "topics", "--builds", "0123456789,89abcdef01"]]
    assert first("--set", "upgrade.preflight=false") == []


def test_releases_side_by_side_are_deployments_of_their_own(helm):
    objects = helm.objects(*ENVIRONMENTS["releases"])
    found = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Deployment"}
    for lane in ("normalize", "feature", "model", "bundle"):
        for tag, name in (("v1", "0123456789"), ("v2", "abcdef0123")):
            spec = found[f"m0club-{lane}-{name}"]["spec"]
            assert spec["selector"]["matchLabels"]["m0club.io/release"] == name
            assert spec["template"]["metadata"]["labels"]["m0club.io/release"] == name
            (container,) = spec["template"]["spec"]["containers"]
            assert container["image"] == f"m0club/{lane}:{tag}"
            assert {"name": "M0_RELEASE_ID", "value": name} in container["env"]
    assert "m0club-normalize" not in found
    for role in ("api", "ingest", "indexer"):
        (container,) = found[f"m0club-{role}"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"m0club/{role}:v1"
        assert not [each for each in container["env"] if each["name"] == "M0_RELEASE_ID"]


@pytest.mark.parametrize("environment", ["dev", "releases", "prod"])
@pytest.mark.parametrize("more", [(), ("--set", "ingest.replicas=0,api.replicas=0,engine.feature.replicas=0")])
def test_what_is_scaled_is_there_and_is_told_no_number_of_replicas(helm, environment, more):
    asked = with_apis(*ENVIRONMENTS[environment], *OPTIONS["keda"], "--set", "api.autoscaling.enabled=true", *more)
    objects = helm.objects(*asked)
    scalers = [each for each in objects if each["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")]
    targets = [each["spec"]["scaleTargetRef"]["name"] for each in scalers]
    assert len(set(targets)) == len(targets) >= 3
    fixed = {each["metadata"]["name"]: "replicas" in each["spec"] for each in objects if each["kind"] == "Deployment"}
    assert {name: said for name, said in fixed.items() if not said} == dict.fromkeys(targets, False)


@environments
def test_a_version_whose_pods_never_become_ready_can_be_taken_back(helm, environment):
    sets = [each["spec"] for each in helm.objects(*ENVIRONMENTS[environment]) if each["kind"] == "StatefulSet"]
    assert {each["podManagementPolicy"] for each in sets} == {"Parallel"}


def test_a_first_install_that_failed_is_run_again(helm):
    def hooks(*told):
        found = {}
        for each in helm.objects(*ENVIRONMENTS["dev"], *told):
            said = each["metadata"].get("annotations", {})
            if "helm.sh/hook" in said and each["kind"] == "Job":
                found[each["metadata"]["name"]] = (said["helm.sh/hook"], int(said["helm.sh/hook-weight"]), each)
        return found

    found = hooks()
    assert found["m0club-keys"][0] == "pre-install,pre-upgrade"
    # an upgrade's hook reads the Secrets, and at first there is no record
    assert found["m0club-keys"][1] < found["m0club-upgrade"][1]
    volumes = {each["name"]: each for each in found["m0club-upgrade"][2]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["deployment"]["configMap"] == {"name": "m0club-deployment", "optional": True}
    # without a cluster nothing is found there, no record either: there is nothing that an upgrade could expand
    assert hooks("--is-upgrade").keys() == {"m0club-keys", "m0club-roll"}
    assert "m0club-upgrade" in hooks("--is-upgrade", "--set", "bootstrap.enabled=false")


def test_each_release_is_scaled_by_its_own_lag(helm):
    asked = with_apis(*ENVIRONMENTS["releases"], *OPTIONS["keda"], *OPTIONS["monitor"])
    objects = helm.objects(*asked)
    (monitor,) = [each for each in objects if each["kind"] == "ServiceMonitor"]
    assert monitor["spec"]["podTargetLabels"] == ["m0club.io/release"]
    queries = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"]["triggers"][0]["metadata"]["query"]
        for each in objects
        if each["kind"] == "ScaledObject"
    }
    for stage in ("normalize", "feature", "model", "bundle"):
        for release in ("0123456789", "abcdef0123"):
            assert queries[f"m0club-{stage}-{release}"] == (
                f'sum(m0_stage_lag_messages{{namespace="m0club",stage="{stage}",m0club_io_release="{release}"}})'
            )
    assert "m0club_io_release" not in queries["m0club-ingest"]


def test_the_toolbox_is_of_the_newest_release(helm):
    told = ("--set", "toolbox.enabled=true")
    for environment, tag in (("releases", "v2"), ("staging", "v1.2.3")):
        objects = helm.objects(*ENVIRONMENTS[environment], *told)
        (spec,) = [spec for name, _, spec in pods(objects) if name == "m0club-toolbox"]
        assert spec["containers"][0]["image"] == f"m0club/m0:{tag}"


def test_no_image_moves_a_catalog_by_itself_where_releases_are_named(helm):
    def moves(*told):
        found = {name: spec for name, _, spec in pods(helm.objects(*ENVIRONMENTS["dev"], *told))}
        (container,) = found["m0club-bootstrap-1"]["containers"]
        return {each["name"]: each.get("value") for each in container["env"]}.get("M0_AUTO_RELEASE")

    assert moves() is None
    assert moves("--set-string", "releases[0].tag=v1,releases[0].id=0123456789") == "false"


def test_one_release_is_not_installed_twice(helm):
    told = "releases[0].tag=v1,releases[0].id=0123456789,releases[1].tag=v2,releases[1].id=0123456789"
    said = helm.refusal(*ENVIRONMENTS["staging"], "--set-string", told)
    assert "id 0123456789 is named twice: two images with one id hold the same releases" in said


def test_signers_change_their_version_one_by_one(helm):
    objects = helm.objects(*ENVIRONMENTS["releases"], "--set", "signer.tags.signer-3=v3")
    images = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        for each in objects
        if each["kind"] == "StatefulSet"
    }
    assert images == {
        "m0club-signer-1": "m0club/signer:v2",
        "m0club-signer-2": "m0club/signer:v1",
        "m0club-signer-3": "m0club/signer:v3",
    }


def named(objects):
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


@environments
def test_signers_are_held_and_rolled_one_by_one_behind_an_upgrade_and_a_rollback(helm, environment):
    found = named(helm.objects(*ENVIRONMENTS[environment], "--set", "upgrade.signerSeconds=100"))
    sets = [f"m0club-signer-{number}" for number in (1, 2, 3)]
    held = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    assert all(found["StatefulSet", name]["spec"]["updateStrategy"] == held for name in sets)
    job = found["Job", "m0club-roll"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-upgrade,post-rollback"
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == ["signers", "roll", *sets, "--within", "100"]
    assert job["spec"]["activeDeadlineSeconds"] > 300
    assert not [each["name"] for each in spec["volumes"] if {"secret", "projected"} & each.keys()]
    assert found["Role", "m0club-roll"]["rules"] == [
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "patch"], "resourceNames": sets},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": [f"{name}-0" for name in sets]},
    ]
    by_hand = named(helm.objects(*ENVIRONMENTS[environment], "--set", "upgrade.rollSigners=false"))
    assert not [name for _, name in by_hand if name == "m0club-roll"]
    assert all(by_hand["StatefulSet", name]["spec"]["updateStrategy"] == held for name in sets)


@environments
def test_what_runs_before_or_beside_a_rollout_in_kafka_only_adds(helm, environment):
    told = [
        spec["containers"][0]["args"]
        for _, _, spec in pods(helm.objects(*ENVIRONMENTS[environment]))
        if spec["containers"][0].get("args", [""])[0] == "bootstrap"
    ]
    assert len(told) == (2 if environment == "dev" else 1)
    assert all("--expand" in args for args in told)


@environments
def test_keys_of_the_chain_are_mounted_by_bootstrap_alone(helm, environment):
    held = {}
    for name, _, spec in pods(helm.objects(*ENVIRONMENTS[environment], *BUCKET, "--set", "toolbox.enabled=true")):
        for volume in spec.get("volumes", ()):
            found = {each["secret"]["name"] for each in volume.get("projected", {}).get("sources", ())}
            found |= {volume["secret"]["secretName"]} if "secret" in volume else set()
            held.setdefault(name, set()).update(found)
    assert {name for name, secrets in held.items() if "m0club-chain" in secrets} == (
        {"m0club-bootstrap-1"} if environment == "dev" else set()
    )
    servers = {"m0club-bootstrap-1", "m0club-kafka", "m0club-postgres"} if environment == "dev" else set()
    assert {name for name, secrets in held.items() if "m0club-servers" in secrets} == {"m0club-upgrade"} | servers
    assert held["m0club-toolbox"] - {"m0club-control"} == {"m0club-operator"}


def test_the_public_reaches_no_metrics_and_no_readiness(helm):
    for environment, kind in (("staging", "Ingress"), ("prod", "Ingress")):
        (ingress,) = [each for each in helm.objects(*ENVIRONMENTS[environment]) if each["kind"] == kind]
        (rule,) = ingress["spec"]["rules"]
        paths = {each["path"] for each in rule["http"]["paths"]}
        assert {"/health", "/v1", "/ws"} <= paths
        assert not paths & {"/", "/metrics", "/ready"}


def test_every_backup_has_what_helm_was_told(helm):
    told = (*ENVIRONMENTS["dev"], "--set", "api.replicas=7")
    objects = {(each["kind"], each["metadata"]["name"]): each for each in helm.objects(*told)}
    (text,) = objects["ConfigMap", "m0club-values"]["data"].values()
    assert yaml.safe_load(text)["api"]["replicas"] == 7
    spec = objects["CronJob", "m0club-backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    file = container["args"][container["args"].index("--values") + 1]
    mounted = next(each["name"] for each in container["volumeMounts"] if file == f"{each['mountPath']}/values.yaml")
    assert {"name": mounted, "configMap": {"name": "m0club-values"}} in spec["volumes"]


def test_an_image_is_named_by_its_digest_where_its_tag_has_one(helm):
    digest = f"sha256:{'a' * 64}"
    told = ("--set", rf"global.imageDigests.signer:v1\.2\.3={digest}", "--set", "signer.tags.signer-1=v1")
    found = {
        name: spec["containers"][0]["image"] for name, _, spec in pods(helm.objects(*ENVIRONMENTS["staging"], *told))
    }
    assert found["m0club-signer-2"] == f"m0club/signer:v1.2.3@{digest}"
    assert found["m0club-signer-1"] == "m0club/signer:v1"
    assert found["m0club-api"] == "m0club/api:v1.2.3"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("api:v1=v1", "imageDigests"),
        (f"kafka:v1=sha256:{'a' * 64}", "'kafka:v1' does not match pattern '^(m0|localnet|"),
    ],
)
def test_a_digest_of_nothing_is_refused(helm, told, said):
    assert said in helm.refusal(*ENVIRONMENTS["staging"], "--set", f"global.imageDigests.{told}")
