import base64

from m0chain import EventParser, event_types, idl
from m0common.ids import catalog_bytes
from solders.pubkey import Pubkey

ORACLE, REGISTRY, OTHER = Pubkey.new_unique(), Pubkey.new_unique(), Pubkey.new_unique()
PARSER = EventParser(ORACLE, REGISTRY)
ED25519 = Pubkey.from_string("Ed25519SigVerify111111111111111111111111111")


def data(interface, name, **fields):
    out = bytearray(interface.events[name])
    interface.codec(name).write(fields, out)
    return "Program data: " + base64.b64encode(out).decode()


PAUSED = data(idl.oracle(), "PausedSet", paused=True)
CLOSED = data(idl.oracle(), "EpochClosed", catalog=catalog_bytes("sports"), epoch_id=7)
REGISTERED = data(idl.registry(), "CatalogCreated", catalog=catalog_bytes("crypto"))


def run(program, *inner, depth=1):
    return [f"Program {program} invoke [{depth}]", *inner, f"Program {program} success"]


def places(parsed):
    return [(e.program, e.name, e.instruction, e.inner) for e in parsed.events]


def test_an_event_belongs_to_the_program_that_wrote_it_even_under_a_cross_program_call():
    logs = run(OTHER, PAUSED, *run(ORACLE, PAUSED, CLOSED, depth=2), CLOSED)
    parsed = PARSER.parse(logs)
    assert places(parsed) == [(str(ORACLE), "PausedSet", 0, 0), (str(ORACLE), "EpochClosed", 0, 1)]
    assert parsed.events[1].event == event_types.EpochClosed("sports", 7)


def test_events_of_the_same_name_are_told_apart_by_program():
    logs = [*run(ORACLE, PAUSED), *run(REGISTRY, PAUSED, REGISTERED)]
    parsed = PARSER.parse(logs)
    assert places(parsed) == [
        (str(ORACLE), "PausedSet", 0, 0),
        (str(REGISTRY), "PausedSet", 1, 0),
        (str(REGISTRY), "CatalogCreated", 1, 1),
    ]
    assert parsed.events[2].event == event_types.RegistryCatalogCreated("crypto")


def test_what_a_program_prints_cannot_imitate_the_runtime():
    logs = run(
        OTHER,
        f"Program log: Program {ORACLE} invoke [2]",
        f"Program log: x\nProgram {ORACLE} invoke [2]",
        PAUSED,
        f"Program log: Program {OTHER} success",
        f"Program log: {PAUSED}",
    )
    assert PARSER.parse(logs).events == []


def test_our_program_cannot_be_left_by_a_printed_line():
    logs = run(ORACLE, f"Program log: Program {ORACLE} success", PAUSED)
    assert places(PARSER.parse(logs)) == [(str(ORACLE), "PausedSet", 0, 0)]


def test_unlogged_signature_checks_are_counted_when_the_instructions_are_known():
    logs = run(ORACLE, PAUSED)
    assert PARSER.parse(logs, [ED25519, ORACLE]).events[0].instruction == 1
    assert PARSER.parse(logs).events[0].instruction == 0


def test_return_data_and_compute_lines_do_not_disturb():
    logs = [
        f"Program {ORACLE} invoke [1]",
        f"Program {ORACLE} consumed 1200 of 200000 compute units",
        f"Program return: {ORACLE} AAAA",
        PAUSED,
        f"Program {ORACLE} success",
    ]
    assert len(PARSER.parse(logs).events) == 1


def test_a_cut_log_is_reported():
    parsed = PARSER.parse([f"Program {ORACLE} invoke [1]", "Log truncated"])
    assert parsed.truncated
    assert not PARSER.parse(run(ORACLE)).truncated


def test_a_malformed_event_of_ours_is_named_and_one_of_a_stranger_ignored():
    cut = PAUSED[:20] + "===="
    (line,) = PARSER.parse(run(ORACLE, cut)).unreadable
    assert (line.program, line.instruction, line.inner) == (str(ORACLE), 0, 0)
    assert PARSER.parse(run(OTHER, cut)).unreadable == []
    short = "Program data: " + base64.b64encode(idl.oracle().events["EpochClosed"] + b"\1").decode()
    assert "wanted at offset" in PARSER.parse(run(ORACLE, short)).unreadable[0].reason


def test_the_events_beside_a_malformed_one_are_read_and_keep_their_places():
    parsed = PARSER.parse(run(ORACLE, PAUSED, PAUSED[:20] + "====", PAUSED))
    assert [event.inner for event in parsed.events] == [0, 2]


def test_an_unknown_event_of_ours_is_skipped_so_that_newer_programs_can_add_some():
    unknown = "Program data: " + base64.b64encode(b"12345678rest").decode()
    assert PARSER.parse(run(ORACLE, unknown, PAUSED)).events[0].inner == 0
