"""Sending a transaction so that it acts at most once per signed version, and is signed again only when that is safe."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from m0common.errors import InvalidValue
from solana.rpc.commitment import Commitment
from solana.rpc.models import TxOpts
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus, TransactionStatus

from m0chain.errors import BlockhashExpired, RpcRejected, RpcUnavailable, TransactionFailed, Unconfirmed
from m0chain.looks import Look, Looks
from m0chain.rpc import ChainClient, Head

_log = structlog.get_logger(__name__)

_ORDER = [
    TransactionConfirmationStatus.Processed,
    TransactionConfirmationStatus.Confirmed,
    TransactionConfirmationStatus.Finalized,
]
_WANTED = {Commitment.PROCESSED: 0, Commitment.CONFIRMED: 1, Commitment.FINALIZED: 2}


class RemoteSigner(Protocol):
    """A key that signs without being shown, such as one in an HSM."""

    @property
    def public_key(self) -> Pubkey: ...

    async def sign(self, message: bytes) -> bytes:
        """64 bytes of ed25519 signature over `message`."""
        ...


AnySigner = Keypair | RemoteSigner


@dataclass(frozen=True, slots=True)
class Fees:
    """Compute budget: units asked for (None: the runtime's default) and price per unit (0: no priority fee)."""

    compute_units: int | None = None
    micro_lamports_per_unit: int = 0

    def instructions(self) -> list[Instruction]:
        """The compute budget instructions to put in front."""
        budget = [] if self.compute_units is None else [set_compute_unit_limit(self.compute_units)]
        price = [set_compute_unit_price(self.micro_lamports_per_unit)] if self.micro_lamports_per_unit else []
        return budget + price


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction that succeeded."""

    signature: str
    slot: int


VALID_BLOCKS = 150
"""A blockhash is good for so many blocks (agave, MAX_PROCESSING_AGE)."""
HEIGHT_SLACK = 32
"""A height may be so many blocks ahead of what is possible: the blockhash may have been that old when it was given."""


@dataclass(slots=True)
class _Signed:
    """One signed version. `slot`: of the node that gave the blockhash; `expired_slot`: where a node was that had passed
    the last valid height, so that a node which has reached it and does not know the signature never will.
    """

    raw: bytes
    signature: Signature
    last_valid_height: int
    slot: int
    signed_s: float
    programs: list[Pubkey]
    expired_slot: int | None = None

    def may_have_expired(self, now_s: float, fastest_slot_s: float) -> bool:
        """Whether enough time has passed for the blocks that a blockhash is good for."""
        return now_s - self.signed_s >= (VALID_BLOCKS - HEIGHT_SLACK) * fastest_slot_s

    def note(self, head: Head, now_s: float, fastest_slot_s: float) -> None:
        """Take a height in, unless it has grown by more blocks than there were slots, or than time allows."""
        grown = head.height - (self.last_valid_height - VALID_BLOCKS)
        slots = min(head.slot - self.slot, (now_s - self.signed_s) / fastest_slot_s)
        if grown > slots + HEIGHT_SLACK:
            _log.warning("height_disbelieved", height=head.height, slot=head.slot, since_slot=self.slot)
        elif head.height > self.last_valid_height:
            self.expired_slot = min(head.slot, self.expired_slot or head.slot)

    def never_lands(self, look: Look) -> bool:
        """Whether a look that found nothing says so for ever: its node was past the expiry itself."""
        return look.status is None and self.expired_slot is not None and look.slot >= self.expired_slot


class Sender:
    """Sends transactions through a client; one for all that a process sends, so that their outcomes are asked together.

    `resigns` is how often an expired one is signed again.
    """

    def __init__(self, client: ChainClient, fees: Fees | None = None, *, resigns: int = 2) -> None:
        self.client = client
        self.fees = fees or Fees()
        self._resigns = resigns
        self._looks = Looks(client)

    async def send(
        self,
        instructions: Sequence[Instruction],
        signers: Sequence[AnySigner],
        *,
        commitment: str | None = None,
        fees: Fees | None = None,
    ) -> Landed:
        """Send and wait until `commitment` (default: the client's); the first signer pays.

        The same signed bytes are submitted again and again until they land or their blockhash expires. Only after the
        expiry is the transaction signed with a fresh blockhash: when a node that has itself passed the last valid
        height knows nothing of the signature, for two answers of a pool may come from two nodes.

        Raises TransactionFailed or ProgramError when it failed on chain or in preflight, RpcRejected when the node
        refuses it, BlockhashExpired when it expired too often, Unconfirmed when time ran out before it was known to
        have expired or landed (it may still land), RpcUnavailable when there was no blockhash to sign with.
        """
        level = Commitment(commitment) if commitment else self.client.commitment
        deadline = asyncio.get_running_loop().time() + self.client.timing.outcome_s
        past: list[_Signed] = []
        for _ in range(self._resigns + 1):
            signed = await self._sign(instructions, signers, fees or self.fees)
            past.append(signed)
            try:
                async with asyncio.timeout_at(deadline):
                    landed = await self._submit_until_known(signed, level)
            except TimeoutError as error:
                sent = tuple(str(each.signature) for each in past)
                raise Unconfirmed(sent, self.client.timing.outcome_s) from error
            if landed is not None:
                return landed
        names = ", ".join(str(each.signature) for each in past)
        raise BlockhashExpired(f"expired without landing {len(past)} times: {names}")

    async def _sign(self, instructions: Sequence[Instruction], signers: Sequence[AnySigner], fees: Fees) -> _Signed:
        now_s = asyncio.get_running_loop().time()
        answer = await self.client.call(lambda c: c.get_latest_blockhash())
        full, latest = [*fees.instructions(), *instructions], answer.value
        raw, signature = await sign(full, signers, latest.blockhash)
        programs = [i.program_id for i in full]
        return _Signed(raw, signature, latest.last_valid_block_height, answer.context.slot, now_s, programs)

    async def _submit_until_known(self, signed: _Signed, level: Commitment) -> Landed | None:
        """Landed, or None when the blockhash expired before the transaction did."""
        loop, timing = asyncio.get_running_loop(), self.client.timing
        next_submit, first = 0.0, True
        while True:
            if loop.time() >= next_submit:
                first = await self._submit(signed, first) and first
                next_submit = loop.time() + timing.resubmit_s
            late = signed.may_have_expired(loop.time(), timing.fastest_slot_s)
            look = await self._looks.look(signed.signature, head_from=signed.slot if late else None)
            if look is None:
                continue
            if look.head is not None:
                signed.note(look.head, loop.time(), timing.fastest_slot_s)
            if (landed := self._outcome(signed, look.status, level)) is not None:
                return landed
            if signed.never_lands(look):
                return None

    async def _submit(self, signed: _Signed, first: bool) -> bool:
        """Submit once; True when no node has taken it yet, so that the next try is the first again.

        What a node says to the *first* submission is the outcome. Later ones skip preflight, since the state they would
        be checked against may be the one after the transaction itself, and what they are told proves nothing.
        """
        options = TxOpts(
            skip_preflight=not first,
            preflight_commitment=self.client.commitment,
            max_retries=0,
        )
        try:
            await self.client.once(lambda c: c.send_raw_transaction(signed.raw, options), signed.programs)
        except RpcUnavailable:
            return False  # it may have arrived: whatever preflight says from now on proves nothing
        except RpcRejected as refusal:
            if first:
                raise
            _log.warning("submission_refused", signature=str(signed.signature), error=str(refusal))
        except TransactionFailed as failure:
            if failure.cause == "BlockhashNotFound":
                return True  # this node has not seen the block yet, or it has expired: the caller's loop tells
            if first and failure.cause != "AlreadyProcessed":
                raise
        return False

    def _outcome(self, signed: _Signed, status: TransactionStatus | None, level: Commitment) -> Landed | None:
        if status is None:
            return None
        reached = status.confirmation_status
        if reached is not None and _ORDER.index(reached) < _WANTED[level]:
            return None
        if status.err is not None:
            raise self.client.faults.transaction(status.err, signed.programs)
        return Landed(str(signed.signature), status.slot)


async def sign(
    instructions: Sequence[Instruction], signers: Sequence[AnySigner], blockhash: Hash
) -> tuple[bytes, Signature]:
    """Signed wire bytes and the signature that names them; the first signer pays, a key given twice signs once."""
    by_key = {s.pubkey() if isinstance(s, Keypair) else s.public_key: s for s in signers}
    message = MessageV0.try_compile(next(iter(by_key)), list(instructions), [], blockhash)
    body = to_bytes_versioned(message)
    signatures = []
    for key in message.account_keys[: message.header.num_required_signatures]:
        signer = by_key.get(key)
        if signer is None:
            raise InvalidValue(f"the transaction needs the signature of {key}: it is not among the signers given")
        if isinstance(signer, Keypair):
            signatures.append(signer.sign_message(body))
        else:
            signatures.append(Signature.from_bytes(await signer.sign(body)))
    return bytes(VersionedTransaction.populate(message, signatures)), signatures[0]
