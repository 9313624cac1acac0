"""Who may initialize, hand over, and pause."""

import pytest
from m0svm.cases import case
from m0svm.chain import LOADER
from m0svm.oracle import FIRST_EPOCH, Oracle, built, bundle
from m0svm.registry import Registry
from solders.account import Account
from solders.pubkey import Pubkey

INITIALIZE = [("m0_oracle", "initialize"), ("m0_registry", "initialize_root")]
ZERO = Pubkey.default()


@pytest.mark.parametrize(("program", "name"), INITIALIZE)
def test_only_the_upgrade_authority_initializes(program, name):
    world, call = case(program, name)
    call.with_accounts(admin=world.chain.funded()).fails("NotUpgradeAuthority")
    call.ok()
    call.fails("AlreadyInitialized")


@pytest.mark.parametrize(("program", "name"), INITIALIZE)
def test_an_immutable_program_is_initialized_by_nobody(program, name):
    world, call = case(program, name)
    where = call.accounts["program_data"]
    before = world.chain.svm.get_account(where)
    data = bytearray(before.data)
    assert data[12] == 1  # Some(authority)
    data[12] = 0
    world.chain.svm.set_account(where, Account(before.lamports, bytes(data), LOADER))
    call.fails("WrongProgramData")


@pytest.mark.parametrize(("program", "name"), INITIALIZE)
def test_another_programs_data_is_refused_as_program_data(program, name):
    world, call = case(program, name)
    where = call.accounts["program_data"]
    original = world.chain.svm.get_account(where)
    forged = bytes(original.data)
    elsewhere = Pubkey.new_unique()
    world.chain.svm.set_account(elsewhere, original)
    call.with_accounts(program_data=elsewhere).fails("WrongProgramData")
    call.with_accounts(program_data=world.program).fails("WrongProgramData")
    for owner, data in ((Pubkey.new_unique(), forged), (LOADER, forged[:44]), (LOADER, b"\2" + forged[1:])):
        world.chain.svm.set_account(where, Account(original.lamports, data, owner))
        call.fails("WrongProgramData")


def test_a_program_deployed_without_the_upgradeable_loader_cannot_be_initialized():
    oracle = Oracle()
    oracle.program = oracle.chain.deploy(built("m0_oracle"), oracle.idl, None)
    oracle.initialize().fails("WrongProgramData")


def test_initialize_stores_the_roles_and_tells_the_admin():
    oracle = Oracle()
    call = oracle.initialize()
    result = call.ok()
    assert result.event("Initialized") == {"admin": oracle.admin.pubkey()}
    config = oracle.chain.account("Config", oracle.config)
    assert config["admin"] == oracle.admin.pubkey()
    assert config["guardian"] == oracle.guardian.pubkey()
    assert config["registry_program"] == call.args["registry_program"]
    assert (config["pending_admin"], config["paused"], config["version"]) == (ZERO, False, 1)
    assert oracle.config == Pubkey.create_program_address([b"config", bytes([config["bump"]])], oracle.program)


def test_initialize_root_stores_the_roles_and_tells_the_admin():
    registry = Registry()
    result = registry.initialize().ok()
    assert result.event("RootInitialized") == {"admin": registry.admin.pubkey()}
    root = registry.chain.account("Root", registry.root)
    assert {n: root[n] for n in registry.roles()} == registry.roles()
    assert (root["admin"], root["pending_admin"], root["market_count"]) == (registry.admin.pubkey(), ZERO, 0)


class Handover:
    """The same calls on either program."""

    def __init__(self, world):
        self.world = world
        oracle = isinstance(world, Oracle)
        self.holder, self.heir = ("authority", "authority") if oracle else ("admin", "new_admin")
        self.where, self.kind = (world.config, "Config") if oracle else (world.root, "Root")

    def propose(self, by, whom):
        return self.world.call("propose_admin", {self.holder: by}, new_admin=whom)

    def accept(self, by):
        return self.world.call("accept_admin", {self.heir: by})

    def pause(self, by, paused):
        return self.world.call("set_paused", {"authority": by}, paused=paused)

    def state(self):
        return self.world.chain.account(self.kind, self.where)


