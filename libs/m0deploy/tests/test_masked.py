"""What looks like a secret in an operator's file is not kept, and the rest is."""

import pytest
from m0deploy.masked import masked

SECRET = "hunter2-is-long-enough"


@pytest.mark.parametrize(
    "line",
    [
        f"dsn: postgresql://m0:{SECRET}@db.example:5432/m0",
        f"redisUrl: 'rediss://:{SECRET}@cache.example:6380/0'",
        f"rpcUrl: https://node.example/v2/{SECRET}",
        f'wsUrl: "wss://node.example/?api-key={SECRET}"',
        f"password: {SECRET}",
        f'  adminPassword: "{SECRET}"',
        f"    apiKey: '{SECRET}'",
        f'secret_access_key = "{SECRET}"',
        f"- name: VENDOR_TOKEN\n  value: {SECRET}",
        f"extraEnv: [{{name: VENDOR_API_KEY, value: {SECRET}}}]",
        f"- name: OTHER_PG_DSN\n  value: host=db password={SECRET}",
        f'{{"name": "X_SECRET", "value": "{SECRET}"}}',
        f"config:\n  prod.toml: |\n    [x]\n    token = '{SECRET}'",
    ],
)
def test_a_secret_is_masked(line):
    assert SECRET not in masked(line)
    assert "***" in masked(line)


@pytest.mark.parametrize(
    "text",
    [
        "secretName: m0club-secrets",
        "keysPrefix: m0club",
        "M0_KEY_PASSPHRASE_FILE: /srv/m0club/keys/passphrase",
        "password_file: /run/secrets/kafka",
        "secrets: [M0_PG_DSN]",
        "secret: {}",
        "token: null",
        "archive: {url: 's3://bucket/prefix'}",
        "url: file:///var/lib/m0-archive",
        "dsn: postgresql://m0@db.example:5432/m0",
        "rpcUrl: https://node.example",
        "- name: LOG_LEVEL\n  value: info",
        "replicas: 3 # as many as the token bucket takes",
        "externalSecrets:\n  enabled: true\n  store:\n    name: vault",
    ],
)
def test_what_is_none_stays(text):
    assert masked(text) == text
