"""Raw values that nobody should write: valid ones turned over, each field in turn replaced by the worst that fits.

All of them are about group BIN, which two catalogs name, or carry no authority: what else a log says is untouched.
"""

import json
import random
import re

import lanes_world as world
from m0common.messages import encode_raw, raw_event
from m0common.messages.codec import encode_json
from m0common.messages.raw import RAW_MAX_BYTES
from m0lanes.authority import signed
from m0lanes.control import MarketClosePayload, MarketOpenPayload
from m0lanes.generations import partition_of
from solders.keypair import Keypair

BIN = "bin/it"
RIGHT = partition_of(BIN, world.PARTITIONS)
BROKEN = ("made", "raise", "large", "stranger", "chatty", "wordless", "params", "mistyped", "nothing", "")

NUMBERS = (
    "0",
    "-1",
    "1",
    "-0",
    "1.0",
    "1e3",
    "1e308",
    "1e309",
    "-1e308",
    "NaN",
    "Infinity",
    "0x10",
    "1_0",
    "01",
    "9" * 20,
    "9" * 5_000,
    "-" + "9" * 5_000,
    str(2**31),
    str(2**32),
    str(2**53),
    str(2**63 - 1),
    str(2**63),
    str(2**64),
    str(-(2**63)),
    "70000",
    "253402300799999",
    "253402300800000",
    "0." + "3" * 400,
    "true",
    "false",
    "null",
    '"5"',
    "[]",
    "{}",
    "[1]",
)
TEXTS = (
    '""',
    '" "',
    '"a\\nb"',
    '"/"',
    '"a/b/c"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\uD83D\\uDE00"',
    '"\\"',
    '"',
    "'a'",
    '"' + "x" * 33 + '"',
    '"' + "x" * 65 + '"',
    '"' + "x" * 257 + '"',
    '"' + "😀" * 300 + '"',
    '"' + "x" * 70_000 + '"',
    '"a\u0301"',
    '"\u202eabc"',
    '"\ufeff"',
    '"é"',
    '"bin/it "',
    '"BIN/IT"',
    '"../../etc"',
    "5",
    "null",
    "true",
    "[]",
    "{}",
    '"\x07"',
    '"\x7f"',
    '"\\x41"',
    '"MARKET\\u0000"',
    '"epoch_end"',
    '"outcome"',
    '"artifact"',
    '"rebase"',
    '"catalog_set"',
)
SHAPES = (
    "null",
    "[]",
    "{}",
    "[{}]",
    "5",
    '"text"',
    "true",
    "[" * 97 + "]" * 97,
    '{"a":' * 200 + "1" + "}" * 200,
    "[" * 90_000,
    "[" * 90_000 + "]" * 90_000,
    '{"heads":true,"heads":false}',
    '{"heads":1}',
    '{"heads":"true"}',
    '{"heads":null}',
    '{"heads":true,"more":1}',
    '{"heads":true,"weight":-1}',
    '{"heads":true,"weight":' + "9" * 5_000 + "}",
    '{"heads":true,"weight":1e308}',
    '{"heads":true,"decides":true}',
    '{"how":"\\ud800"}',
    '{"how":5}',
    "{" + '"a":1,' * 9_000 + '"a":1}',
)
FIELDS = (
    "source",
    "source_event_id",
    "group",
    "market_id",
    "kind",
    "event_ms",
    "received_ms",
    "payload",
    "source_seq",
    "signature",
)
WHOLE = (
    b"",
    b"\0",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"{" * 100_000,
    b'"' * 5_000,
    b"\xed\xa0\x80",
    b"5",
    b"true",
    b"{}{}",
    b" ",
    b'{"source":',
    b"\x1f\x8b\x08\x00",
    bytes(range(256)),
)


_SIGNATURE = re.compile(rb'"signature":"([0-9a-f]{128})"')


def signer(key: Keypair):
    return lambda message: bytes(key.sign_message(message))


