"""JSON schema of the verdict, made from its classes: field types, and the descriptions in their docstrings."""

import re
from inspect import cleandoc
from typing import Any

from pydantic import TypeAdapter

from observability.analysis.verdict import SCHEMA_VERSION, Verdict

Json = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# A line such as "seconds_p50, seconds_p95: quantiles", and its indented continuation.
_FIELDS = re.compile(r"^(\w+(?:, \w+)*): (.+(?:\n {4}.+)*)$", re.MULTILINE)


def verdict_schema() -> Json:
    """Return the schema of what `plumb diagnose --json` prints, in draft 2020-12.

    Within one `schema_version` fields are added, but none is removed or changes its meaning.
    """
    made = TypeAdapter(Verdict).json_schema(mode="serialization")
    definitions = {name: _described(each) for name, each in made.pop("$defs").items()}
    verdict = _described(made)
    verdict["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    return {"$schema": DRAFT, **verdict, "$defs": definitions}


def _described(kind: Json) -> Json:
    """Return the schema of one class with a description of each field, all of which are always present."""
    text = cleandoc(kind.get("description", ""))
    described = {**kind, "description": _FIELDS.sub("", text).strip().replace("\n\n\n", "\n\n")}
    if "properties" not in kind:
        return described
    told = {
        name: " ".join(said.replace("None", "null").split())
        for names, said in _FIELDS.findall(text)
        for name in names.split(", ")
    }
    properties = {name: _property(each, told.get(name)) for name, each in kind["properties"].items()}
    return {**described, "properties": properties, "required": list(properties)}


def _property(field: Json, description: str | None) -> Json:
    kept = {name: value for name, value in field.items() if name not in {"title", "default"}}
    return {**kept, "description": description} if description else kept
