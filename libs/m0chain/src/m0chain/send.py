"""Sending a transaction so that it acts at most once per signed version, and is signed again only when that is safe."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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

from m0chain.errors import BlockhashExpired, RpcUnavailable, TransactionFailed, Unconfirmed
from m0chain.rpc import ChainClient

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


@dataclass(slots=True)
class _Signed:
    raw: bytes
    signature: Signature
    last_valid_height: int
    programs: list[Pubkey]


class Sender:
    """Sends through `client`; `resigns` is how often an expired transaction may be signed again."""

    def __init__(self, client: ChainClient, fees: Fees | None = None, *, resigns: int = 2) -> None:
        self.client = client
        self.fees = fees or Fees()
        self._resigns = resigns

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
        expiry, and after looking all earlier signatures up, is the transaction signed with a fresh blockhash.

        Raises TransactionFailed or ProgramError when it failed on chain or in preflight, BlockhashExpired when it
        expired too often, Unconfirmed when time ran out (it may still land), RpcUnavailable when nothing was submitted.
        """
        level = Commitment(commitment) if commitment else self.client.commitment
        deadline = asyncio.get_running_loop().time() + self.client.timing.outcome_s
        past: list[_Signed] = []
        for _ in range(self._resigns + 1):
            landed = await self._earlier(past, level, deadline)
            if landed is not None:
                return landed
            signed = await self._sign(instructions, signers, fees or self.fees)
            past.append(signed)
            landed = await self._submit_until_known(signed, past, level, deadline)
            if landed is not None:
                return landed
        landed = await self._earlier(past, level, deadline)
        if landed is not None:
            return landed
        names = ", ".join(str(s.signature) for s in past)
        raise BlockhashExpired(f"expired without landing {len(past)} times: {names}")

    async def _sign(self, instructions: Sequence[Instruction], signers: Sequence[AnySigner], fees: Fees) -> _Signed:
        latest = (await self.client.call(lambda c: c.get_latest_blockhash())).value
        full = [*fees.instructions(), *instructions]
        raw, signature = await sign(full, signers, latest.blockhash)
        return _Signed(raw, signature, latest.last_valid_block_height, [i.program_id for i in full])

    async def _submit_until_known(
        self, signed: _Signed, past: Sequence[_Signed], level: Commitment, deadline: float
    ) -> Landed | None:
        """Landed, or None when the blockhash expired before the transaction did."""
        loop, timing = asyncio.get_running_loop(), self.client.timing
        started, next_submit, preflight = loop.time(), 0.0, True
        while True:
            if loop.time() >= next_submit:
                preflight = await self._submit(signed, preflight) and preflight
                next_submit = loop.time() + timing.resubmit_s
            try:
                # The height before the status: what is not found after the last valid height was passed never lands.
                height = await self.client.block_height()
                status = (await self.client.statuses([signed.signature]))[0]
            except RpcUnavailable:
                height, status = 0, None
            if (landed := self._outcome(signed, status, level)) is not None:
                return landed
            if status is None and height > signed.last_valid_height:
                return None
            if loop.time() > deadline:
                raise Unconfirmed(tuple(str(s.signature) for s in past), timing.outcome_s)
            await asyncio.sleep(min(timing.poll_s, 0.05 + (loop.time() - started) / 4))

    async def _submit(self, signed: _Signed, preflight: bool) -> bool:
        """Submit once; True when the node has not taken it yet, so that the next try runs preflight again.

        A failed preflight of the *first* submission is the outcome. Later ones skip it, since the state they would be
        checked against may be the one after the transaction itself.
        """
        options = TxOpts(
            skip_preflight=not preflight,
            preflight_commitment=self.client.commitment,
            max_retries=0,
        )
        try:
            await self.client.once(lambda c: c.send_raw_transaction(signed.raw, options), signed.programs)
        except RpcUnavailable:
            return False  # it may have arrived: whatever preflight says from now on proves nothing
        except TransactionFailed as failure:
            if failure.cause == "BlockhashNotFound":
                return True  # this node has not seen the block yet, or it has expired: the caller's loop tells
            if failure.cause == "AlreadyProcessed":
                return False
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

    async def _earlier(self, past: Sequence[_Signed], level: Commitment, deadline: float) -> Landed | None:
        """The outcome of an earlier signed version that landed after all; waits until it reached `level`."""
        loop = asyncio.get_running_loop()
        while past:
            statuses = await self.client.statuses([s.signature for s in past], history=True)
            for signed, status in zip(past, statuses, strict=True):
                if (landed := self._outcome(signed, status, level)) is not None:
                    return landed
            if not any(status is not None for status in statuses):
                return None
            if loop.time() > deadline:
                raise Unconfirmed(tuple(str(s.signature) for s in past), self.client.timing.outcome_s)
            await asyncio.sleep(self.client.timing.poll_s)
        return None


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