class Noise:
    """`next` gives a partition, a value and how it was made."""

    def __init__(self, rng: random.Random, log: world.World) -> None:
        self._rng = rng
        self._log = log
        self._seq = 0
        self._signatures: list[bytes] = []
        self._kinds = (
            self._toss,
            self._field,
            self._field,
            self._field,
            self._field,
            self._missing,
            self._flip,
            self._flip,
            self._cut,
            self._whole,
            self._broken,
            self._elsewhere,
            self._stranger,
            self._control,
            self._replay,
            self._market,
            self._large,
        )

    def next(self) -> tuple[int, bytes]:
        """One raw value and the partition to write it into."""
        kind = self._rng.choice(self._kinds)
        if kind == self._large and self._rng.random() > 0.01:
            kind = self._toss
        made = kind()
        return made if isinstance(made, tuple) else (RIGHT, made)

    def _event(self, kind="toss", payload=None, source="table", market_id=None, group=BIN, seq=None):
        self._seq += 1
        at = self._log.now_ms + self._rng.choice((0, 0, -30_000, 25_000, 90_000, -700_000))
        payload = {"heads": self._rng.random() < 0.5} if payload is None else payload
        number = self._seq if seq is None and source in world.DENSE else seq or 0
        return raw_event(source, f"n{self._seq}", group, market_id, kind, max(at, 0), max(at, 0), payload, number)

    def _toss(self) -> bytes:
        about = self._rng.choice((None, None, "BIN_0", "NOT_OPEN"))
        return encode_raw(self._event(market_id=about, source=self._rng.choice(("table", "crowd"))))

    def _tokens(self) -> dict[str, str]:
        event = self._signed() if self._rng.random() < 0.3 else self._event()
        return {name: json.dumps(value) for name, value in json.loads(encode_raw(event)).items()}

    def _signed(self):
        if self._rng.random() < 0.5:
            payload = MarketOpenPayload("coins", ("A", "B"), 1, self._log.now_ms, "", {})
            return signed(
                self._event("market_open", payload, "registry", "BIN_9"), world.GENESIS, signer(world.STRANGER)
            )
        payload = MarketClosePayload("coins")
        return signed(self._event("market_close", payload, "registry", "BIN_0"), world.GENESIS, signer(world.STRANGER))

    @staticmethod
    def _joined(tokens: dict[str, str]) -> bytes:
        return ("{" + ",".join(f'"{name}":{token}' for name, token in tokens.items()) + "}").encode(
            "utf-8", "surrogatepass"
        )

    def _field(self) -> bytes:
        tokens = self._tokens()
        name = self._rng.choice(FIELDS)
        pool = NUMBERS if name.endswith("_ms") or name == "source_seq" else SHAPES if name == "payload" else TEXTS
        tokens[name] = self._rng.choice(pool if self._rng.random() < 0.85 else NUMBERS + TEXTS + SHAPES)
        if name == "payload" and self._rng.random() < 0.4:
            tokens[name] = json.dumps({"heads": True, "weight": 0}).replace("0", self._rng.choice(NUMBERS + TEXTS))
        return self._joined(tokens)

    def _missing(self) -> bytes:
        tokens = self._tokens()
        if self._rng.random() < 0.5:
            del tokens[self._rng.choice(list(tokens))]
        else:
            tokens[self._rng.choice(("more", "Source", "", "\\u0000"))] = self._rng.choice(NUMBERS + TEXTS + SHAPES)
        return self._joined(tokens)

    def _valid(self) -> bytes:
        control = [r.value for r in self._log.records[:200] if b'"registry"' in r.value or b'"clock"' in r.value]
        return self._rng.choice(control) if control and self._rng.random() < 0.5 else self._toss()

    def _flip(self) -> bytes:
        value = bytearray(self._valid())
        for _ in range(self._rng.randrange(1, 6)):
            at = self._rng.randrange(len(value))
            value[at] = self._rng.choice((self._rng.randrange(256), value[at] ^ 1 << self._rng.randrange(8)))
        return bytes(value)

    def _cut(self) -> bytes:
        value = self._valid()
        at, end = sorted((self._rng.randrange(len(value)), self._rng.randrange(len(value))))
        return self._rng.choice((value[:at], value[at:], value[:at] + value[end:], value[:end] + value[at:]))

    def _whole(self) -> bytes:
        return self._rng.choice((self._rng.choice(WHOLE), self._rng.randbytes(self._rng.randrange(80))))

    def _broken(self) -> bytes:
        return encode_raw(self._event("broken", {"how": self._rng.choice(BROKEN)}))

    def _elsewhere(self) -> tuple[int, bytes]:
        return self._rng.randrange(world.PARTITIONS), self._toss()

    def _stranger(self) -> bytes:
        source, kind = self._rng.choice(
            (
                ("nobody", "toss"),
                ("crowd", "broken"),
                ("table", "guess"),
                ("clock", "toss"),
                ("registry", "toss"),
                ("table", "outcome"),
            )
        )
        return encode_raw(self._event(kind, source=source))

    def _control(self) -> tuple[int, bytes]:
        """What only the clock or the control key may say, said by others, or of catalogs that do not exist."""
        rng, log = self._rng, self._log
        catalog = rng.choice(("coins", "coins", "notes", "conis", "c"))
        key = rng.choice((world.STRANGER, world.REGISTRY))
        kind = rng.choice(("catalog_set", "epoch_end", "rebase"))
        if kind == "catalog_set":
            payload = json.loads(encode_json(log.payload(rng.choice((1, 2, 2**32 - 1)))))
            payload["catalog"] = catalog
            key = rng.choice((key, world.CLOCK))
        elif kind == "epoch_end":
            epoch = rng.choice((world.FIRST, world.FIRST + 9, world.FIRST + 10**9, 0, 2**40))
            start = epoch * world.EPOCH_MS
            payload = {
                "catalog": catalog,
                "epoch_id": epoch,
                "window_start_ms": start,
                "window_end_ms": start + world.EPOCH_MS,
            }
            payload |= {
                "generation": 1,
                "lanes": [0, 1, 2, 3],
                "next": rng.choice((None, {"generation": 2, "hash": "00" * 32})),
            }
            key = rng.choice((key, world.CONTROL))
        else:
            payload = {"catalog": catalog, "partition": 0, "life": 1, "epoch_id": world.FIRST, "release": "11" * 32}
            payload |= {"roots": ["00" * 32] * 3, "offset": 0}
        if rng.random() < 0.4:
            name = rng.choice(list(payload))
            payload[name] = rng.choice((2**70, -1, "", None, [], {}, "x" * 40, True, [2**70], {"a": {}}))
        event = self._event(
            kind, payload, rng.choice(("clock", "control", "registry", "x")), group=rng.choice(("", "", BIN)), seq=0
        )
        return rng.randrange(world.PARTITIONS), encode_raw(signed(event, world.GENESIS, signer(key)))

    def _replay(self) -> tuple[int, bytes]:
        """Something of the log again, as it was or under another signature."""
        old = self._rng.choice(self._log.records)
        known, others = _SIGNATURE.search(old.value), self._signatures
        if known is not None:
            others.append(known[1])
        if known is None or self._rng.random() < 0.5:
            return old.partition, old.value
        return old.partition, old.value.replace(known[1], self._rng.choice(others))

    def _market(self) -> bytes:
        """Signed by the registry, and yet it means nothing."""
        rng = self._rng
        wrong = rng.choice(
            (
                {"catalog": "notes_"},
                {"outcomes": []},
                {"outcomes": ["A"]},
                {"outcomes": ["A", "A"]},
                {"outcomes": ["A"] * 33},
                {"schema_version": 70_000},
                {"schema_version": -1},
                {"outcomes": ["😀" * 200, "B"]},
                {"title": "x" * 257},
                {"opens_ms": 2**70},
                {"attributes": {"a": "😀" * 200}},
                {"attributes": {"": "b"}},
                {"attributes": {"a": 5}},
                {"more": 1},
                {"attributes": {f"a{n}": "x" for n in range(33)}},
                {"opens_ms": -1},
                {"outcomes": ["\0", "B"], "catalog": "x"},
            )
        )
        payload = {
            "catalog": "coins",
            "outcomes": ["A", "B"],
            "schema_version": 1,
            "opens_ms": 5,
            "title": "",
            "attributes": {},
        }
        event = self._event("market_open", payload | wrong, "registry", rng.choice(("BIN_8", None, "BIN_8")))
        return encode_raw(signed(event, world.GENESIS, signer(world.REGISTRY)))

    def _large(self) -> bytes:
        size = self._rng.choice((RAW_MAX_BYTES - 400, RAW_MAX_BYTES + 1, 3 * RAW_MAX_BYTES))
        return self._joined(self._tokens() | {"more": '"' + "x" * size + '"'})
