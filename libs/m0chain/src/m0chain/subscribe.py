"""Log and account subscriptions that survive the connection."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import Enum, auto
from typing import Any

import msgspec
import structlog
from m0common.secret import SecretUrl
from solana.rpc.commitment import Commitment
from solana.rpc.websocket_api import SolanaWsClient
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.responses import AccountNotification, LogsNotification

_log = structlog.get_logger(__name__)

QUEUE_LIMIT = 20_000


class Connection(Enum):
    """What a subscription yields beside notifications."""

    CONNECTED = auto()
    """Subscribed (again): what happened before this moment was missed, backfill it now."""


class LogsNotice(msgspec.Struct, frozen=True):
    """A transaction that mentions the address; `failed` transactions change nothing."""

    signature: str
    slot: int
    failed: bool
    logs: list[str]


class AccountNotice(msgspec.Struct, frozen=True):
    """An account's new data (empty when it was closed)."""

    slot: int
    data: bytes


class Subscriptions:
    """Opens one WebSocket per subscription and opens it again, with growing pauses, whenever it ends.

    A pause is any time between none and twice as long as before, so that those who lost one node do not come back
    together; it begins anew only after a connection that held for `held_s`, whatever was said on it. The address is
    asked for at each connect; no log shows the secret in it.
    """

    def __init__(
        self,
        ws_url: str | SecretUrl,
        *,
        commitment: str = "confirmed",
        pause_s: float = 0.2,
        longest_s: float = 5.0,
        held_s: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._address = SecretUrl.of(ws_url)
        self._commitment = Commitment(commitment)
        self._pause_s, self._longest_s, self._held_s = pause_s, longest_s, held_s
        self._sleep = sleep

    async def logs(self, mentions: Pubkey) -> AsyncGenerator[LogsNotice | Connection, None]:
        """Logs of transactions that mention an address, and CONNECTED at every (re)connection; never ends by itself."""
        wanted = RpcTransactionLogsFilterMentions(mentions)

        async def subscribe(client: SolanaWsClient) -> object:
            return await client.logs_subscribe(filter_=wanted, commitment=self._commitment)

        async with contextlib.aclosing(self._notifications(subscribe)) as notifications:
            async for note in notifications:
                if isinstance(note, LogsNotification):
                    value = note.result.value
                    yield LogsNotice(
                        str(value.signature), note.result.context.slot, value.err is not None, list(value.logs)
                    )
                elif isinstance(note, Connection):
                    yield note

    async def account(self, address: Pubkey) -> AsyncGenerator[AccountNotice | Connection, None]:
        """Changes of an account, and CONNECTED at every (re)connection; never ends by itself."""

        async def subscribe(client: SolanaWsClient) -> object:
            return await client.account_subscribe(pubkey=address, commitment=self._commitment, encoding="base64")

        async with contextlib.aclosing(self._notifications(subscribe)) as notifications:
            async for note in notifications:
                if isinstance(note, AccountNotification):
                    yield AccountNotice(note.result.context.slot, bytes(note.result.value.data))
                elif isinstance(note, Connection):
                    yield note

    async def _notifications(
        self, subscribe: Callable[[SolanaWsClient], Awaitable[object]]
    ) -> AsyncGenerator[Any, None]:  # solders' Notification is a union of every kind; the callers pick theirs
        loop, pause = asyncio.get_running_loop(), self._pause_s
        while True:
            opened = loop.time()
            try:
                async with SolanaWsClient(
                    self._address.reveal(),
                    notification_queue_size=QUEUE_LIMIT,
                    ping_interval=10,
                    ping_timeout=10,
                    compression=None,
                ) as client:
                    await subscribe(client)
                    yield Connection.CONNECTED
                    async for note in client:
                        yield note
                _log.info("subscription_ended", url=str(self._address))
            except Exception as error:  # noqa: BLE001 - whatever a node sends ends a connection and no process
                why = self._address.scrub(f"{type(error).__name__}: {error}")
                _log.warning("subscription_lost", url=str(self._address), error=why)
            if loop.time() - opened >= self._held_s:
                pause = self._pause_s
            await self._sleep(random.uniform(0, pause))
            pause = min(pause * 2, self._longest_s)
