"""Methods that take transactions: send, simulate, fees, airdrops, blockhashes."""

from __future__ import annotations

from typing import Any, Final

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from m0localnet import message, tokens
from m0localnet.blockhashes import MAX_AGE_SLOTS
from m0localnet.commitment import Commitment, parse_commitment
from m0localnet.encodings import decode_message, decode_transaction, encode_account
from m0localnet.errors import PREFLIGHT_FAILURE, RpcError, invalid_params, node_unhealthy
from m0localnet.node import Node
from m0localnet.rpc.registry import Config, Params, blockhash, method, pubkey, with_context
from m0localnet.txerrors import describe
from m0localnet.txview import inner_json, return_data_json, token_balances
from m0localnet.vm import UPGRADEABLE_LOADER, Outcome

_ACCOUNT_BASE_BYTES: Final = 64  # what Agave counts for each loaded account beside its data
MAX_AIRDROP_LAMPORTS: Final = 2**63


def _preflight(node: Node, tx: VersionedTransaction, slot: int, *, verify: bool) -> Outcome:
    """Run the checks and the simulation a transaction must pass, in Agave's order."""
    if verify and not all(tx.verify_with_results()):
        return Outcome("SignatureFailure", landed=False, fee=0)
    unusable = node.bank.check(tx, slot)
    if unusable:
        return Outcome(unusable, landed=False, fee=0)
    return node.bank.simulate(tx, slot)


def _loaded_bytes(node: Node, keys: tuple[Pubkey, ...], slot: int) -> int:
    total = 0
    for key in keys:
        account = node.bank.account(key, slot)
        if account is None:
            continue
        total += _ACCOUNT_BASE_BYTES + len(account.data)
        if account.executable and account.owner == UPGRADEABLE_LOADER:
            code = node.bank.account(Pubkey(account.data[4:36]), slot)
            if code is not None:
                total += _ACCOUNT_BASE_BYTES + len(code.data)
    return total


def _result(node: Node, tx: VersionedTransaction, outcome: Outcome, slot: int) -> dict[str, Any]:
    ran = outcome.logs is not None
    loaded = 0
    if ran:
        loaded = _loaded_bytes(node, message.resolve_keys(tx, lambda key: node.bank.account(key, slot)).all, slot)
    return {
        "accounts": None,
        "err": outcome.err,
        "fee": outcome.fee if outcome.landed else None,
        "innerInstructions": None,
        "loadedAccountsDataSize": loaded,
        "loadedAddresses": None,
        "logs": outcome.logs or [],
        "postBalances": None,
        "postTokenBalances": None,
        "preBalances": None,
        "preTokenBalances": None,
        "replacementBlockhash": None,
        "returnData": return_data_json(outcome.return_data),
        "unitsConsumed": outcome.units,
    }


@method("sendTransaction", 1, 2)
def send_transaction(node: Node, params: Params) -> Any:
    """Take a signed transaction; returns its signature. Refused with -32002 when preflight fails."""
    text = params.text(0)
    config = params.config(1, "struct RpcSendTransactionConfig")
    skip = config.flag("skipPreflight")
    tx = decode_transaction(text, config.get("encoding") or "base58")
    level = Commitment.PROCESSED if skip else parse_commitment(config.get("preflightCommitment"))
    slot = config.slot(node, level)
    if node.bank.halted:
        raise node_unhealthy(node.bank.halted)
    if not skip:
        outcome = _preflight(node, tx, slot, verify=True)
        if outcome.err is not None:
            raise RpcError(
                PREFLIGHT_FAILURE,
                f"Transaction simulation failed: {describe(outcome.err)}",
                _result(node, tx, outcome, slot),
            )
    node.bank.submit(tx)
    return str(tx.signatures[0])


def _simulated_accounts(node: Node, wanted: Any, outcome: Outcome, keys: int, slot: int) -> Any:
    if wanted is None:
        return None
    config = Config(wanted if isinstance(wanted, dict) else {})
    encoding = config.account_encoding("base64")
    if encoding in ("binary", "base58"):
        raise invalid_params("base58 encoding not supported")
    addresses = config.get("addresses")
    if not isinstance(addresses, list):
        raise invalid_params("Invalid params: missing field `addresses`.")
    if len(addresses) > keys:
        raise invalid_params(f"Too many accounts provided; max {keys}")
    shown: list[Any] = []
    for address in map(pubkey, addresses):
        account = outcome.post.get(address) or node.bank.account(address, slot)
        gone = outcome.err is not None or account is None or not account.lamports
        shown.append(None if gone or account is None else encode_account(account, encoding))
    return shown


