"""The stack's Kafka for real: everybody does what is theirs, and strangers nothing."""

import dataclasses
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from m0common.errors import Unavailable
from m0common.rights import ADMINISTRATOR, principals
from m0common.secret import Secret
from m0common.stream.kafka_security import ANONYMOUS
from m0common.stream.records import Produce
from m0common.topics import FEATURES, PREDICTIONS, RAW
from m0local import testing

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
SIGNERS = 3


async def write(options, topic: str, value: bytes = b"x") -> None:
    async with testing.broker_of(options) as broker:
        await testing.write(broker, [Produce(topic, 0, b"key", value)])


async def read(options, topic: str) -> list[bytes]:
    async with testing.broker_of(options) as broker:
        return [record.value for record in await testing.read(broker, topic)]


def as_admin(stack):
    return {
        "M0_KAFKA_USERNAME": ADMINISTRATOR,
        "M0_KAFKA_PASSWORD_FILE": str(stack.settings.kafka_passwords / ADMINISTRATOR),
    }


async def test_a_service_does_what_is_its_own_and_is_refused_what_is_anothers(servers):
    await write(servers.kafka("feature"), FEATURES.name, b"features")
    assert b"features" in await read(servers.kafka("model"), FEATURES.name)
    with pytest.raises(Unavailable, match="does not let feature"):
        await write(servers.kafka("feature"), RAW.name)
    with pytest.raises(Unavailable, match="does not let feature"):
        await read(servers.kafka("feature"), PREDICTIONS.name)


async def test_a_stranger_is_let_in_neither_without_a_password_nor_with_a_guess(servers):
    known = servers.kafka("feature")
    guess = dataclasses.replace(known.security, password=Secret("guess"))
    for security, said in ((ANONYMOUS, "connect to"), (guess, "refuses user 'feature' with this password")):
        stranger = dataclasses.replace(known, security=security)
        with pytest.raises(Unavailable, match=said):
            await write(stranger, FEATURES.name, b"forged")
        with pytest.raises(Unavailable, match=said):
            await read(stranger, FEATURES.name)
    assert b"forged" not in await read(servers.kafka(), FEATURES.name)


def test_passwords_are_for_their_owner_alone_and_no_two_are_alike(servers):
    files = list(servers.settings.kafka_passwords.iterdir())
    assert {file.name for file in files} == {ADMINISTRATOR, *principals(SIGNERS)}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len({file.read_text() for file in files}) == len(files)
    assert (servers.home / "kafka" / "server.properties").stat().st_mode & 0o777 == 0o600
    assert not (servers.home / "kafka" / "format.options").exists()


def test_the_operator_checks_topics_and_the_administrator_applies_them(servers):
    checked = servers.run("topics", "check")
    assert (checked.returncode, checked.stdout) == (0, "Everything is as it should be.\n")
    refused = servers.run("topics", "apply")
    assert refused.returncode == 1
    assert "Kafka refuses operator: run this as an administrator" in refused.stderr
    before = {file.name: file.read_text() for file in servers.settings.kafka_passwords.iterdir()}
    applied = servers.run("topics", "apply", "--json", **as_admin(servers))
    assert json.loads(applied.stdout) == {"done": [], "left": [], "users": list(principals(SIGNERS))}
    assert {file.name: file.read_text() for file in servers.settings.kafka_passwords.iterdir()} == before


def test_the_console_of_the_readme_prints_what_comes_in(servers):
    (script,) = [
        block
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "Consumer" in block
    ]
    with subprocess.Popen(
        ["sh", "-c", script], cwd=ROOT, env=servers.env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as console:
        try:
            kinds = {json.loads(console.stdout.readline())["kind"]}
        finally:
            os.killpg(console.pid, signal.SIGKILL)
    assert kinds == {"catalog_set"}
