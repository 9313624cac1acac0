"""What the instructions cost, in compute units, and how large the programs are. Run with -s to see the table."""

import pytest
from m0svm.cases import case
from m0svm.idl import PROGRAMS, Idl
from m0svm.oracle import EPOCH_MS, bundle, leaf
from m0svm.oracle import FIRST_EPOCH as E

LIMITS = {"commit": 3_000, "reveal": 5_000, "finalize_epoch": 5_000}
# creating an account searches its address, at 1,500 units a try: these vary with the program's id
SEARCHING = 60_000
LARGEST = {"m0_oracle": 64_000, "m0_registry": 40_000}


@pytest.mark.parametrize("program", LARGEST)
def test_programs_stay_small(program):
    size = (PROGRAMS / "deploy" / f"{program}.so").stat().st_size
    print(f"\n{program}: {size:,} bytes")
    assert size <= LARGEST[program]


@pytest.mark.parametrize("program", LARGEST)
def test_every_instruction_stays_within_its_compute_limit(program):
    print()
    for name in Idl(program).instructions:
        call = case(program, name)[1]
        units = call.ok().units
        print(f"{program} {name:<24} {units:>7,} CU")
        assert units <= LIMITS.get(name, SEARCHING), name


def test_verifying_at_depth_sixteen_stays_within_six_thousand_units(oracle):
    leaves = [leaf(E, n, outcomes=3).encode() for n in range(2**15 + 1)]
    b = oracle.finalized(E, bundle(E, leaves))
    for index in (0, 2**14, 2**15 - 1):
        assert len(b.tree.path(index)) == 16
        units = oracle.verify(b, index).ok().units
        print(f"\nverify_prediction, depth 16, leaf {index}: {units:,} CU")
        assert units <= 6_000


def test_an_old_epoch_of_the_ring_costs_little_more_than_the_newest(oracle):
    first = oracle.finalized(E)
    newest = oracle.verify(first, 0).ok().units
    for n in range(1, 64):
        oracle.finalized(E + n)
    oldest = oracle.verify(first, 0).ok().units
    print(f"\nverify_prediction: newest {newest:,} CU, 64th {oldest:,} CU")
    assert oldest <= newest + 1_500
    assert oracle.catalog()["ring"][63]["window_end_ms"] == (E + 64) * EPOCH_MS
