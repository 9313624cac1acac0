"""`values.schema.json`, made of `values.yaml`: names, types, and comments as descriptions.

    python infra/helm/schema.py [--check]

A key that is not in values.yaml is refused, but in the tables that OPEN names; one that was taken away is missed.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from forms import AMOUNT, BROKER, CIDR, HOST, LABEL, NAME, NAMES, PLACE, PORT, SCHEDULE
from m0archive.address import BUCKET

CHART = Path(__file__).parent / "m0club"
OPEN = {
    "config", "global.imageDigests", "pod.annotations", "pod.labels", "pod.nodeSelector", "serviceAccount.annotations",
    "signer.nodeSelector", "signer.tags", "ingress.annotations",
}  # fmt: skip
"""Tables whose keys are the operator's own."""
ROLES = ("api", "realtime", "ingest", "engine", "indexer", "jobs", "warden", "signer")
LANES = ("normalize", "feature", "model", "bundle")
IMAGES = ("m0", "localnet", *LANES, *(role for role in ROLES if role != "engine"))
Schema = dict[str, Any]

TAG: Schema = {"type": "string", "pattern": f"^{LABEL}$", "not": {"const": "latest"}}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def optional(pattern: str) -> Schema:
    """A text of this form, or none."""
    return {"pattern": f"^({pattern})?$"}


def named(**more: Schema) -> Schema:
    """Objects of a list that have at least a name, and what `more` says of others of their fields."""
    return {"items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}} | more}}


OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
VARIABLES: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "value": {"type": "string"},
            "valueFrom": {"type": "object"},
        },
    },
}
AMOUNTS: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number"], "pattern": f"^{AMOUNT}$", "minimum": 0},
}
AT_LEAST_ONE: Schema = {"minimum": 1}
OBJECT_NAME: Schema = {"pattern": f"^{NAMES}$", "maxLength": 253}
OUTSIDE = ("kafka", "postgres", "redis", "rpc", "archive", "cluster")
"""Servers outside that policies name the ports of."""
RULES: dict[str, Schema] = {
    "global.env": {"enum": ["dev", "staging", "prod"]},
    "global.imageTag": optional(LABEL) | {"not": {"const": "latest"}},
    "global.imageRegistry": optional(rf"{HOST}(:{PORT})?(/[a-z0-9._/-]+)?"),
    "global.imagePullSecrets": named(),
    "global.configMapName": OBJECT_NAME,
    "global.secretName": OBJECT_NAME,
    "global.deploymentName": OBJECT_NAME,
    "global.keysPrefix": {"pattern": f"^{NAMES}$", "maxLength": 200},
    "global.nameOverride": optional(NAME) | {"maxLength": 40},
    "global.imageDigests": {
        "additionalProperties": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "propertyNames": {"pattern": f"^({'|'.join(IMAGES)}):{LABEL}$"},
    },
    "global.imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "global.logLevel": {"enum": ["debug", "info", "warn", "error"]},
    "kafka.securityProtocol": {"enum": ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]},
    "kafka.saslMechanism": {"enum": ["SCRAM-SHA-512", "PLAIN"]},
    "kafka.bootstrap": optional(f"{BROKER}(,{BROKER})*"),
    "kafka.caSecret": optional(NAMES),
    "kafka.restoredEnds": {"pattern": "^([0-9]+(,[0-9]+)*)?$"},
    "signer.replicas": {"minimum": 1, "maximum": 16},
    "signer.raw": {"minimum": 0},
    "signer.workers": {"minimum": 1, "maximum": 64},
    "signer.tags": {"additionalProperties": TAG, "propertyNames": {"pattern": "^signer-[0-9]+$"}},
    "releases": {
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["tag", "id"],
            "properties": {"tag": TAG, "id": {"type": "string", "pattern": "^[0-9a-f]{10}$"}},
        }
    },
    "archive.url": optional(f"file:///.+|s3://{BUCKET.pattern}(/.*)?"),
    "archive.endpoint": optional(f"https?://{PLACE}"),
    "archive.backup.schedule": optional(f"@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{SCHEDULE}"),
    "pod.tolerations": OBJECTS,
    "pod.extraEnv": VARIABLES,
    "pod.extraVolumes": named(),
    "pod.extraVolumeMounts": named(mountPath={"type": "string", "pattern": "^/"}),
    "pod.startupSeconds": {"minimum": 2},
    "signer.tolerations": OBJECTS,
    "serviceAccount.annotations": {"additionalProperties": TEXTS},
    "servers.kafka.heap": {"pattern": "^[1-9][0-9]*[kKmMgG]$"},
    "ingress.api": OBJECT_NAME,
    "ingress.tlsSecret": optional(NAMES),
    "gateway.api": OBJECT_NAME,
    "gateway.parentRefs": named(),
    "serviceMonitor.interval": {"pattern": "^([0-9]+(ms|[smhdwy]))+$"},
    "externalSecrets.refreshInterval": {"pattern": "^(0|([0-9]+(\\.[0-9]+)?(ms|[smh]))+)$"},
    "externalSecrets.store.kind": {"enum": ["SecretStore", "ClusterSecretStore"]},
    "keda.prometheus": optional(f"https?://{PLACE}"),
    "keda.maxReplicas": AT_LEAST_ONE,
    "keda.lagMessages": AT_LEAST_ONE,
    "keda.lagSeconds": AT_LEAST_ONE,
    "archive.storage.accessMode": {"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]},
    "archive.backup.deadlineSeconds": {"minimum": 60},
    "upgrade.signerSeconds": {"minimum": 30},
    "upgrade.steps": {"items": {"enum": ["database", "topics"]}, "minItems": 1},
}
RULES |= {
    f"networkPolicies.ports.{server}": {"items": {"type": "integer", "minimum": 1, "maximum": 65535}}
    for server in OUTSIDE
}
RULES |= {
    f"networkPolicies.{server}": {"items": {"type": "string", "pattern": f"^{CIDR}$"}}
    for server in (*OUTSIDE, "collector")
}
RULES |= {
    f"solana.{address}": optional(f"{scheme}s?://{PLACE}")
    for address, scheme in (("rpcUrl", "http"), ("publicRpcUrl", "http"), ("wsUrl", "ws"), ("publicWsUrl", "ws"))
}
RULES |= {
    f"{role}.autoscaling.{bound}": AT_LEAST_ONE
    for role in ("api", "realtime")
    for bound in ("min", "max", "cpuPercent")
}
RULES |= {f"{role}.autoscaling.quietSeconds": {"minimum": 0, "maximum": 3600} for role in ("api", "realtime")}
RULES |= dict.fromkeys(
    ("pod.annotations", "pod.labels", "pod.nodeSelector", "signer.nodeSelector", "ingress.annotations"), TEXTS
)
RESOURCES: Schema = {
    "type": "object",
    "description": "requests and limits of its container",
    "additionalProperties": False,
    "properties": {"requests": AMOUNTS, "limits": AMOUNTS, "claims": OBJECTS},
}
PLACED: Schema = {"nodeSelector": TEXTS, "tolerations": OBJECTS, "annotations": TEXTS, "extraEnv": VARIABLES}
"""What every role takes besides."""


