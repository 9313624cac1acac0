"""Odd transactions, a few thousand of them with a fixed seed: none stops the node, moves lamports unseen or is lost."""

import base64
import random
from dataclasses import dataclass, field

import pytest
from m0localnet import fixtures
from m0localnet.records import decode_tx
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

SYSTEM = Pubkey.default()
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
RECENT = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
INSTRUCTIONS = Pubkey.from_string("Sysvar1nstructions1111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
OTHERS = [
    TOKEN,
    *(
        Pubkey.from_string(text)
        for text in (
            "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
            "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
            "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
            "AddressLookupTab1e1111111111111111111111111",
            "Ed25519SigVerify111111111111111111111111111",
            "KeccakSecp256k11111111111111111111111111111",
            "Secp256r1SigVerify1111111111111111111111111",
            "Stake11111111111111111111111111111111111111",
            "Vote111111111111111111111111111111111111111",
            "Config1111111111111111111111111111111111111",
            "BPFLoader2111111111111111111111111111111111",
            "BPFLoader1111111111111111111111111111111111",
            "LoaderV411111111111111111111111111111111111",
            "NativeLoader1111111111111111111111111111111",
            "ZkE1Gama1Proof11111111111111111111111111111",
        )
    ),
]


@dataclass
class World:
    """A node, who acts on it, and what has to hold of it."""

    hand: object
    rng: random.Random
    people: list[Pubkey]
    nonce: Pubkey
    program: Pubkey
    data: Pubkey
    made: list[Pubkey] = field(default_factory=list)
    secrets: dict[Pubkey, Keypair] = field(default_factory=dict)
    expected: int = 0
    known: set[Pubkey] = field(default_factory=set)
    fees: int = 0

    def keys(self) -> list[Pubkey]:
        """Keys that instructions may name."""
        return [
            *self.people,
            *self.made[-4:],
            self.nonce,
            self.program,
            self.data,
            RECENT,
            RENT,
            CLOCK,
            INSTRUCTIONS,
            SYSTEM,
            *OTHERS[:4],
        ]

    def meta(self, key: Pubkey | None = None, *, signer: bool | None = None) -> AccountMeta:
        rng = self.rng
        key = key or (rng.choice(self.keys()) if rng.random() < 0.95 else Pubkey(rng.randbytes(32)))
        signer = key in self.secrets and rng.random() < 0.6 if signer is None else signer
        return AccountMeta(key, signer, rng.random() < 0.6)

    def metas(self, most: int = 6) -> list[AccountMeta]:
        return [self.meta() for _ in range(self.rng.randrange(most + 1))]

    # ---- kinds of instructions

    def transfer(self) -> Instruction:
        rng = self.rng
        amount = rng.choice((0, 1, 5_000, 890_880, 10**7, 10**9, 2**63, 2**64 - 1))
        source, target = rng.choice(self.people), rng.choice(self.keys())
        metas = [AccountMeta(source, True, True), AccountMeta(target, False, rng.random() < 0.9)]
        return Instruction(SYSTEM, b"\2\0\0\0" + amount.to_bytes(8, "little"), metas)

    def system(self) -> Instruction:
        rng = self.rng
        body = rng.randbytes(rng.choice((0, 4, 8, 16, 48, 60)))
        if rng.random() < 0.3:
            # create an account of a size and an owner that there may be
            new = Keypair.from_seed(rng.randbytes(32))
            self.made.append(new.pubkey())
            self.secrets[new.pubkey()] = new
            owner = rng.choice([SYSTEM, LOADER, TOKEN, *OTHERS])
            space = rng.choice((0, 36, 80, 82, 165, 200, 5_000))
            lamports = (128 + space) * 6_960 + rng.choice((0, 10**6))
            body = lamports.to_bytes(8, "little") + space.to_bytes(8, "little") + bytes(owner)
            metas = [AccountMeta(rng.choice(self.people), True, True), AccountMeta(new.pubkey(), True, True)]
            return Instruction(SYSTEM, bytes(4) + body, metas)
        return Instruction(SYSTEM, rng.randrange(14).to_bytes(4, "little") + body, self.metas())

    def advance(self) -> Instruction:
        rng = self.rng
        right = [
            AccountMeta(self.nonce, False, rng.random() < 0.9),
            AccountMeta(RECENT, False, False),
            AccountMeta(rng.choice(self.people[:2]), True, False),
        ]
        metas = right if rng.random() < 0.5 else right[: rng.randrange(3)] + self.metas(2)
        return Instruction(SYSTEM, b"\4\0\0\0" + (b"" if rng.random() < 0.9 else b"x"), metas)

    def budget(self) -> Instruction:
        rng = self.rng
        tag = rng.choice((0, 1, 2, 3, 4, 5, 255))
        body = rng.choice(
            (b"", bytes(3), bytes(4), (400_000).to_bytes(4, "little"), rng.randbytes(4), rng.randbytes(9))
        )
        return Instruction(BUDGET, bytes([tag]) + body if rng.random() < 0.95 else b"", self.metas(1))

    def loader(self) -> Instruction:
        rng = self.rng
        payer = AccountMeta(rng.choice(self.people), True, True)
        if rng.random() < 0.3:
            size = rng.choice((0, 1, 10_240, 10_241, 2**32 - 1))
            metas = [self.meta(self.data), self.meta(self.program), AccountMeta(SYSTEM, False, False), payer]
            return Instruction(LOADER, b"\6\0\0\0" + size.to_bytes(4, "little"), metas)
        if rng.random() < 0.2:
            metas = [AccountMeta(self.data, False, True), payer, AccountMeta(self.people[0], True, False)]
            return Instruction(LOADER, rng.choice((4, 7)).to_bytes(4, "little"), metas)
        tag = rng.randrange(11).to_bytes(4, "little")
        return Instruction(LOADER, tag + rng.randbytes(rng.choice((0, 4, 8, 12, 40))), self.metas(8))

    def call(self) -> Instruction:
        return Instruction(self.program, self.rng.choice((b"hello", b"", b"\xff\xfe")), self.metas(2))

    def other(self) -> Instruction:
        rng = self.rng
        program = rng.choice([*OTHERS, *self.keys(), Pubkey(rng.randbytes(32))])
        body = rng.choice((b"", bytes([rng.randrange(30)]) + rng.randbytes(rng.choice((0, 1, 9, 33, 66)))))
        return Instruction(program, body, self.metas(5))

    # ---- transactions

    def transaction(self) -> VersionedTransaction | None:
        """Return a signed transaction, None when its message cannot even be written down."""
        rng = self.rng
        kinds = (
            self.transfer,
            self.transfer,
            self.system,
            self.advance,
            self.budget,
            self.loader,
            self.call,
            self.other,
        )
        instructions = [rng.choice(kinds)() for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5)))]
        if rng.random() < 0.2:
            instructions.insert(0, self.advance())
        payer = rng.choice(self.people)
        blockhash = self.hand.blockhash()
        if rng.random() < 0.3:
            account = self.hand.bank.vm.get(self.nonce)
            blockhash = Hash(account.data[40:72]) if account and len(account.data) == 80 else blockhash
        elif rng.random() < 0.03:
            blockhash = Hash(rng.randbytes(32))
        try:
            if rng.random() < 0.2:
                tables = [AddressLookupTableAccount(Pubkey(rng.randbytes(32)), [RENT, CLOCK, self.nonce])]
                message = MessageV0.try_compile(payer, instructions, tables if rng.random() < 0.3 else [], blockhash)
            else:
                message = Message.new_with_blockhash(instructions, payer, blockhash)
                if rng.random() < 0.25:
                    raw = bytearray(bytes(message))
                    for _ in range(rng.randrange(1, 4)):
                        raw[rng.randrange(len(raw))] = rng.randrange(256)
                    message = Message.from_bytes(bytes(raw))
        except BaseException as error:  # a mangled message panics in the client's own library
            if isinstance(error, KeyboardInterrupt):
                raise
            return None
        return self.signed(message)

    def signed(self, message: Message | MessageV0) -> VersionedTransaction:
        raw = bytes(message) if isinstance(message, Message) else b"\x80" + bytes(message)
        required = message.account_keys[: message.header.num_required_signatures]
        owners = [self.secrets.get(key) for key in required]
        signatures = [owner.sign_message(raw) if owner else Signature.default() for owner in owners]
        return VersionedTransaction.populate(message, signatures)

    # ---- what has to hold

    def meet(self, keys: list[Pubkey]) -> None:
        """Count the lamports of accounts that turn up for the first time."""
        for key in keys:
            if key not in self.known:
                self.known.add(key)
                self.expected += self.hand.bank.vm.balance(key)

    def state(self, keys: list[Pubkey]) -> list[Account | None]:
        return [self.hand.bank.vm.get(key) for key in keys]

    def balanced(self) -> None:
        held = sum(self.hand.bank.vm.balance(key) for key in self.known)
        assert held + self.fees == self.expected, "lamports appeared or vanished"


