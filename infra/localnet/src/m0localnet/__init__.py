"""
localnet: a real Solana virtual machine (LiteSVM) behind Solana's JSON-RPC and PubSub protocols.

One process, one ledger directory, no validator set: slots tick on a timer, transactions are executed as they arrive,
and commitment advances as it does on a cluster. Any Solana client works against it unchanged.
"""
