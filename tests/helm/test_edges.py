"""What pods may open connections to, as the policies of a render say."""

from itertools import product

import pytest
from chart_world import ENVIRONMENTS, pods, selects

REACHES = "m0club.io/reaches-"
EVERYWHERE = "0.0.0.0/0"
environments = pytest.mark.parametrize("environment", ENVIRONMENTS)


def policies(objects, direction="Egress"):
    return [
        each["spec"]
        for each in objects
        if each["kind"] == "NetworkPolicy" and direction in each["spec"]["policyTypes"] and each["spec"]["podSelector"]
    ]


def outside(objects):
    """(labels that the policy selects, addresses, ports) of each rule about addresses."""
    for policy in policies(objects):
        for rule in policy["egress"]:
            blocks = [each["ipBlock"] for each in rule.get("to", ()) if "ipBlock" in each]
            if blocks:
                yield policy["podSelector"]["matchLabels"], blocks, rule.get("ports")


def ports(objects, server):
    """Those at which a server outside is reached."""
    (found,) = [said for labels, _, said in outside(objects) if f"{REACHES}{server}" in labels]
    assert all(each["protocol"] == "TCP" for each in found)
    return [each["port"] for each in found]


def reached(objects):
    """(pod, what it is labelled to reach)."""
    for name, metadata, _ in pods(objects):
        for label in metadata["labels"]:
            if label.startswith(REACHES):
                yield name, {label: "true"} | metadata["labels"], label


@environments
@pytest.mark.parametrize(("keys", "enabled"), [*product(("true", "false"), repeat=2)])
def test_whatever_a_pod_is_to_reach_has_a_policy(helm, environment, keys, enabled):
    told = () if environment == "prod" else ("--set", f"bootstrap.keys={keys},bootstrap.enabled={enabled}")
    objects = helm.objects(*ENVIRONMENTS[environment], *told)
    selectors = [policy["podSelector"] for policy in policies(objects)]
    seen = set()
    for name, labels, label in reached(objects):
        taken = [each for each in selectors if label in each["matchLabels"] and selects(each, labels)]
        assert taken, f"{name}: {label}"
        seen.add(label)
    assert f"{REACHES}cluster" in seen  # the Job that rolls signers, in every environment


@environments
def test_every_rule_about_addresses_names_ports(helm, environment):
    found = list(outside(helm.objects(*ENVIRONMENTS[environment], "--set", "networkPolicies.collector={192.0.2.8/32}")))
    assert found
    for labels, _, said in found:
        assert said, labels


def test_in_prod_none_but_ingest_reaches_any_address(helm):
    everything = "toolbox.enabled=true,archive.url=s3://bucket,networkPolicies.archive={192.0.2.9/32}"
    objects = helm.objects(*ENVIRONMENTS["prod"], "--set", everything)
    open_to = [labels for labels, blocks, _ in outside(objects) if any(each["cidr"] == EVERYWHERE for each in blocks)]
    names = {
        metadata["labels"]["app.kubernetes.io/component"]
        for _, metadata, _ in pods(objects)
        if any(selects({"matchLabels": labels}, metadata["labels"]) for labels in open_to)
    }
    assert names == {"ingest"}
    # a rule that names nobody is one about everybody
    assert all(rule.get("to") for policy in policies(objects) for rule in policy["egress"])


def test_the_api_server_is_reached_by_who_changes_the_cluster_and_in_prod_at_its_addresses(helm):
    objects = helm.objects(*ENVIRONMENTS["prod"])
    (policy,) = [each for each in policies(objects) if f"{REACHES}cluster" in each["podSelector"]["matchLabels"]]
    (rule,) = policy["egress"]
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.4/32"}}]
    assert [each["port"] for each in rule["ports"]] == [443, 6443]
    assert {name for name, _, label in reached(objects) if label == f"{REACHES}cluster"} == {"m0club-roll"}
    without = ("--set", "networkPolicies.cluster=null")
    assert "networkPolicies.cluster is missing" in helm.refusal(*ENVIRONMENTS["prod"], *without)
    assert helm.objects(*ENVIRONMENTS["prod"], *without, "--set", "upgrade.rollSigners=false")


def test_redis_is_reached_in_prod_where_its_addresses_are_named(helm):
    def rules(*told):
        objects = helm.objects(*ENVIRONMENTS["prod"], *told)
        (policy,) = [each for each in policies(objects) if f"{REACHES}redis" in each["podSelector"]["matchLabels"]]
        return policy["egress"]

    assert rules() == []
    (rule,) = rules("--set", "networkPolicies.redis={192.0.2.4/32,192.0.2.5/32}")
    assert [each["ipBlock"]["cidr"] for each in rule["to"]] == ["192.0.2.4/32", "192.0.2.5/32"]
    assert [each["port"] for each in rule["ports"]] == [6379, 6380]


@pytest.mark.parametrize(
    ("server", "told", "expected"),
    [
        ("kafka", "kafka.securityProtocol=SASL_SSL", [9092, 9093]),
        ("kafka", r"kafka.bootstrap=a-1:9096\,b-2:9096\,c-3:9097", [9096, 9097]),
        ("kafka", r"kafka.bootstrap=a:9096,networkPolicies.ports.kafka={9098}", [9098]),
        ("postgres", "kafka.bootstrap=a:9096", [5432]),
        ("postgres", "networkPolicies.ports.postgres={6432,5432}", [6432, 5432]),
        ("rpc", "kafka.bootstrap=a:9096", [443, 8899, 8900]),
        ("rpc", "solana.rpcUrl=https://node.example/key,solana.wsUrl=wss://node.example:8443/key", [443, 8443]),
        ("rpc", "solana.rpcUrl=http://node.example,solana.wsUrl=ws://node.example:8900", [80, 8900]),
        ("archive", "archive.endpoint=https://objects.example", [443]),
        ("archive", "archive.endpoint=http://objects.example:9000", [9000]),
    ],
)
def test_ports_are_those_that_addresses_name_else_the_usual_ones(helm, server, told, expected):
    bucket = "archive.url=s3://bucket,networkPolicies.archive={192.0.2.9/32}"
    for environment in ("staging", "prod"):
        assert ports(helm.objects(*ENVIRONMENTS[environment], "--set", bucket, "--set", told), server) == expected


def test_servers_in_the_cluster_are_reached_at_their_pods(helm):
    objects = helm.objects(*ENVIRONMENTS["dev"])
    served = {
        (metadata["labels"]["app.kubernetes.io/component"], port["containerPort"])
        for _, metadata, spec in pods(objects)
        for container in spec["containers"]
        for port in container.get("ports", ())
    }
    for server, component, wanted in (
        ("kafka", "kafka", {9092}), ("postgres", "postgres", {5432}), ("redis", "valkey", {6379}),
        ("rpc", "localnet", {8899, 8900}),
    ):  # fmt: skip
        (policy,) = [each for each in policies(objects) if f"{REACHES}{server}" in each["podSelector"]["matchLabels"]]
        (rule,) = policy["egress"]
        (peer,) = rule["to"]
        assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component
        for port in wanted:
            assert (component, port) in served
            assert any(each["port"] <= port <= each["endPort"] for each in rule["ports"])
    assert {f"{REACHES}internet", f"{REACHES}cluster"} == {
        label for labels, _, _ in outside(objects) for label in labels if label.startswith(REACHES)
    }
