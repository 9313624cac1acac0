"""JSON Schema draft 7 of structs as MessagePack and JSON have them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Json = dict[str, Any]  # a JSON document has many shapes


def ref(name: str) -> Json:
    """A reference to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


class Schemas:
    """Schemas by name; those of an owner begin with its name, so that two owners may call a struct the same."""

    def __init__(self) -> None:
        self.found: Json = {}

    def add(self, structs: Sequence[type[msgspec.Struct]], owner: str = "") -> None:
        """Describe structs and whatever they are made of."""
        prefix = f"{owner}." if owner else ""
        _, made = msgspec.json.schema_components(structs, ref_template=f"#/components/schemas/{prefix}{{name}}")
        types = _named_types(structs)
        for name, schema in made.items():
            described = _draft_7(schema)
            _name_items(described, types[name])
            self.found[prefix + name] = described


def when_property(which: str, what: str, schemas: Mapping[str, Sequence[str]]) -> list[Json]:
    """Rules of an object: the property `what` is one of the named schemas, by the value of the property `which`."""
    return [
        {"if": {"properties": {which: {"const": value}}}, "then": {"properties": {what: _one_of(names)}}}
        for value, names in schemas.items()
    ]


def when_item(envelope: Json, fields: Sequence[str], bodies: Mapping[str, Sequence[str]]) -> Json:
    """Items and rules of a struct that is an array: its `body` is one of the named schemas, by its `kind`."""
    kind, body = fields.index("kind"), fields.index("body")
    items = [dict(item) for item in envelope["items"]]
    items[kind]["enum"] = list(bodies)

    def at(place: int, schema: Json) -> Json:
        return {"items": [*({} for _ in range(place)), schema]}

    rules = [{"if": at(kind, {"const": value}), "then": at(body, _one_of(names))} for value, names in bodies.items()]
    return {"items": items, "allOf": rules}


def _one_of(names: Sequence[str]) -> Json:
    return ref(names[0]) if len(names) == 1 else {"anyOf": [ref(name) for name in names]}


def _named_types(structs: Sequence[type[msgspec.Struct]]) -> dict[str, Any]:
    """Every struct and named tuple that the structs are made of, by name."""
    found: dict[str, Any] = {}
    queue: list[Any] = [msgspec.inspect.type_info(struct) for struct in structs]
    while queue:
        info = queue.pop()
        made = getattr(info, "cls", None)
        if made is not None:
            if made.__name__ in found:
                continue
            found[made.__name__] = made
        fields = getattr(info, "fields", ())
        queue += [field.type for field in fields if hasattr(field, "type")]
        queue += [
            getattr(info, name) for name in ("item_type", "key_type", "value_type", "type") if hasattr(info, name)
        ]
        queue += [*getattr(info, "item_types", ()), *getattr(info, "types", ())]
    return found


def _draft_7(value: Any) -> Any:
    """Tuples and bytes as draft 7 and MessagePack have them; msgspec writes draft 2020-12 for JSON."""
    if isinstance(value, list):
        return [_draft_7(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("contentEncoding") == "base64":
        # its lengths are those of base64, which MessagePack does not write
        dropped = ("contentEncoding", "minLength", "maxLength")
        return {k: v for k, v in value.items() if k not in dropped} | {"format": "binary"}
    changed = {key: _draft_7(item) for key, item in value.items()}
    if isinstance(value.get("description"), str):
        changed["description"] = inspect.cleandoc(value["description"])  # before Python 3.13 docstrings are indented
    if "prefixItems" in changed:
        if "items" in changed:
            changed["additionalItems"] = changed.pop("items")
        changed["items"] = changed.pop("prefixItems")
    return changed


def _name_items(schema: Json, struct: Any) -> None:
    """Give the items of a struct that is an array the names of its fields."""
    if not isinstance(schema.get("items"), list):
        return
    names = getattr(struct, "__struct_fields__", None) or struct._fields
    tagged = len(schema["items"]) - len(names)
    for name, item in zip(["type"] * tagged + list(names), schema["items"], strict=True):
        item["title"] = name
