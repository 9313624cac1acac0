"""Deploying through the upgradeable loader: buffer, then deploy or upgrade; nothing when the code is there already."""

import asyncio
from collections.abc import Mapping

from m0chain import ChainClient, Sender, TransactionFailed, pda
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from m0deploy import loader_instructions as instructions
from m0deploy.buffers import BufferWriter
from m0deploy.changes import Changes
from m0deploy.errors import ANEW, DeployError
from m0deploy.loader_accounts import (
    BUFFER_HEADER_BYTES,
    PROGRAM_BYTES,
    PROGRAM_DATA_HEADER_BYTES,
    Buffer,
    Deployed,
    deployed,
)

HEADROOM = 2
"""A fresh program may grow to this multiple of its size before its account must be extended."""
MIN_GROWTH_BYTES = 10_240
"""What the loader extends a program by at least."""


class Loader:
    """Deploys as `authority`, who pays too."""

    def __init__(self, client: ChainClient, authority: Keypair, changes: Changes) -> None:
        self._client = client
        self._changes = changes
        self._sender = Sender(client)
        self._authority = authority
        self._buffers = BufferWriter(client, self._sender, authority)

    async def deploy(self, name: str, program: Keypair, code: bytes) -> None:
        """Make `program` run `code` (an ELF), unless it does already. Raises ChainError or DeployError."""
        await self.deploy_all({name: (program, code)})

    async def deploy_all(self, programs: Mapping[str, tuple[Keypair, bytes]]) -> None:
        """The same of several at a time; what is due is said in their order."""
        there = await asyncio.gather(*(deployed(self._client, key.pubkey()) for key, _ in programs.values()))
        named = zip(programs.items(), there, strict=True)
        await asyncio.gather(*(self.bring(name, key, code, found) for (name, (key, code)), found in named))

    async def bring(self, name: str, program: Keypair, code: bytes, found: Deployed | None) -> None:
        """The same of a program that was looked at."""
        if found is not None:
            await self.upgrade(name, program.pubkey(), code, found)
            return
        sentence = f"deploy program {name} as {program.pubkey()}, {len(code)} bytes"
        await self._changes.make(sentence, lambda: self._create(program, code))

    async def upgrade(self, name: str, program: Pubkey, code: bytes, found: Deployed) -> None:
        """The same of a program that is there."""
        if found.runs(code):
            return
        self.refuse_another(name, program, found)
        sentence = f"upgrade program {name}, {program}, to {len(code)} bytes"
        growth = len(code) - len(found.code)
        await self._changes.make(sentence, lambda: self._upgrade(program, code, growth))

    async def hand_over(self, name: str, program: Pubkey, found: Deployed, heir: Keypair) -> None:
        """Give `heir`, who signs as well, the right to upgrade a program. Raises ChainError or DeployError."""
        if found.authority == heir.pubkey():
            return
        self.refuse_another(name, program, found)
        sentence = f"let {heir.pubkey()} upgrade program {name}, {program}, and {found.authority} no more"
        instruction = instructions.hand_over(program, self._authority.pubkey(), heir.pubkey())
        await self._changes.make(sentence, lambda: self._sender.send([instruction], [self._authority, heir]))

    async def close(self, buffer: Buffer) -> None:
        """End a buffer of the authority's."""
        sentence = f"close buffer {buffer.address}, which gives back {sol(buffer.lamports)} SOL"
        instruction = instructions.close(buffer.address, self._authority.pubkey())
        await self._changes.make(sentence, lambda: self._sender.send([instruction], [self._authority]))

    async def lamports(self, code: bytes, found: Deployed | None) -> int:
        """What the authority must hold for a moment to deploy or upgrade to `code`, fees aside."""
        rent = self._client.rent_exempt
        if found is None:
            # the buffer's lamports are given back before the program's account is paid
            return await rent(PROGRAM_BYTES) + await rent(PROGRAM_DATA_HEADER_BYTES + HEADROOM * len(code))
        growth = max(len(code) - len(found.code), 0)
        room = await rent(PROGRAM_DATA_HEADER_BYTES + len(found.code) + max(growth, MIN_GROWTH_BYTES)) if growth else 0
        held = await rent(PROGRAM_DATA_HEADER_BYTES + len(found.code)) if growth else 0
        return await rent(BUFFER_HEADER_BYTES + len(code)) + room - held

    def refuse_another(self, name: str, program: Pubkey, found: Deployed) -> None:
        """Raise DeployError when somebody else upgrades the program, naming both."""
        if found.authority != self._authority.pubkey():
            raise DeployError(
                f"program {name}, {program}, can be upgraded by {found.authority or 'nobody'} alone, not by "
                f"{self._authority.pubkey()}: give the admin key that may, {ANEW}"
            )

    async def _create(self, program: Keypair, code: bytes) -> None:
        buffer = await self._buffers.hold(code)
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
        deploy = instructions.deploy(payer, address, buffer, len(code) * HEADROOM)
        await self._sender.send([create, deploy], [self._authority, program])
        await self._next_slot()

    async def _upgrade(self, program: Pubkey, code: bytes, growth: int) -> None:
        buffer = await self._buffers.hold(code)
        if growth > 0:
            await self._extend(program, max(growth, MIN_GROWTH_BYTES))
        upgrade = instructions.upgrade(self._authority.pubkey(), program, buffer)
        await self._sender.send([upgrade], [self._authority])
        await self._next_slot()

    async def _extend(self, program: Pubkey, growth: int) -> None:
        checked, unchecked = instructions.extend(self._authority.pubkey(), program, growth)
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


def sol(lamports: int) -> str:
    """Lamports as an amount of SOL."""
    return f"{lamports / 1_000_000_000:.9f}".rstrip("0").rstrip(".")
