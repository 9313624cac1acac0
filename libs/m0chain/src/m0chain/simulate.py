"""What a transaction would do, without a key and without doing it."""

from collections.abc import Sequence

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from m0chain.rpc import ChainClient


async def simulate(client: ChainClient, instructions: Sequence[Instruction], payer: Pubkey) -> None:
    """Let the node run `instructions` on its newest state, paid by `payer`; nobody signs and nothing is kept.

    Returns when they would succeed. Raises TransactionFailed or ProgramError as sending them would, RpcRejected,
    RpcUnavailable.
    """
    message = MessageV0.try_compile(payer, list(instructions), [], Hash.default())
    unsigned = [Signature.default()] * message.header.num_required_signatures
    transaction = VersionedTransaction.populate(message, unsigned)
    answer = await client.call(
        lambda c: c.simulate_transaction(transaction, sig_verify=False, replace_recent_blockhash=True)
    )
    if answer.value.err is not None:
        programs = [instruction.program_id for instruction in instructions]
        raise client.faults.transaction(answer.value.err, programs, answer.value.logs)
