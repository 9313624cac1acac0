"""compose.staging.yml on a real engine: from an empty folder to final epochs by what the documentation says."""

import os

import pytest
from compose_world import SLOW_S
from staging_world import SECRETS, Staging

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(os.environ.get("SMOKE")), reason="twice the containers of the smoke test"),
]
NOTHING = "Everything is as it should be.\n"


@pytest.fixture
def staging(engine, images, tmp_path):
    if engine("network", "ls", "--quiet", "--filter", "name=^m0club-staging$"):
        pytest.skip("this engine has a staging deployment: its network's name is taken")
    made = Staging(engine, images, tmp_path)
    try:
        yield made
    finally:
        made.down()


def test_an_empty_folder_becomes_a_deployment_whose_epochs_are_final(staging):
    staging.own("chown 10001:10001 /srv/m0club; chmod 700 /srv/m0club", user="0")
    assert "control/control.json" in staging.once("keys")
    staging.own(SECRETS)
    staging.compose("up", "--detach", "--wait", "localnet")  # the chain is there before a deployment is

    due = staging.once("bootstrap")
    assert "create topic m0.raw.v1: 64 partitions, replication 1" in due
    assert "write the record of the deployment" in due
    assert staging.own("ls /srv/m0club").split() == ["control", "keys", "secrets"]

    staging.once("bootstrap", "--apply")
    assert staging.once("bootstrap") == NOTHING
    staging.own("rm -r /srv/m0club/control")  # taken to where no service runs

    staging.up()
    staging.lanes("up", "--detach", "--wait", "--wait-timeout", str(int(SLOW_S)))
    epoch = staging.final()
    assert staging.m0("replay", "sports", str(epoch)).startswith(f"MATCH sports epoch {epoch} ")
    assert staging.m0("topics", "check") == NOTHING
    assert staging.final(after=epoch) > epoch
