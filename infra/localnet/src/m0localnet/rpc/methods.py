"""All RPC methods: importing this module fills the registry with every topic."""

from __future__ import annotations

from types import ModuleType
from typing import Final

import m0localnet.rpc.accounts as _accounts
import m0localnet.rpc.admin as _admin
import m0localnet.rpc.blocks as _blocks
import m0localnet.rpc.cluster as _cluster
import m0localnet.rpc.history as _history
import m0localnet.rpc.ledger as _ledger
import m0localnet.rpc.send as _send
import m0localnet.rpc.tokens as _tokens

TOPICS: Final[tuple[ModuleType, ...]] = (_accounts, _admin, _blocks, _cluster, _history, _ledger, _send, _tokens)
