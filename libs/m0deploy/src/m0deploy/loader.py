"""Deploying through the upgradeable loader: buffer, then deploy or upgrade; nothing when the code is there already.

Instruction layouts: `solana-loader-v3-interface` (bincode: `u32` tag, `u64` lengths).
"""

import asyncio
import struct
from dataclasses import dataclass

from m0chain import ChainClient, ChainError, Sender, TransactionFailed, pda
from m0chain.send import sign
from solana.rpc.models import TxOpts
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import CreateAccountParams, create_account
from solders.sysvar import CLOCK, RENT

from m0deploy.changes import Changes
from m0deploy.errors import ANEW, DeployError

PROGRAM_BYTES = 36
BUFFER_HEADER_BYTES = 37
PROGRAM_DATA_HEADER_BYTES = 45
CHUNK_BYTES = 1000
"""Program bytes in one transaction: 1,232 bytes less signature, keys, blockhash and lengths."""
HEADROOM = 2
"""A fresh program may grow to this multiple of its size before its account must be extended."""
MIN_GROWTH_BYTES = 10_240
"""What the loader extends a program by at least."""
_IN_FLIGHT = 16
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class _Deployed:
    code: bytes
    authority: Pubkey | None


class Loader:
    """Deploys as `authority`, who pays too."""

    def __init__(self, client: ChainClient, authority: Keypair, changes: Changes) -> None:
        self._client = client
        self._changes = changes
        self._sender = Sender(client)
        self._authority = authority

    async def deploy(self, name: str, program: Keypair, code: bytes) -> None:
        """Make `program` run `code` (an ELF), unless it does already. Raises ChainError or DeployError."""
        deployed = await self._deployed(program.pubkey())
        if deployed is None:
            sentence = f"deploy program {name} as {program.pubkey()}, {len(code)} bytes"
            await self._changes.make(sentence, lambda: self._create(program, code))
            return
        if deployed.code[: len(code)] == code and not any(deployed.code[len(code) :]):
            return
        if deployed.authority != self._authority.pubkey():
            raise DeployError(
                f"program {program.pubkey()} can be upgraded by {deployed.authority or 'nobody'} alone, not by the "
                f"admin of the keys directory: restore it, {ANEW}"
            )
        sentence = f"upgrade program {name}, {program.pubkey()}, to {len(code)} bytes"
        growth = len(code) - len(deployed.code)
        await self._changes.make(sentence, lambda: self._upgrade(program.pubkey(), code, growth))

    async def _deployed(self, program: Pubkey) -> _Deployed | None:
        account, data = await self._client.accounts([program, pda.program_data(program)])
        if account is None:
            return None
        if account.owner != pda.UPGRADEABLE_LOADER or data is None:
            raise DeployError(f"account {program} is no upgradeable program: name another key for it, {ANEW}")
        authority = Pubkey.from_bytes(data.data[13:45]) if data.data[12] else None
        return _Deployed(data.data[PROGRAM_DATA_HEADER_BYTES:], authority)

    async def _buffer(self, code: bytes) -> Keypair:
        """A buffer account that holds `code`, written in parallel and compared with the file."""
        buffer, payer = Keypair(), self._authority.pubkey()
        size = BUFFER_HEADER_BYTES + len(code)
        lamports = await self._client.rent_exempt(size)
        create = create_account(
            CreateAccountParams(
                from_pubkey=payer,
                to_pubkey=buffer.pubkey(),
                lamports=lamports,
                space=size,
                owner=pda.UPGRADEABLE_LOADER,
            )
        )
        initialize = _loader(struct.pack("<I", 0), _w(buffer.pubkey()), _r(payer))
        await self._sender.send([create, initialize], [self._authority, buffer])
        chunks = {i: code[i : i + CHUNK_BYTES] for i in range(0, len(code), CHUNK_BYTES)}
        for _ in range(_ROUNDS):
            blockhash = (await self._client.call(lambda c: c.get_latest_blockhash())).value.blockhash
            await self._write(buffer.pubkey(), chunks, blockhash)
            chunks = await self._missing(buffer.pubkey(), chunks)
            if not chunks:
                return buffer
        raise DeployError(f"{len(chunks)} pieces of a program could not be written: is the chain making progress?")

    async def _write(self, buffer: Pubkey, chunks: dict[int, bytes], blockhash: Hash) -> None:
        limit = asyncio.Semaphore(_IN_FLIGHT)
        options = TxOpts(skip_preflight=True)

        async def one(offset: int, part: bytes) -> None:
            data = struct.pack("<IIQ", 1, offset, len(part)) + part
            write = _loader(data, _w(buffer), _s(self._authority.pubkey()))
            raw, _ = await sign([write], [self._authority], blockhash)
            async with limit:
                try:
                    await self._client.once(lambda c: c.send_raw_transaction(raw, options))
                except ChainError:
                    return  # the buffer is compared with the file afterwards

        async with asyncio.TaskGroup() as group:
            for offset, part in chunks.items():
                group.create_task(one(offset, part))

    async def _missing(self, buffer: Pubkey, chunks: dict[int, bytes]) -> dict[int, bytes]:
        """The chunks that have not arrived after a while; polls as long as more arrive."""
        patience = 10
        while chunks and patience:
            account = await self._client.account(buffer)
            written = b"" if account is None else account.data[BUFFER_HEADER_BYTES:]
            left = {o: part for o, part in chunks.items() if written[o : o + len(part)] != part}
            patience = patience - 1 if len(left) == len(chunks) else 10
            chunks = left
            if chunks:
                await asyncio.sleep(self._client.timing.poll_s)
        return chunks

    async def _create(self, program: Keypair, code: bytes) -> None:
        buffer = await self._buffer(code)
        payer, address = self._authority.pubkey(), program.pubkey()
        create = create_account(
            CreateAccountParams(
                from_pubkey=payer,
                to_pubkey=address,
                lamports=await self._client.rent_exempt(PROGRAM_BYTES),
                space=PROGRAM_BYTES,
                owner=pda.UPGRADEABLE_LOADER,
            )
        )
        deploy = _loader(
            struct.pack("<IQ", 2, len(code) * HEADROOM),
            AccountMeta(payer, is_signer=True, is_writable=True),
            _w(pda.program_data(address)),
            _w(address),
            _w(buffer.pubkey()),
            _r(RENT),
            _r(CLOCK),
            _r(SYSTEM_PROGRAM),
            _s(payer),
        )
        await self._sender.send([create, deploy], [self._authority, program])
        await self._next_slot()

    async def _upgrade(self, program: Pubkey, code: bytes, growth: int) -> None:
        buffer = await self._buffer(code)
        payer, data = self._authority.pubkey(), pda.program_data(program)
        if growth > 0:
            await self._extend(program, max(growth, MIN_GROWTH_BYTES))
        upgrade = _loader(
            struct.pack("<I", 3), _w(data), _w(program), _w(buffer.pubkey()), _w(payer), _r(RENT), _r(CLOCK), _s(payer)
        )
        await self._sender.send([upgrade], [self._authority])
        await self._next_slot()

    async def _extend(self, program: Pubkey, growth: int) -> None:
        """Make room: `ExtendProgramChecked`, or the `ExtendProgram` before it where a cluster has only that."""
        payer, data = self._authority.pubkey(), pda.program_data(program)
        pays, room = AccountMeta(payer, is_signer=True, is_writable=True), (_w(data), _w(program))
        checked = _loader(struct.pack("<II", 9, growth), *room, _s(payer), _r(SYSTEM_PROGRAM), pays)
        unchecked = _loader(struct.pack("<II", 6, growth), *room, _r(SYSTEM_PROGRAM), pays)
        try:
            await self._sender.send([checked], [self._authority])
        except TransactionFailed:
            await self._sender.send([unchecked], [self._authority])
        await self._next_slot()

    async def _next_slot(self) -> None:
        """A program is callable from the slot after its deployment, and can be deployed once a slot."""
        now = (await self._client.chain_time("confirmed")).slot
        while (await self._client.chain_time("confirmed")).slot <= now:  # noqa: ASYNC110 - the node is asked
            await asyncio.sleep(self._client.timing.poll_s / 2)


def _loader(data: bytes, *accounts: AccountMeta) -> Instruction:
    return Instruction(pda.UPGRADEABLE_LOADER, data, list(accounts))


def _w(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)


def _r(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)


def _s(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=True, is_writable=False)
