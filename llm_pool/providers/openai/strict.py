"""Whether OpenAI would hold an answer to a schema strictly: it refuses those that go beyond its subset. Pure.

The subset is that of OpenAI's guide to structured outputs: the root is an object, every object names all its properties
as required and allows no other, and only some keywords are known. What the guide leaves open counts as outside, for a
schema that is not strict still guides the model, and one that is refused answers nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEEPEST = 10  # levels of nesting
MOST_PROPERTIES = 5_000
MOST_VALUES = 250  # of all enums together: above it the guide counts their letters, too

WORDS = {
    *("type", "title", "description", "enum", "const", "anyOf", "$ref", "$defs", "definitions"),
    *("properties", "required", "additionalProperties", "items", "minItems", "maxItems", "pattern", "format"),
    *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


def strictly(schema: Mapping[str, Any]) -> bool:
    """Whether `strict: true` may be said of it."""
    if schema.get("type") != "object" or "anyOf" in schema:
        return False
    size = _Size()
    return size.takes(schema, 1) and size.properties <= MOST_PROPERTIES and size.values <= MOST_VALUES


class _Size:
    """What a schema is made of, counted while it is looked through."""

    def __init__(self) -> None:
        self.properties = 0
        self.values = 0

    def takes(self, schema: object, level: int) -> bool:
        if not isinstance(schema, dict) or level > DEEPEST or not schema.keys() <= WORDS:
            return False
        if not schema.keys() & {"type", "anyOf", "$ref"} or schema.get("format", "uuid") not in FORMATS:
            return False
        enum = schema.get("enum", [])
        if not isinstance(enum, list):
            return False
        self.values += len(enum)
        if _is_object(schema) and not self._closed(schema):
            return False
        return all(self.takes(below, level + 1) for below in _below(schema))

    def _closed(self, schema: Mapping[str, Any]) -> bool:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            return False
        self.properties += len(properties)
        return schema.get("additionalProperties") is False and set(properties) == set(required)


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _below(schema: Mapping[str, Any]) -> Iterable[object]:
    for word in ("properties", "$defs", "definitions"):
        named = schema.get(word, {})
        yield from named.values() if isinstance(named, dict) else [None]
    any_of = schema.get("anyOf", [])
    yield from any_of if isinstance(any_of, list) else [None]
    if "items" in schema:
        yield schema["items"]
