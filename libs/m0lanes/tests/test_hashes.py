"""The hashes that lanes make are those of the golden vectors."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from m0lanes.entities import entity_key, key_parts
from m0lanes.feature import features_hash
from m0lanes.model import model_key

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


class Toy(NamedTuple):
    name: str
    version: int
    made_of: bytes

    def artifact(self) -> bytes:
        return self.made_of


@pytest.mark.parametrize("vector", load("features"), ids=lambda v: v["market_id"])
def test_features_hashes(vector):
    values = [(name, value) for name, value in vector["values"]]
    assert features_hash(vector["market_id"], values).hex() == vector["features_hash"]


@pytest.mark.parametrize("vector", load("models"), ids=lambda v: v["name"])
def test_model_keys(vector):
    assert (
        model_key(Toy(vector["name"], vector["version"], bytes.fromhex(vector["artifact"]))).hex()
        == vector["model_key"]
    )


@pytest.mark.parametrize("vector", load("trie")["entity_key"], ids=lambda v: v["key"])
def test_keys_of_entities(vector):
    parts = [bytes.fromhex(part) for part in vector["parts"]]
    key = entity_key(vector["tag"], *parts)
    assert key.hex() == vector["key"]
    assert list(key_parts(key)) == parts
