"""docs/config.schema.json, the JSON schema of settings files: `python -m m0common.settings_schema` prints it.

Editors complete and check a settings file by it, which its first line names. It knows names, types and bounds;
`m0 config validate` knows what they mean together as well.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from m0common.section import FILE, NUMBER_MAX, Section
from m0common.settings import Catalog, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Texts(GenerateJsonSchema):
    """Secrets and networks are texts in a file; a plain validator says nothing of that itself."""

    def function_plain_schema(self, schema: Any) -> JsonSchemaValue:  # pydantic's own
        del schema
        return {"type": "string"}


def schema() -> dict[str, Any]:  # JSON
    """The schema of a settings file."""
    made = TypeAdapter(Settings).json_schema(schema_generator=_Texts)
    _complete(made, Settings)
    for model in _sections():
        _complete(made["$defs"][model.__name__], model)
    return {"$schema": DIALECT, "title": "Settings of M0Club", **made}


def text() -> str:
    """The same as a file."""
    return json.dumps(schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _sections() -> Iterator[type[Section]]:
    for field in Settings.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield field.annotation
    yield Catalog


def _complete(table: dict[str, Any], model: type[Section]) -> None:
    """What of a table its types do not say: twins of secrets, the bound of every number."""
    table.pop("title", None)
    properties = table["properties"]
    for found in properties.values():
        found.pop("title", None)
        if found.get("type") == "integer":
            found.setdefault("maximum", NUMBER_MAX)
    secrets = list(model.secrets())
    for name in secrets:
        properties[name].pop("default", None)
        said = f"A file whose first line is {name}, in its place."
        properties[name + FILE] = {"type": "string", "description": said}
    if secrets:
        table["allOf"] = [{"not": {"required": [name, name + FILE]}} for name in secrets]


if __name__ == "__main__":
    print(text(), end="")
