"""The clusters that programs are deployed to, and whether a node is of the one that is meant."""

from m0chain import ChainClient
from m0common.errors import SettingsError, nearest

from m0deploy.errors import DeployError

TEST_CLUSTER = "localnet"
"""The cluster that gives lamports to who asks, and so often that nobody runs out of them; every chain of one's own."""
GENESIS_HASHES = {
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "mainnet-beta": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
}
"""The public clusters, by which a node of them is known."""
CLUSTERS = (TEST_CLUSTER, *GENESIS_HASHES)
_ALIASES = {"mainnet": "mainnet-beta"}


def cluster_of(name: str) -> str:
    """The cluster's name as settings and proofs have it. Raises SettingsError."""
    found = _ALIASES.get(name, name)
    if found not in CLUSTERS:
        raise SettingsError(f"cluster {name} is not known{nearest(name, CLUSTERS)}")
    return found


async def refuse_another(client: ChainClient, cluster: str) -> str:
    """The genesis hash of the node, base58. Raises DeployError when it is of another cluster, ChainError."""
    found = str(await client.genesis_hash())
    wanted = GENESIS_HASHES.get(cluster)
    known = next((name for name, genesis in GENESIS_HASHES.items() if genesis == found), None)
    if known != (None if wanted is None else cluster):
        raise DeployError(
            f"the node is of {known or 'a cluster of its own'} (genesis hash {found}), not of {cluster}: name "
            f"a node of {cluster}, or the other cluster"
        )
    return found