@method("simulateTransaction", 1, 2)
def simulate_transaction(node: Node, params: Params) -> Any:
    """Run a transaction without keeping its effects; a failing one is a result, not an error."""
    text = params.text(0)
    config = params.config(1, "struct RpcSimulateTransactionConfig")
    verify, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
    tx = decode_transaction(text, config.get("encoding") or "base58")
    slot = config.slot(node)
    if verify and replace:
        raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
    bank = node.bank
    outcome = bank.simulate(tx, slot) if replace else _preflight(node, tx, slot, verify=verify)
    value = _result(node, tx, outcome, slot)
    try:
        keys = message.resolve_keys(tx, lambda key: bank.account(key, slot))
    except message.TableError:
        return with_context(slot, value)
    every = keys.all
    value["accounts"] = _simulated_accounts(node, config.get("accounts"), outcome, len(every), slot)
    value["loadedAddresses"] = {
        "readonly": [str(key) for key in keys.loaded_readonly],
        "writable": [str(key) for key in keys.loaded_writable],
    }
    if config.flag("innerInstructions") and outcome.inner is not None:
        value["innerInstructions"] = inner_json(outcome.inner, [str(key) for key in every])
    if replace:
        newest = bank.blockhashes.at(slot)
        value["replacementBlockhash"] = _blockhash_value(node, newest)
    if outcome.err != "SignatureFailure":
        _add_balances(node, value, every, outcome, slot)
    return with_context(slot, value)


def _add_balances(node: Node, value: dict[str, Any], keys: tuple[Pubkey, ...], outcome: Outcome, slot: int) -> None:
    def before(key: Pubkey) -> Any:
        return node.bank.account(key, slot)

    def after(key: Pubkey) -> Any:
        return outcome.post.get(key) or before(key)

    def lamports(account: Any) -> int:
        return account.lamports if account else 0

    pre = [lamports(before(key)) for key in keys]
    post = [lamports(after(key)) for key in keys]
    if outcome.err is not None and outcome.landed:
        post[0] = max(post[0] - outcome.fee, 0)
    value["preBalances"], value["postBalances"] = pre, post
    value["preTokenBalances"] = token_balances(tokens.balances(keys, before))
    value["postTokenBalances"] = token_balances(tokens.balances(keys, after))


def _blockhash_value(node: Node, raw: bytes) -> dict[str, Any]:
    born = node.bank.blockhashes.slot_of(raw)
    return {"blockhash": str(Hash(raw)), "lastValidBlockHeight": born + MAX_AGE_SLOTS}


@method("getLatestBlockhash", 0, 1)
def get_latest_blockhash(node: Node, params: Params) -> Any:
    """Return the newest blockhash and the last block height at which a transaction may still use it."""
    slot = params.config(0).slot(node)
    return with_context(slot, _blockhash_value(node, node.bank.blockhashes.at(slot)))


@method("isBlockhashValid", 1, 2)
def is_blockhash_valid(node: Node, params: Params) -> Any:
    """Tell whether a transaction may still use a blockhash."""
    wanted = blockhash(params.text(0))
    slot = params.config(1).slot(node)
    return with_context(slot, node.bank.blockhashes.valid(bytes(wanted), min(slot, node.bank.running.number - 1)))


@method("getFeeForMessage", 1, 2)
def get_fee_for_message(node: Node, params: Params) -> Any:
    """Return the fee in lamports of a base64 message, null when it has no blockhash or nonce that is still good."""
    body = decode_message(params.text(0))
    slot = params.config(1).slot(node)
    frozen = min(slot, node.bank.running.number - 1)
    unsigned = VersionedTransaction.populate(body, [Signature.default()] * body.header.num_required_signatures)
    known = node.bank.blockhashes.valid(bytes(body.recent_blockhash), frozen)
    if not known and node.bank.nonce_of(unsigned, slot) is None:
        return with_context(slot, None)
    return with_context(slot, node.bank.vm.fee(unsigned))


@method("requestAirdrop", 2, 3)
def request_airdrop(node: Node, params: Params) -> Any:
    """Send lamports from the faucet; returns the transfer's signature."""
    to, lamports = params.pubkey(0), params.unsigned(1)
    if lamports > MAX_AIRDROP_LAMPORTS:
        raise invalid_params(f"airdrop of {lamports} lamports is more than the faucet will ever hold")
    tx = node.airdrop(to, lamports)
    node.bank.submit(tx)
    return str(tx.signatures[0])


@method("getRecentPrioritizationFees", 0, 1)
def get_recent_prioritization_fees(node: Node, params: Params) -> Any:
    """Return the lowest priority price of recent blocks, for transactions that write the given accounts."""
    keys = [pubkey(key) for key in params.items(0, 128)] if params.get(0) is not None else []
    return [{"prioritizationFee": fees.price(keys), "slot": fees.slot} for fees in node.bank.fees.slots]
