"""Methods about the node, its epoch and its slots."""

from __future__ import annotations

from typing import Any, Final

from solders.hash import Hash

from m0localnet.errors import NO_SNAPSHOT, RpcError, invalid_params, node_unhealthy
from m0localnet.node import Node
from m0localnet.rpc.registry import API_VERSION, Params, method, with_context
from m0localnet.vm import SLOTS_PER_EPOCH

FEATURE_SET: Final = 3_718_597_879  # the one of the Agave release whose rules LiteSVM runs
MAX_LEADERS: Final = 5000
MIN_DELEGATION_LAMPORTS: Final = 10**9


@method("getHealth", 0, 0)
def get_health(node: Node, _params: Params) -> Any:
    """Return "ok"; an error while the ledger cannot be written."""
    if node.bank.halted:
        raise node_unhealthy(node.bank.halted)
    return "ok"


@method("getVersion", 0, 0)
def get_version(_node: Node, _params: Params) -> Any:
    """Return the Agave release whose interface this node speaks."""
    return {"feature-set": FEATURE_SET, "solana-core": API_VERSION}


@method("getGenesisHash", 0, 0)
def get_genesis_hash(node: Node, _params: Params) -> Any:
    """Return the hash that names this chain."""
    return str(Hash(node.genesis.hash))


@method("getIdentity", 0, 0)
def get_identity(node: Node, _params: Params) -> Any:
    """Return the node's public key."""
    return {"identity": str(node.identity)}


@method("getSlot", 0, 1)
def get_slot(node: Node, params: Params) -> Any:
    """Return the newest slot at a commitment."""
    return params.config(0).slot(node)


@method("getBlockHeight", 0, 1)
def get_block_height(node: Node, params: Params) -> Any:
    """Return the number of blocks below the newest frozen one at a commitment."""
    return min(params.config(0).slot(node), node.bank.running.number - 1)


@method("getEpochInfo", 0, 1)
def get_epoch_info(node: Node, params: Params) -> Any:
    """Return where in the epoch the chain is."""
    slot = params.config(0).slot(node)
    return {
        "absoluteSlot": slot,
        "blockHeight": min(slot, node.bank.running.number - 1),
        "epoch": slot // SLOTS_PER_EPOCH,
        "slotIndex": slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": node.bank.transaction_count,
    }


@method("getEpochSchedule", 0, 0)
def get_epoch_schedule(_node: Node, _params: Params) -> Any:
    """Return the lengths of epochs."""
    return {
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "warmup": False,
    }


@method("getTransactionCount", 0, 1)
def get_transaction_count(node: Node, params: Params) -> Any:
    """Return how many transactions the chain has executed."""
    params.config(0).slot(node)
    return node.bank.transaction_count


@method("getSlotLeader", 0, 1)
def get_slot_leader(node: Node, params: Params) -> Any:
    """Return the leader: this node, always."""
    params.config(0).slot(node)
    return str(node.identity)


@method("getSlotLeaders", 2, 2)
def get_slot_leaders(node: Node, params: Params) -> Any:
    """Return the leaders of a range of slots."""
    params.unsigned(0)
    count = params.unsigned(1)
    if not 1 <= count <= MAX_LEADERS:
        raise invalid_params(f"Invalid limit; max {MAX_LEADERS}")
    return [str(node.identity)] * count


@method("getClusterNodes", 0, 0)
def get_cluster_nodes(node: Node, _params: Params) -> Any:
    """Return the one node there is."""
    return [
        {
            "featureSet": FEATURE_SET,
            "gossip": None,
            "pubkey": str(node.identity),
            "pubsub": None,
            "rpc": None,
            "shredVersion": 0,
            "tpu": None,
            "tpuQuic": None,
            "version": API_VERSION,
        }
    ]


@method("getVoteAccounts", 0, 1)
def get_vote_accounts(_node: Node, _params: Params) -> Any:
    """Return no vote accounts: this chain has no validators."""
    return {"current": [], "delinquent": []}


@method("getHighestSnapshotSlot", 0, 0)
def get_highest_snapshot_slot(_node: Node, _params: Params) -> Any:
    """Say that there are no snapshots."""
    raise RpcError(NO_SNAPSHOT, "No snapshot")


@method("getLeaderSchedule", 0, 2)
def get_leader_schedule(node: Node, _params: Params) -> Any:
    """Return the leader of every slot of an epoch: this node."""
    return {str(node.identity): list(range(SLOTS_PER_EPOCH))}


@method("getInflationGovernor", 0, 1)
def get_inflation_governor(_node: Node, _params: Params) -> Any:
    """Return the inflation of this chain: none."""
    return {"foundation": 0.0, "foundationTerm": 0.0, "initial": 0.0, "taper": 0.0, "terminal": 0.0}


@method("getInflationRate", 0, 0)
def get_inflation_rate(node: Node, _params: Params) -> Any:
    """Return the inflation of this epoch: none."""
    epoch = node.bank.running.number // SLOTS_PER_EPOCH
    return {"epoch": epoch, "foundation": 0.0, "total": 0.0, "validator": 0.0}


@method("getRecentPerformanceSamples", 0, 1)
def get_recent_performance_samples(_node: Node, _params: Params) -> Any:
    """Return no samples: this node takes none."""
    return []


@method("getStakeMinimumDelegation", 0, 1)
def get_stake_minimum_delegation(node: Node, params: Params) -> Any:
    """Return the smallest stake delegation in lamports."""
    return with_context(params.config(0).slot(node), MIN_DELEGATION_LAMPORTS)
