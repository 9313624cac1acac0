"""What `m0 preflight` says of a node that is away; what it finds of a deployment is tried on one."""

from m0common.settings import load
from m0deploy.preflight import Preflight
from m0deploy.program_registry import Registry
from m0replay.unrun import Staying


async def test_a_node_that_is_away_is_named_with_the_setting_that_names_it(tmp_path):
    (tmp_path / "some.toml").write_text("")
    settings = load(
        {
            "M0_CONFIG_PATH": str(tmp_path / "some.toml"),
            "M0_RPC_URL": "http://127.0.0.1:9/secret-path",
            "M0_ORACLE_PROGRAM_ID": "11111111111111111111111111111112",
            "M0_REGISTRY_PROGRAM_ID": "11111111111111111111111111111113",
            "M0_GENESIS_HASH": "ab" * 32,
            "M0_CONTROL_KEY": "cd" * 32,
        }
    )
    others = ("partitions", "topics", "schema", "releases")
    found = await Preflight(settings, Registry(), {}, Staying([], [])).checks(others)
    assert [each.name for each in found] == ["addresses", "genesis", "signers"]
    for each in found:
        assert "the node at http://127.0.0.1:9/" in each.evidence
        assert each.evidence.endswith(": start that node, or name another by M0_RPC_URL")
        assert "secret-path" not in each.evidence
