"""Program-derived addresses of both programs (seeds in docs/protocol.md), and those of the upgradeable loader."""

from m0common.ids import catalog_bytes, market_key
from solders.pubkey import Pubkey

UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")


def _find(program: Pubkey, *seeds: bytes) -> Pubkey:
    return Pubkey.find_program_address(list(seeds), program)[0]


def program_data(program: Pubkey) -> Pubkey:
    """Where the upgradeable loader keeps a program's code and upgrade authority."""
    return _find(UPGRADEABLE_LOADER, bytes(program))


def catalog(program: Pubkey, name: str) -> Pubkey:
    """`Catalog` of either program: the seeds are the same, the programs differ."""
    return _find(program, b"catalog", catalog_bytes(name))


def registry_root(registry: Pubkey) -> Pubkey:
    """`Root` of m0-registry."""
    return _find(registry, b"root")


def market(registry: Pubkey, market_id: str) -> Pubkey:
    """`Market` of m0-registry."""
    return _find(registry, b"market", market_key(market_id))


def config(oracle: Pubkey) -> Pubkey:
    """`Config` of m0-oracle."""
    return _find(oracle, b"config")


def signer_set(oracle: Pubkey, set_id: int) -> Pubkey:
    """`SignerSet` of m0-oracle."""
    return _find(oracle, b"signer_set", set_id.to_bytes(4, "little"))


def epoch(oracle: Pubkey, catalog_name: str, epoch_id: int) -> Pubkey:
    """`Epoch` of m0-oracle."""
    return _find(oracle, b"epoch", catalog_bytes(catalog_name), epoch_id.to_bytes(8, "little"))


def feed(oracle: Pubkey, market_id: str) -> Pubkey:
    """`Feed` of m0-oracle."""
    return _find(oracle, b"feed", market_key(market_id))