@pytest.fixture
def world(hands, memo_so):
    rng = random.Random(20_261_129)
    secrets = {key.pubkey(): key for key in (Keypair.from_seed(rng.randbytes(32)) for _ in range(5))}
    people = list(secrets)
    program = Keypair.from_seed(rng.randbytes(32)).pubkey()
    begin = fixtures.Fixtures()
    begin.add_program(str(program), memo_so, str(people[0]))
    nonce = Keypair.from_seed(rng.randbytes(32)).pubkey()
    # version and state, authority, a value that nobody has yet, lamports per signature
    held = b"\1\0\0\0\1\0\0\0" + bytes(people[0]) + bytes([9]) * 32 + (5_000).to_bytes(8, "little")
    begin.accounts[nonce] = Account(10**9, held, SYSTEM)
    begin.accounts |= {key: Account(10**13, b"", SYSTEM) for key in people}
    hand = hands(fixtures=begin)
    hand.slots(2)
    data = Pubkey.find_program_address([bytes(program)], LOADER)[0]
    world = World(hand, rng, people, nonce, program, data, secrets=secrets)
    world.meet([*people, nonce, program, data, hand.node.faucet.pubkey()])
    return world


@pytest.mark.timeout(400)
def test_thousands_of_odd_transactions_are_recorded_or_change_nothing(world, hands, capfd):
    hand, rng, bank = world.hand, world.rng, world.hand.bank
    counted: set[bytes] = set()
    kept: list[bytes] = []
    landed = failed = dropped = 0

    def count() -> None:
        """Take what has landed in the running slot into the books."""
        for each in bank.running.landed:
            if each.record.signature in counted:
                continue
            record = each.record
            counted.add(record.signature)
            kept.append(record.signature)
            assert decode_tx(each.stored) == record
            assert sum(record.pre_balances) - sum(record.post_balances) == record.fee, record
            world.fees += record.fee

    for turn in range(4_000):
        tx = world.transaction()
        if tx is None:
            continue
        keys = list(tx.message.account_keys)
        world.meet(keys)
        before = world.state(keys)
        how = rng.random()
        text = base64.b64encode(bytes(tx)).decode()
        if how < 0.2:
            reply = hand.call("simulateTransaction", text, {"encoding": "base64", "commitment": "processed"})
            assert reply.get("error", {}).get("code") in (None, -32602), reply
            assert world.state(keys) == before, "a simulation changed something"
            continue
        if how < 0.4:
            skip = rng.random() < 0.5
            reply = hand.send(tx, skipPreflight=skip)
            assert reply.get("error", {}).get("code") in (None, -32602, -32002), reply
        else:
            bank.process(tx)
        known = bool(tx.signatures) and bytes(tx.signatures[0]) in bank.statuses
        if not known:
            dropped += 1
            assert world.state(keys) == before, "a transaction without a record changed something"
        else:
            status = bank.statuses.get(bytes(tx.signatures[0]))
            landed, failed = landed + (status.err is None), failed + (status.err is not None)
        count()
        if rng.random() < 0.15:
            hand.slots(1)
            count()
        if turn % 250 == 0:
            world.balanced()
    hand.slots(3)
    world.balanced()
    assert hand.result("getHealth") == "ok"
    assert min(landed, failed, dropped) > 150, (landed, failed, dropped)
    assert all(hand.node.store.transaction(signature) is not None for signature in kept)
    assert bank.transaction_count == len(kept)
    held = {key: bank.vm.get(key) for key in world.known if key != CLOCK}
    hand.close()
    again = hands(hand.ledger)
    assert {key: again.bank.vm.get(key) for key in held} == held, "a restart changed something"
    assert "fault of this node" not in "".join(capfd.readouterr())
