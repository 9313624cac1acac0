import contextlib
import hashlib
import re
from pathlib import Path

import pytest
from borsh_reference import encode as reference_encode
from hypothesis import given
from hypothesis import strategies as st
from m0chain import DecodeError, accounts, event_types, idl
from m0chain.idl.refresh import refresh
from solders.pubkey import Pubkey

TREE = Path(__file__).parents[3]
IDLS = [idl.oracle(), idl.registry()]
INTEGERS = {"u8": (0, 2**8), "u16": (0, 2**16), "u32": (0, 2**32), "u64": (0, 2**64), "i64": (-(2**63), 2**63)}


def values(kind, types):
    """A strategy for values of an IDL type."""
    if isinstance(kind, str):
        if kind in INTEGERS:
            low, high = INTEGERS[kind]
            return st.integers(low, high - 1)
        return {
            "bool": st.booleans(),
            "string": st.text(max_size=20),
            "bytes": st.binary(max_size=40),
            "pubkey": st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes),
        }[kind]
    ((name, inner),) = kind.items()
    if name == "array":
        if inner[0] == "u8":
            return st.binary(min_size=inner[1], max_size=inner[1])
        one = values(inner[0], types)  # the same item throughout: the layout is what is tested, and 64 draws are slow
        return one.map(lambda v: [v] * inner[1])
    if name == "vec":
        return st.lists(values(inner, types), max_size=4)
    if name == "option":
        return st.none() | values(inner, types)
    return struct_values(types[inner["name"]]["fields"], types)


def struct_values(fields, types):
    return st.fixed_dictionaries({f["name"]: values(f["type"], types) for f in fields})


@pytest.mark.parametrize("interface", IDLS, ids=lambda i: i.name)
@given(data=st.data())
def test_every_type_reads_back_what_was_written_in_the_bytes_of_the_reference(interface, data):
    name = data.draw(st.sampled_from(sorted(interface.types)))
    fields = interface.types[name]["fields"]
    value = data.draw(struct_values(fields, interface.types))
    out = bytearray()
    interface.codec(name).write(value, out)
    assert bytes(out) == reference_encode({"defined": {"name": name}}, value, interface.types)
    assert interface.codec(name).read(bytes(out), 0) == (value, len(out))


@pytest.mark.parametrize("interface", IDLS, ids=lambda i: i.name)
@given(data=st.data())
def test_every_instruction_decodes_to_the_arguments_it_was_encoded_from(interface, data):
    name = data.draw(st.sampled_from(sorted(interface.instructions)))
    fields = [{"name": a.name, "type": a.type} for a in interface.instructions[name].args]
    args = data.draw(struct_values(fields, interface.types))
    assert interface.decode_args(interface.encode_args(name, args)) == (name, args)


@pytest.mark.parametrize("interface", IDLS, ids=lambda i: i.name)
def test_discriminators_are_the_ones_anchor_computes(interface):
    for name, spec in interface.instructions.items():
        assert bytes(spec.discriminator) == hashlib.sha256(f"global:{name}".encode()).digest()[:8]
    for name, discriminator in interface.accounts.items():
        assert discriminator == hashlib.sha256(f"account:{name}".encode()).digest()[:8]
    for name, discriminator in interface.events.items():
        assert discriminator == hashlib.sha256(f"event:{name}".encode()).digest()[:8]


@given(st.binary(max_size=700))
def test_arbitrary_bytes_decode_or_are_refused_but_never_crash(junk):
    for interface in IDLS:
        for name, discriminator in interface.accounts.items():
            with contextlib.suppress(DecodeError):
                interface.decode_account(name, discriminator + junk)


def test_a_value_too_large_for_its_type_is_refused():
    with pytest.raises(DecodeError, match="does not fit u64"):
        idl.oracle().encode_args("open_epoch", {"epoch_id": 2**64})


def test_missing_and_unknown_arguments_are_named():
    with pytest.raises(DecodeError, match="takes"):
        idl.oracle().encode_args("open_epoch", {"epoch": 1})


def test_account_structs_have_the_fields_of_the_idl():
    kinds = {
        "m0_oracle": [accounts.Config, accounts.SignerSet, accounts.Catalog, accounts.Epoch, accounts.Feed],
        "m0_registry": [accounts.Root, accounts.RegistryCatalog, accounts.Market],
    }
    nested = [accounts.RingEntry, accounts.Tally, accounts.FeedEntry]
    for interface in IDLS:
        named = {("Catalog" if k is accounts.RegistryCatalog else k.__name__): k for k in kinds[interface.name]}
        assert set(named) == set(interface.accounts)
        for name, kind in named.items():
            assert list(kind.__struct_fields__) == interface.fields(name)
    for kind in nested:
        assert list(kind.__struct_fields__) == idl.oracle().fields(kind.__name__)


def test_event_structs_have_the_fields_of_the_idl():
    for interface in IDLS:
        kinds = event_types.BY_PROGRAM[interface.name]
        assert set(kinds) == set(interface.events)
        for name, kind in kinds.items():
            assert list(kind.__struct_fields__) == interface.fields(name)


@pytest.mark.skipif(not (TREE / "programs/idl").is_dir(), reason="not in the source tree")
def test_the_shipped_idls_are_those_of_the_programs():
    for interface in IDLS:
        shipped = Path(idl.__file__).parent / f"{interface.name}.json"
        assert shipped.read_bytes() == (TREE / "programs/idl" / shipped.name).read_bytes()


def test_refreshing_copies_what_changed_and_says_so(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "m0_oracle.json").write_text("{}")
    (source / "m0_registry.json").write_text("{}")
    (target / "m0_oracle.json").write_text("{}")
    assert refresh(source, target) == ["m0_registry.json"]
    assert (target / "m0_registry.json").read_text() == "{}"


def test_error_names_are_distinct_and_messages_are_written():
    for interface in IDLS:
        errors = interface.errors.values()
        assert len({e.name for e in errors}) == len(errors)
        assert all(re.fullmatch(r"[A-Z]\w+", e.name) and e.msg for e in errors)