@pytest.fixture(params=[Oracle, Registry], ids=["oracle", "registry"])
def handover(request):
    return Handover(request.param().ready())


def test_admin_is_handed_over_in_two_steps(handover):
    world, heir = handover.world, handover.world.chain.funded()
    handover.accept(heir).fails("NoPendingAdmin")
    result = handover.propose(world.admin, heir.pubkey()).ok()
    assert result.event("AdminProposed") == {"admin": heir.pubkey()}
    assert handover.state()["admin"] == world.admin.pubkey()
    handover.accept(world.admin).fails("Unauthorized")
    assert handover.accept(heir).ok().event("AdminAccepted") == {"admin": heir.pubkey()}
    assert handover.state()["admin"] == heir.pubkey()
    assert handover.state()["pending_admin"] == ZERO
    handover.propose(world.admin, world.admin.pubkey()).fails("Unauthorized")
    handover.accept(heir).fails("NoPendingAdmin")


def test_a_proposal_can_be_withdrawn(handover):
    heir = handover.world.chain.funded()
    handover.propose(handover.world.admin, heir.pubkey()).ok()
    handover.propose(handover.world.admin, ZERO).ok()
    handover.accept(heir).fails("NoPendingAdmin")


def test_guardian_and_admin_pause_but_only_the_admin_unpauses(handover):
    world = handover.world
    handover.pause(world.sponsor, paused=True).fails("Unauthorized")
    assert handover.pause(world.guardian, paused=True).ok().event("PausedSet") == {"paused": True}
    assert handover.state()["paused"] is True
    handover.pause(world.guardian, paused=False).fails("Unauthorized")
    assert handover.pause(world.admin, paused=False).ok().event("PausedSet") == {"paused": False}
    handover.pause(world.guardian, paused=False).fails("Unauthorized")
    handover.pause(world.admin, paused=True).ok()
    assert handover.state()["paused"] is True


def test_a_flag_other_than_zero_or_one_is_refused(handover):
    call = handover.pause(handover.world.admin, paused=True)
    call.with_data(call.instruction().data[:8] + b"\2").fails("InvalidInstruction")


def test_a_new_guardian_replaces_the_old_one(oracle):
    other = oracle.chain.funded()
    assert oracle.call("set_guardian", {}, guardian=other.pubkey()).ok().event("GuardianSet") == {
        "guardian": other.pubkey()
    }
    oracle.call("set_paused", {"authority": oracle.guardian}, paused=True).fails("Unauthorized")
    oracle.call("set_paused", {"authority": other}, paused=True).ok()


def test_nothing_of_an_epoch_moves_while_the_oracle_is_paused(oracle):
    b = bundle(FIRST_EPOCH)

    def pause(paused):
        oracle.call("set_paused", {}, paused=paused).ok()

    def refused_then(call):
        pause(True)
        call.fails("Paused")
        pause(False)
        call.ok()

    oracle.at_end_of(FIRST_EPOCH)
    refused_then(oracle.open(FIRST_EPOCH))
    for who in range(3):
        refused_then(oracle.commit(FIRST_EPOCH, who, b))
    for who in range(3):
        refused_then(oracle.reveal(FIRST_EPOCH, who, b))
    refused_then(oracle.finalize(FIRST_EPOCH))
    refused_then(oracle.post(b, 0))
    pause(True)
    oracle.verify(b, 0).ok()


def test_no_market_moves_while_the_registry_is_paused():
    registry = Registry().ready()

    def refused_then(call):
        registry.call("set_paused", {"authority": registry.guardian}, paused=True).ok()
        call.fails("Paused")
        registry.call("set_paused", {"authority": registry.admin}, paused=False).ok()
        call.ok()

    refused_then(registry.create_market())
    refused_then(registry.set_state(1))
    registry.chain.at(registry.market()["resolves_after_ms"])
    refused_then(registry.resolve())
