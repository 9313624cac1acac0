"""Unpacking stops at the limit whatever the codec."""

import gzip

import cramjam
import pytest
from aiokafka import codec
from m0common.stream.kafka_codecs import UnpackError, unpack

TEXT = b"a quick brown fox, " * 500
PACKED = {
    "none": (0, bytes),
    "gzip": (1, codec.gzip_encode),
    "two members of gzip": (1, lambda text: gzip.compress(text[:50]) + gzip.compress(text[50:])),
    "a block of snappy": (2, lambda text: bytes(cramjam.snappy.compress_raw(text))),
    "blocks of snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}
PACKING = {name: packing for name, packing in PACKED.items() if name != "none"}


@pytest.mark.parametrize("name", PACKED)
def test_what_was_packed_comes_back(name):
    number, pack = PACKED[name]
    for text in (TEXT, TEXT[:1], bytes(3 << 20)):
        assert unpack(number, bytes(pack(text))) == text


@pytest.mark.parametrize("name", PACKING)
def test_the_limit_itself_may_be_reached_and_not_passed(name):
    number, pack = PACKING[name]
    packed = bytes(pack(TEXT))
    assert unpack(number, packed, len(TEXT)) == TEXT
    with pytest.raises(UnpackError):
        unpack(number, packed, len(TEXT) - 1)


@pytest.mark.parametrize("name", PACKING)
def test_damaged_bytes_are_told_as_such(name):
    number, pack = PACKING[name]
    with pytest.raises(UnpackError):
        unpack(number, bytes(pack(TEXT))[:-9])


def test_an_unknown_codec_is_named():
    with pytest.raises(UnpackError, match=r"codec 5 is not known; known are \[1, 2, 3, 4\]"):
        unpack(5, b"x")
