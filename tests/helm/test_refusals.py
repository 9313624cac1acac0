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
    ],
)
def test_values_that_mean_nothing_are_refused_by_name(helm, arguments, said):
    assert said in helm.refusal(*ENVIRONMENTS["dev"], *arguments)


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
