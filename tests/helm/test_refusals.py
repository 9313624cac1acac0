"""What the chart refuses to render, in a sentence that names the value and the remedy."""

import pytest
from chart_world import APIS, ENVIRONMENTS, OPTIONS, with_apis


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "api.replcias=2"), "additional properties 'replcias' not allowed"),
        (("--set", "global.env=production"), "value must be one of"),
        (("--set", "global.imageTag=latest"), "'/global/imageTag'"),
        (("--set", "signer.replicas=0"), "'/signer/replicas'"),
        (("--set", "upgrade.steps={everything}"), "'/upgrade/steps/0'"),
        (("--set", "upgrade.steps={database,chain}"), "'/upgrade/steps/1'"),
        (("--set-json", "upgrade.steps=[]"), "'/upgrade/steps'"),
        (("--set", "archive.url=/var/lib/archive"), "'/archive/url'"),
        (("--set", "archive.url=s3://B"), "'/archive/url'"),
        (("--set-json", 'gateway.parentRefs=["g"]'), "'/gateway/parentRefs/0'"),
        (("--set", "archive.backup.deadlineSeconds=0"), "'/archive/backup/deadlineSeconds'"),
        (("--set", "networkPolicies.ports.kafka={0}"), "'/networkPolicies/ports/kafka/0'"),
        (("--set", "releases[0].tag=v1,releases[0].id=v1"), "'/releases/0/id'"),
        (("--set", "releases[0].tag=v1"), "'/releases/0'"),
        (("--set", "signer.tags.signer=v1"), "signer"),
        (("--set", "signer.tags.signer-1=latest"), "'/signer/tags/signer-1'"),
        (
            ("--set", "signer.tags.signer-4=v1"),
            "signer.tags.signer-4 names no signer: signer.replicas makes signer-1, signer-2, signer-3",
        ),
        (("--set", "signer.tags.signer-01=v1"), "signer.tags.signer-01 names no signer"),
        (
            ("--set", "serviceAccount.annotations.apis.a=b"),
            "serviceAccount.annotations.apis names no role: name one of api, bundle, command, feature",
        ),
        (
            ("--set", r"config.prod\.tml=a"),
            "config.prod.tml is a file that nothing reads: name dev.toml, markets/CATALOG.toml or risk/CATALOG.toml",
        ),
        (("--set", r"config.market/sports\.toml=a"), "config.market/sports.toml is a file that nothing reads"),
        (("--set", "global.imageTag=v1_"), "'/global/imageTag'"),
        (("--set", f"global.imageTag={'a' * 64}"), "'/global/imageTag'"),
        (("--set", "global.secretName=M0"), "'/global/secretName'"),
        (("--set", "global.nameOverride=a.b"), "'/global/nameOverride'"),
        (("--set-json", 'global.imagePullSecrets=["mine"]'), "'/global/imagePullSecrets/0'"),
        (("--set", "kafka.bootstrap=kafka"), "'/kafka/bootstrap'"),
        (("--set", "kafka.bootstrap=kafka:65536"), "'/kafka/bootstrap'"),
        (("--set", r"kafka.bootstrap=kafka:9092\,other"), "'/kafka/bootstrap'"),
        (("--set", "solana.rpcUrl=ws://node"), "'/solana/rpcUrl'"),
        (("--set", "solana.rpcUrl=http://node:99999"), "'/solana/rpcUrl'"),
        (("--set", "archive.endpoint=minio:9000"), "'/archive/endpoint'"),
        (("--set", "archive.backup.schedule=daily"), "'/archive/backup/schedule'"),
        (("--set", "archive.backup.schedule=61 3 * * *"), "'/archive/backup/schedule'"),
        (("--set", "archive.backup.schedule=1 3 * *"), "'/archive/backup/schedule'"),
        (("--set", "archive.storage.size=much"), "'/archive/storage/size'"),
        (("--set", "servers.kafka.heap=512"), "'/servers/kafka/heap'"),
        (("--set", "api.resources.requests.memory=lots"), "'/api/resources/requests/memory'"),
        (("--set", "api.resources.request.memory=1Gi"), "'/api/resources'"),
        (("--set", "pod.labels.team=7"), "'/pod/labels/team'"),
        (("--set", "api.nodeSelector.spot=true"), "'/api/nodeSelector/spot'"),
        (("--set", "ingest.extraEnv[0].name=A,ingest.extraEnv[0].value=7"), "'/ingest/extraEnv/0/value'"),
        (("--set", "pod.extraEnv[0].value=a"), "'/pod/extraEnv/0'"),
        (("--set", "networkPolicies.kafka={10.0.0.1}"), "'/networkPolicies/kafka/0'"),
        (("--set", "networkPolicies.rpc={10.0.0.256/32}"), "'/networkPolicies/rpc/0'"),
        (("--set", "networkPolicies.rpc={fd00::/129}"), "'/networkPolicies/rpc/0'"),
        (("--set", "ingress.api="), "'/ingress/api'"),
        (("--set", "ingress.api=https://api.example.org"), "'/ingress/api'"),
        (("--set", "serviceMonitor.interval=often"), "'/serviceMonitor/interval'"),
        (("--set", "keda.maxReplicas=0"), "'/keda/maxReplicas'"),
        (("--set", "api.autoscaling.min=0"), "'/api/autoscaling/min'"),
        (("--set", "api.autoscaling.quietSeconds=3601"), "'/api/autoscaling/quietSeconds'"),
        (
            ("--set", "api.autoscaling.enabled=true,api.autoscaling.min=7"),
            "api.autoscaling.min is 7, more than its max of 6: raise the one or lower the other",
        ),
        (
            ("--set", "kafka.bootstrap=kafka:9092"),
            "servers.kafka.enabled and kafka.bootstrap contradict each other: leave one of them",
        ),
        (
            ("--set", "solana.rpcUrl=http://node:8899,solana.wsUrl=ws://node:8900"),
            "servers.localnet.enabled and solana.rpcUrl contradict each other: leave one of them",
        ),
        (
            ("--set", "servers.localnet.enabled=false,solana.rpcUrl=http://node:8899"),
            "solana.rpcUrl and solana.wsUrl are of one node: name both, or neither",
        ),
        (
            ("--set", "archive.url=file:///srv/m0club"),
            "archive.url names /srv/m0club, and pods have something else at /srv: name a folder of its own",
        ),
        (("--set", "archive.url=file:///var/lib/m0/archive"), "pods have something else at /var/lib/m0"),
        (("--set", "archive.url=file:///var/lib"), "pods have something else at /var/lib/m0"),
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(helm, arguments, said):
    assert said in helm.refusal(*ENVIRONMENTS["dev"], *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "networkPolicies.kafka={10.0.0.0/8,fd00::/64,::/0,0.0.0.0/0}"),
        ("--set", "archive.backup.schedule=*/15 0-6\\,22 1\\,15 JAN-MAR MON-FRI"),
        ("--set", "archive.backup.schedule=@daily"),
        ("--set", r"servers.kafka.enabled=false,kafka.bootstrap=b-1.example.org:9094\,[fd00::1]:9094"),
        ("--set", "servers.localnet.enabled=false,solana.rpcUrl=https://n.org/k?x=1,solana.wsUrl=wss://n.org:443/k"),
        ("--set", "api.resources.requests.cpu=1,api.resources.limits.memory=1.5Gi,archive.storage.size=1T"),
        ("--set", "archive.url=file:///var/lib/m0-archive/deep"),
        ("--set-string", "pod.labels.team=7,pod.extraEnv[0].name=A,pod.extraEnv[0].value=7"),
        ("--set-json", 'pod.extraEnv=[{"name":"A","valueFrom":{"secretKeyRef":{"name":"a","key":"b"}}}]'),
        ("--set", "global.imageTag=sha-0123abc.dirty,global.imageRegistry=registry.example.org:5000/team/m0"),
    ],
)
def test_values_that_mean_something_are_taken(helm, arguments):
    assert helm.objects(*ENVIRONMENTS["dev"], *arguments)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("bootstrap.keys=true", "bootstrap.keys is for trying out: in prod make the keys where only their operator is"),
        (
            "bootstrap.enabled=true",
            "bootstrap.enabled is for trying out: in prod run `m0 bootstrap` where the keys are",
        ),
        ("warden.replicas=1", "warden.replicas is for trying out: in prod leave it 0"),
        ("toolbox.controlKey=true", "toolbox.controlKey is for trying out: in prod leave it false, and sign where"),
        (
            "servers.kafka.enabled=true",
            "servers.kafka.enabled is for trying out: in prod leave it false, and name",
        ),
        ("servers.postgres.enabled=true", "servers.postgres.enabled is for trying out"),
        ("servers.valkey.enabled=true", "servers.valkey.enabled is for trying out"),
        ("servers.localnet.enabled=true", "servers.localnet.enabled is for trying out"),
    ],
)
def test_what_is_for_trying_out_is_refused_in_prod_alone(helm, value, said):
    assert said in helm.refusal(*ENVIRONMENTS["prod"], "--set", value)
    assert helm.objects(*ENVIRONMENTS["staging"], "--set", value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("global.env", "at '/global': missing property 'env'"),
        ("global", "missing property 'global'"),
        ("signer.replicas", "at '/signer': missing property 'replicas'"),
        ("networkPolicies", "missing property 'networkPolicies'"),
        ("api.replicas", "at '/api': missing property 'replicas'"),
    ],
)
def test_a_value_that_is_taken_away_is_missed(helm, value, said):
    assert said in helm.refusal(*ENVIRONMENTS["prod"], "--set", f"{value}=null")


