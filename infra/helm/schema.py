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
TAG = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", "not": {"const": "latest"}}
RULES: dict[str, dict[str, Any]] = {
    "global.env": {"enum": ["dev", "staging", "prod"]},
    "global.imageTag": {"pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$", "not": {"const": "latest"}},
    "global.imageDigests": {
        "additionalProperties": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "propertyNames": {"pattern": f"^({'|'.join(IMAGES)}):[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}$"},
    },
    "global.imagePullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "global.logLevel": {"enum": ["debug", "info", "warn", "error"]},
    "kafka.securityProtocol": {"enum": ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]},
    "kafka.saslMechanism": {"enum": ["SCRAM-SHA-512", "PLAIN"]},
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
    "archive.url": {"pattern": f"^(|file:///.+|s3://{BUCKET.pattern}(/.*)?)$"},
    "gateway.parentRefs": {"items": {"type": "object", "required": ["name"]}},
    "archive.storage.accessMode": {"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]},
    "archive.backup.deadlineSeconds": {"minimum": 60},
    "upgrade.signerSeconds": {"minimum": 30},
    "upgrade.steps": {"items": {"enum": ["database", "topics"]}, "minItems": 1},
} | {
    f"networkPolicies.ports.{server}": {"items": {"type": "integer", "minimum": 1, "maximum": 65535}}
    for server in ("kafka", "postgres", "redis", "rpc", "archive", "cluster")
}
RESOURCES = {"type": "object", "description": "requests and limits of its container"}
PLACED = {
    "nodeSelector": {"type": "object"},
    "tolerations": {"type": "array"},
    "annotations": {"type": "object"},
    "extraEnv": {"type": "array"},
}
"""What every role takes besides."""


def comments(text: str) -> dict[str, str]:
    """Path → what stands behind a key in the same line."""
    found, path = {}, []
    for line in text.splitlines():
        if said := re.match(r"( *)([A-Za-z]+):(.*)", line):
            depth = len(said[1]) // 2
            path = [*path[:depth], said[2]]
            if "#" in said[3]:
                found[".".join(path)] = said[3].partition("#")[2].strip()
    return found


def schema_of(value: Any, path: str, said: dict[str, str]) -> dict[str, Any]:  # whatever YAML holds
    """The schema of one value of values.yaml."""
    made: dict[str, Any] = {"description": said[path]} if path in said else {}
    if path.rpartition(".")[2] == "resources":
        return RESOURCES | made
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
