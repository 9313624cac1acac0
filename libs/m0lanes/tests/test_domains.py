"""Domains are somebody's code: whatever it raises where it is imported or where it decodes is told in a sentence."""

import sys
import types
from collections.abc import Mapping
from importlib.metadata import EntryPoint

import msgspec
import pytest
from lanes_toy import Coins
from m0common.errors import DeadLetterError, SettingsError
from m0lanes import tags
from m0lanes.domains import GROUP, domains_of
from m0lanes.entities import entity_key
from m0lanes.kinds import Unreadable, read_entity
from m0lanes.packing import pack
from m0lanes.view import Bodies


class Unhelpful(Exception):
    def __str__(self) -> str:
        raise SystemExit


class Loaded(types.ModuleType):
    """A module whose domain is what a function makes of it."""

    def __init__(self, name: str, made) -> None:
        super().__init__(name)
        self._made = made

    def __getattr__(self, name: str):
        if name == "DOMAIN":
            return self._made()
        raise AttributeError(name)


def raising(error: BaseException):
    def made():
        raise error

    return made


@pytest.fixture
def entry():
    names = []

    def make(made, name: str = "coins") -> EntryPoint:
        module = f"lanes_domain_{len(names)}"
        names.append(module)
        sys.modules[module] = Loaded(module, made)
        return EntryPoint(name, f"{module}:DOMAIN", GROUP)

    yield make
    for module in names:
        del sys.modules[module]


@pytest.mark.parametrize(
    "error",
    [SystemExit(), SystemExit(3), GeneratorExit(), LookupError("no such file"), Unhelpful("x"), ImportError("y")],
)
def test_whatever_a_domain_raises_where_it_is_imported_is_one_error_that_names_it(entry, error):
    with pytest.raises(SettingsError, match=r"^domain dice \(lanes_domain_1:DOMAIN\) cannot be imported \(.*mend it"):
        domains_of([entry(Coins), entry(raising(error), "dice")])


def test_what_is_no_domain_is_told_too(entry):
    with pytest.raises(SettingsError, match=r"domain coins \(.*\) cannot be imported \(AttributeError"):
        domains_of([entry(object)])


def test_an_operator_who_interrupts_is_heard(entry):
    with pytest.raises(KeyboardInterrupt):
        domains_of([entry(raising(KeyboardInterrupt()))])


def test_domains_are_found_by_their_names(entry):
    assert list(domains_of([entry(Coins)])) == ["coins"]
    with pytest.raises(SettingsError, match="brought by two packages"):
        domains_of([entry(Coins), entry(Coins, "others")])


class Fussy(msgspec.Struct, frozen=True, array_like=True):
    """Made without being asked, and no longer taken when it is read."""

    times: int

    def __post_init__(self) -> None:
        if self.times == 7:
            raise LookupError("seven")
        if self.times == 8:
            raise MemoryError


class FussyCoins(Coins):
    normalize_entities: Mapping[str, type[msgspec.Struct]] = {"fussy": Fussy}


def test_a_body_that_raises_where_it_is_decoded_is_a_dead_letter_unless_it_says_something_of_the_machine():
    bodies = Bodies({"fussy": Fussy})
    assert bodies.decode("fussy", msgspec.Raw(pack((1,)))) == Fussy(1)
    with pytest.raises(DeadLetterError, match="domain_raised: fussy: LookupError: seven"):
        bodies.decode("fussy", msgspec.Raw(pack((7,))))
    with pytest.raises(MemoryError):
        bodies.decode("fussy", msgspec.Raw(pack((8,))))


def test_an_entity_that_raises_where_it_is_decoded_makes_a_state_that_cannot_be_read():
    key = entity_key(tags.DOMAIN, "coins", "1", "fussy", "penny")
    assert read_entity(1, key, pack((1,)), FussyCoins(), whole=True) == Fussy(1)
    with pytest.raises(Unreadable, match="LookupError: seven"):
        read_entity(1, key, pack((7,)), FussyCoins(), whole=True)