def test_a_route_without_a_gateway_is_refused(helm):
    said = helm.refusal(*ENVIRONMENTS["dev"], *with_apis("--set", "gateway.enabled=true"))
    assert "gateway.parentRefs is empty: name the Gateway, as [{name: public, namespace: gateways}]" in said


def test_what_is_missing_is_said_with_its_remedy(helm):
    said = helm.refusal("-f", ENVIRONMENTS["staging"][1])
    assert "global.imageTag is missing: set it to sha-<commit> or vX.Y.Z" in said
    told: tuple[str, ...] = ENVIRONMENTS["prod"][:4]
    for server in ("cluster", "kafka"):
        said = helm.refusal(*told)
        assert f"networkPolicies.{server} is missing: in prod name the addresses outside that are reached, as" in said
        told = (*told, "--set", f"networkPolicies.{server}={{10.0.0.0/16}}")


@pytest.mark.parametrize("option", OPTIONS)
def test_what_needs_more_than_kubernetes_is_refused_where_that_is_not_there(helm, option):
    assert "this cluster has no " in helm.refusal(*ENVIRONMENTS["staging"], *OPTIONS[option])
    plain = {each["apiVersion"] for each in helm.objects(*ENVIRONMENTS["staging"])}
    assert not plain & set(APIS)
    more = {each["apiVersion"] for each in helm.objects(*with_apis(*ENVIRONMENTS["staging"], *OPTIONS[option]))}
    assert len(more & set(APIS)) == 1


def test_files_and_accounts_that_there_are_can_be_told(helm):
    told = r"config.staging\.toml=a,config.markets/mine\.toml=b,serviceAccount.annotations.jobs.a=b"
    objects = helm.objects(*ENVIRONMENTS["staging"], "--set", told)
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    files = found["ConfigMap", "m0club-config"]["data"]
    assert [files[key].strip() for key in ("staging.toml", "markets.mine.toml")] == ["a", "b"]
    assert found["ServiceAccount", "m0club-jobs"]["metadata"]["annotations"] == {"a": "b"}