def comments(text: str) -> dict[str, str]:
    """Path → what stands behind a key in the same line."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in text.splitlines():
        if said := re.match(r"( *)([A-Za-z]+):(.*)", line):
            depth = len(said[1]) // 2
            path = [*path[:depth], said[2]]
            if "#" in said[3]:
                found[".".join(path)] = said[3].partition("#")[2].strip()
    return found


def schema_of(value: Any, path: str, said: dict[str, str]) -> Schema:  # whatever YAML holds
    """The schema of one value of values.yaml."""
    made: Schema = {"description": said[path]} if path in said else {}
    if path.rpartition(".")[2] == "resources":
        return RESOURCES | made
    if path.endswith(".storage.size"):
        made["pattern"] = f"^{AMOUNT}$"
    match value:
        case bool():
            made["type"] = "boolean"
        case int():
            made |= {"type": "integer", "minimum": 0}
        case str():
            made["type"] = "string"
        case list():
            made["type"] = "array"
        case dict():
            made["type"] = "object"
            if path not in OPEN:
                inner = {key: schema_of(each, f"{path}.{key}".lstrip("."), said) for key, each in value.items()}
                # a null in an operator's values takes a key away, and with it what templates ask; of a list it is none
                needed = [key for key, each in value.items() if not isinstance(each, list)]
                made |= {"additionalProperties": False, "required": needed, "properties": inner}
    if path in ROLES:
        made["properties"] = PLACED | made["properties"]
    if path == "engine":
        own = {"replicas": {"type": "integer", "minimum": 0}, "resources": RESOURCES} | PLACED
        lane = {"type": "object", "additionalProperties": False, "properties": own}
        made["properties"] |= dict.fromkeys(LANES, lane)
    return made | RULES.get(path, {})


def schema() -> str:
    """The whole schema, as text."""
    text = (CHART / "values.yaml").read_text("utf-8")
    made = schema_of(yaml.safe_load(text), "", comments(text))
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "title": "m0club"} | made, indent=2) + "\n"


def main() -> int:
    file, text = CHART / "values.schema.json", schema()
    if "--check" not in sys.argv[1:]:
        file.write_text(text)
    elif file.read_text() != text:
        print(f"{file.name} is not what values.yaml says: python infra/helm/schema.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
