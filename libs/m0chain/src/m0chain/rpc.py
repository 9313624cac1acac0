"""Reading from a Solana node: accounts, time, transactions; retried, timed out and with typed errors."""

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import msgspec
import stamina
from m0common.secret import SecretUrl
from solana.rpc.commitment import Commitment
from solana.rpc.models import DataSliceOpts, MemcmpOpts
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import EncodedTransactionWithStatusMeta, TransactionStatus

from m0chain.errors import DecodeError, RpcRejected, RpcUnavailable
from m0chain.faults import Faults
from m0chain.idl import Idl
from m0chain.wire import Node, Refused

CLOCK_SYSVAR = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
MAX_ACCOUNTS_PER_REQUEST = 100
MAX_SIGNATURES_PER_PAGE = 1000
MAX_STATUSES_PER_REQUEST = 256

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for the node, and how often to ask."""

    request_s: float = 10.0
    """one HTTP request"""
    attempts: int = 5
    """tries of one read before RpcUnavailable"""
    first_wait_s: float = 0.1
    longest_wait_s: float = 3.0
    poll_s: float = 0.25
    """between two looks at the statuses of everything that is on its way"""
    resubmit_s: float = 2.0
    """between two submissions of the same signed bytes"""
    outcome_s: float = 90.0
    """from the first submission until Unconfirmed"""
    fastest_slot_s: float = 0.1
    """no chain makes blocks faster: a height that grows faster than this is not believed"""


class Account(msgspec.Struct, frozen=True):
    """An account as of `slot`; `executable` is known of what was asked for by its address."""

    address: Pubkey
    owner: Pubkey
    lamports: int
    data: bytes
    slot: int
    executable: bool = False


class ChainTime(msgspec.Struct, frozen=True):
    """The Clock sysvar: what programs see as now."""

    slot: int
    unix_ms: int


class Head(msgspec.Struct, frozen=True):
    """The newest block of a node: its slot and its height, which blockhash expiry is counted in."""

    slot: int
    height: int


class Statuses(msgspec.Struct, frozen=True):
    """What a node that had reached `slot` knew of signatures."""

    slot: int
    found: list[TransactionStatus | None]


class SignatureInfo(msgspec.Struct, frozen=True):
    """One line of an address's history; `error` is the runtime's name of what failed, None for success."""

    signature: str
    slot: int
    block_time_s: int | None
    error: str | None


class TransactionRecord(msgspec.Struct, frozen=True):
    """A transaction as executed: the programs of its instructions in order, and its logs."""

    signature: str
    slot: int
    block_time_s: int | None
    error: str | None
    programs: list[Pubkey]
    logs: list[str]


def quiet_retries() -> None:
    """Say nothing of reads that are tried again, as a command does that says in one sentence what came of them."""
    stamina.instrumentation.set_on_retry_hooks([])


class ChainClient:
    """Reads of one node. `idls` lets errors of our programs be named; close it, or use it as a context manager.

    The address is asked for before each request, so that a key in it can be rotated; no error or log shows it.
    """

    def __init__(
        self,
        rpc_url: str | SecretUrl,
        *,
        commitment: str = "confirmed",
        timing: Timing | None = None,
        idls: Mapping[Pubkey, Idl] | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.commitment = Commitment(commitment)
        address = SecretUrl.of(rpc_url)
        self.faults = Faults(idls or {}, address.scrub)
        self._client = Node(address, self.commitment, self.timing.request_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def once(self, request: Callable[[Node], Awaitable[_T]], programs: Sequence[Pubkey] = ()) -> _T:
        """One request without a retry; raises a ChainError."""
        try:
            return await request(self._client)
        except Refused as refusal:
            raise self.faults.refusal(refusal, programs) from refusal

    async def call(self, request: Callable[[Node], Awaitable[_T]]) -> _T:
        """A read, retried while the node is unavailable."""
        async for attempt in stamina.retry_context(
            on=RpcUnavailable,
            attempts=self.timing.attempts,
            timeout=None,
            wait_initial=self.timing.first_wait_s,
            wait_max=self.timing.longest_wait_s,
            wait_jitter=self.timing.first_wait_s,
        ):
            with attempt:
                return await self.once(request)
        raise AssertionError("stamina returns or raises")

    async def account(self, address: Pubkey, commitment: str | None = None) -> Account | None:
        """The account, None when there is none."""
        level = Commitment(commitment) if commitment else None
        response = await self.call(lambda c: c.get_account_info(address, level, encoding="base64"))
        found = response.value
        if found is None:
            return None
        slot = response.context.slot
        return Account(address, found.owner, found.lamports, bytes(found.data), slot, found.executable)

    async def genesis_hash(self) -> Hash:
        """What tells the node's chain from every other."""
        return (await self.call(lambda c: c.get_genesis_hash())).value

    async def accounts(self, addresses: Sequence[Pubkey]) -> list[Account | None]:
        """Accounts in the order asked for, None where there is none; in requests of at most 100."""
        result: list[Account | None] = []
        for start in range(0, len(addresses), MAX_ACCOUNTS_PER_REQUEST):
            part = list(addresses[start : start + MAX_ACCOUNTS_PER_REQUEST])
            response = await self.call(lambda c, part=part: c.get_multiple_accounts(part, encoding="base64"))  # type: ignore[misc]
            slot = response.context.slot
            for address, found in zip(part, response.value, strict=True):
                if found is None:
                    result.append(None)
                    continue
                data, executable = bytes(found.data), found.executable
                result.append(Account(address, found.owner, found.lamports, data, slot, executable))
        return result

    async def program_accounts(
        self,
        program: Pubkey,
        discriminator: bytes,
        memcmp: Mapping[int, bytes] | None = None,
        first_bytes: int | None = None,
    ) -> list[Account]:
        """All accounts of one type; `memcmp` maps an offset into the data to the bytes wanted there. With `first_bytes`
        they come with so much of their data only.
        """
        part = None if first_bytes is None else DataSliceOpts(offset=0, length=first_bytes)
        wanted = {0: discriminator, **(memcmp or {})}
        filters: list[int | MemcmpOpts] = [MemcmpOpts(offset=o, bytes=_base58(b)) for o, b in wanted.items()]
        response = await self.call(
            lambda c: c.get_program_accounts(program, encoding="base64", data_slice=part, filters=filters)
        )
        return [
            Account(keyed.pubkey, keyed.account.owner, keyed.account.lamports, bytes(keyed.account.data), 0)
            for keyed in response.value
        ]

    async def chain_time(self, commitment: str = "processed") -> ChainTime:
        """The clock as programs see it."""
        sysvar = await self.account(CLOCK_SYSVAR, commitment)
        if sysvar is None:
            raise RpcRejected("the node has no Clock sysvar: is it a Solana node?")
        return ChainTime(*_clock(sysvar.data))

    async def statuses(self, signatures: Sequence[Signature], *, history: bool = False) -> Statuses:
        """Statuses in the order asked for, None where the node knows nothing; in requests of at most 256."""
        slots, result = [], []
        for start in range(0, len(signatures), MAX_STATUSES_PER_REQUEST):
            part = list(signatures[start : start + MAX_STATUSES_PER_REQUEST])
            response = await self.call(
                lambda c, part=part: c.get_signature_statuses(part, search_transaction_history=history)  # type: ignore[misc]
            )
            if len(response.value) != len(part):
                raise RpcUnavailable(f"asked for {len(part)} statuses, the node gave {len(response.value)}")
            slots.append(response.context.slot)
            result.extend(response.value)
        return Statuses(min(slots, default=0), result)

    async def balance(self, address: Pubkey) -> int:
        """Lamports."""
        return (await self.call(lambda c: c.get_balance(address))).value

    async def head(self, min_context_slot: int | None = None) -> Head:
        """The newest block of one node, which must have reached `min_context_slot`."""
        response = await self.call(lambda c: c.get_head(min_context_slot))
        return Head(response.value.absolute_slot, response.value.block_height)

    async def rent_exempt(self, size: int) -> int:
        """Lamports that keep an account of `size` bytes alive."""
        return (await self.call(lambda c: c.get_minimum_balance_for_rent_exemption(size))).value

    async def airdrop(self, address: Pubkey, lamports: int) -> None:
        """Ask a test cluster for lamports and wait until they are there."""
        before = await self.balance(address)
        await self.call(lambda c: c.request_airdrop(address, lamports))
        deadline = asyncio.get_running_loop().time() + self.timing.outcome_s
        while await self.balance(address) <= before:
            if asyncio.get_running_loop().time() > deadline:
                raise RpcUnavailable(f"airdrop to {address} did not arrive in {self.timing.outcome_s:.0f} s")
            await asyncio.sleep(self.timing.poll_s)

    async def transaction(self, signature: str) -> TransactionRecord | None:
        """A transaction with its logs, None when the node does not (yet) know it at this commitment."""
        wanted = Signature.from_string(signature)
        level = Commitment.FINALIZED if self.commitment is Commitment.FINALIZED else Commitment.CONFIRMED
        response = await self.call(
            lambda c: c.get_transaction(
                wanted, encoding="base64", commitment=level, max_supported_transaction_version=0
            )
        )
        found = response.value
        if found is None:
            return None
        return _record(signature, found.slot, found.block_time, found.transaction)

    async def signatures_page(
        self,
        address: Pubkey,
        *,
        before: str | None,
        until: str | None,
        limit: int = MAX_SIGNATURES_PER_PAGE,
        min_context_slot: int | None = None,
    ) -> list[SignatureInfo]:
        """Newest first, older than `before` and newer than `until`, from a node that has reached `min_context_slot`."""
        level = Commitment.FINALIZED if self.commitment is Commitment.FINALIZED else Commitment.CONFIRMED
        response = await self.call(
            lambda c: c.get_signatures_for_address(
                address,
                before=None if before is None else Signature.from_string(before),
                until=None if until is None else Signature.from_string(until),
                limit=limit,
                commitment=level,
                min_context_slot=min_context_slot,
            )
        )
        return [
            SignatureInfo(
                str(s.signature), s.slot, s.block_time, None if s.err is None else self.faults.transaction(s.err).cause
            )
            for s in response.value
        ]

    async def signatures_since(
        self,
        address: Pubkey,
        until: str | None = None,
        *,
        limit: int = MAX_SIGNATURES_PER_PAGE,
        min_context_slot: int | None = None,
        at_most: int | None = None,
    ) -> AsyncIterator[SignatureInfo]:
        """An address's history after the signature `until` (None: all), oldest first; the oldest `at_most` of it.

        The node pages newest first, so the pages are gone through down to `until` before the first item is yielded. How
        many items a page has says nothing: only an empty one ends the history. Pages behind the first are asked of
        nodes that have reached it. Raises RpcUnavailable when what was listed does not reach down to `until`.
        """
        collected: deque[SignatureInfo] = deque(maxlen=at_most)  # the newest give way
        at_least, before, reached = min_context_slot, None, until is None
        while page := await self.signatures_page(
            address, before=before, until=until, limit=limit, min_context_slot=at_least
        ):
            names = [info.signature for info in page]
            if collected and (page[0].slot > collected[-1].slot or names[-1] == before):
                raise RpcUnavailable(f"the node goes round in circles: asked for what is before {before}, it lists it")
            reached = until in names
            collected.extend(page[: names.index(until)] if until is not None and reached else page)
            if reached:
                break
            at_least, before = max(at_least or 0, page[0].slot), names[-1]
        if until is not None and before is not None and not reached:
            await self._joined(address, collected[-1], until, at_least)
        for info in reversed(collected):
            yield info

    async def _joined(self, address: Pubkey, oldest: SignatureInfo, until: str, at_least: int | None) -> None:
        """Raise RpcUnavailable unless `until` is what comes right before `oldest`."""
        earlier = await self.signatures_page(
            address, before=oldest.signature, until=None, limit=1, min_context_slot=at_least
        )
        if [info.signature for info in earlier] != [until]:
            raise RpcUnavailable(
                f"the node lists the history of {address} down to {oldest.signature} in slot {oldest.slot}, and not on "
                f"to {until}, which came before: ask a node whose history is longer"
            )


