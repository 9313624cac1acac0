"""A client is who the last trusted proxy says, and nobody can say to be somebody else."""

from ipaddress import ip_network

import pytest
from m0common.errors import SettingsError
from m0common.forwarded import client_address
from m0common.settings import load

OURS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        ("10.1.1.1", ["203.0.113.9", "10.2.2.2"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1, what, 10.2.2.2"], "10.2.2.2"),
        ("10.1.1.1", [""], "10.1.1.1"),
        ("fd00::1", ["2001:db8::9"], "2001:db8::9"),
    ],
)
def test_only_trusted_proxies_are_believed_about_whom_they_forward(peer, forwarded, client):
    assert client_address(peer, forwarded, OURS) == client


def test_a_proxy_that_is_no_network_is_refused_by_name(tmp_path):
    file = tmp_path / "test.toml"
    file.write_text('[realtime]\ntrusted_proxies = ["ingress"]\n')
    with pytest.raises(SettingsError, match=r"realtime\.trusted_proxies.*ingress"):
        load({"M0_CONFIG_PATH": str(file)})
