"""A buffer that holds a program's code: written in parallel, compared with the file, or an older one gone on with."""

import asyncio

from m0chain import ChainClient, ChainError, Sender, pda
from m0chain.send import sign
from solana.rpc.models import TxOpts
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from m0deploy.errors import DeployError
from m0deploy.loader_accounts import BUFFER_HEADER_BYTES, Buffer, buffers
from m0deploy.loader_instructions import initialize_buffer, write

CHUNK_BYTES = 1000
"""Program bytes in one transaction: 1,232 bytes less signature, keys, blockhash and lengths."""
_IN_FLIGHT = 16
_ROUNDS = 20


def chunks_of(code: bytes) -> dict[int, bytes]:
    """The pieces that are written, by offset."""
    return {i: code[i : i + CHUNK_BYTES] for i in range(0, len(code), CHUNK_BYTES)}


def left_over(found: list[Buffer], code: bytes) -> tuple[Buffer, dict[int, bytes]] | None:
    """The buffer that an interrupted deployment of this very code left, and the pieces that it lacks; of several the
    one that lacks the fewest.
    """
    rest = []
    for buffer in found:
        missing = missing_in(buffer.code, chunks_of(code))
        if len(buffer.code) == len(code) and not any(any(buffer.code[o : o + len(p)]) for o, p in missing.items()):
            rest.append((buffer, missing))
    return min(rest, key=lambda each: len(each[1]), default=None)


def missing_in(written: bytes, chunks: dict[int, bytes]) -> dict[int, bytes]:
    """The pieces that are not there."""
    return {o: part for o, part in chunks.items() if written[o : o + len(part)] != part}


class BufferWriter:
    """Writes buffers as `authority`, who pays too."""

    def __init__(self, client: ChainClient, sender: Sender, authority: Keypair) -> None:
        self._client, self._sender, self._authority = client, sender, authority

    async def hold(self, code: bytes) -> Pubkey:
        """A buffer that holds `code`. Raises ChainError, DeployError."""
        try:
            left = left_over(await buffers(self._client, self._authority.pubkey()), code)
        except ChainError:  # a node that lists no accounts: what it has is not known, and another one is made
            left = None
        address, chunks = (left[0].address, left[1]) if left else (await self._begin(len(code)), chunks_of(code))
        for _ in range(_ROUNDS):
            if not chunks:
                return address
            blockhash = (await self._client.call(lambda c: c.get_latest_blockhash())).value.blockhash
            await self._write(address, chunks, blockhash)
            chunks = await self._missing(address, chunks)
        raise DeployError(f"{len(chunks)} pieces of a program could not be written: is the chain making progress?")

    async def _begin(self, length: int) -> Pubkey:
        """A buffer with room for so many bytes."""
        buffer, payer = Keypair(), self._authority.pubkey()
        size = BUFFER_HEADER_BYTES + length
        create = create_account(
            CreateAccountParams(
                from_pubkey=payer,
                to_pubkey=buffer.pubkey(),
                lamports=await self._client.rent_exempt(size),
                space=size,
                owner=pda.UPGRADEABLE_LOADER,
            )
        )
        initialize = initialize_buffer(buffer.pubkey(), payer)
        await self._sender.send([create, initialize], [self._authority, buffer])
        return buffer.pubkey()

    async def _write(self, buffer: Pubkey, chunks: dict[int, bytes], blockhash: Hash) -> None:
        limit = asyncio.Semaphore(_IN_FLIGHT)
        options = TxOpts(skip_preflight=True)

        async def one(offset: int, part: bytes) -> None:
            instruction = write(buffer, self._authority.pubkey(), offset, part)
            raw, _ = await sign([instruction], [self._authority], blockhash)
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
            left = missing_in(b"" if account is None else account.data[BUFFER_HEADER_BYTES:], chunks)
            patience = patience - 1 if len(left) == len(chunks) else 10
            chunks = left
            if chunks:
                await asyncio.sleep(self._client.timing.poll_s)
        return chunks