def clock_ms(sysvar: bytes) -> int:
    """Unix time in ms out of the data of the Clock sysvar."""
    return _clock(sysvar)[1]


def _clock(sysvar: bytes) -> tuple[int, int]:
    try:
        slot, _, _, _, unix_s = struct.unpack_from("<QqQQq", sysvar)
    except struct.error as error:
        raise DecodeError(f"{len(sysvar)} bytes are no Clock sysvar: is it a Solana node?") from error
    return slot, unix_s * 1000


def _base58(data: bytes) -> str:
    return str(Pubkey.from_bytes(data)) if len(data) == 32 else _encode58(data)


_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _encode58(data: bytes) -> str:
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + digits


def _record(
    signature: str, slot: int, block_time: int | None, wrapped: EncodedTransactionWithStatusMeta
) -> TransactionRecord:
    decoded = wrapped.transaction
    if not isinstance(decoded, VersionedTransaction):
        raise RpcRejected(f"transaction {signature}: the node did not return it as base64")
    message, meta = decoded.message, wrapped.meta
    keys = list(message.account_keys)
    programs = [keys[i.program_id_index] for i in message.instructions]
    error = None if meta is None or meta.err is None else Faults({}).transaction(meta.err).cause
    logs = list(meta.log_messages or []) if meta is not None else []
    return TransactionRecord(signature, slot, block_time, error, programs, logs)
