"""Read a JSON schema: refuse what could not be kept to, and leave a grammar to draw values from. Pure.

Rules (`shapes.py` says which keywords there are):

1. What is not understood is refused by name, never ignored: a value drawn fits its schema. Annotations are skipped.
2. `$ref`, `anyOf` and `oneOf` stand alone; so do `enum` and `const`, but for `type`.
3. `oneOf` wants exactly one option to fit, so its options must visibly exclude one another (`grammar.apart`).
4. A `$ref` that leads back to itself on the spot is refused (JSON Schema 2020-12, section 9.4.1: an infinite loop).
5. A schema all of whose values would be endless or huge (`Grammar.cost`) is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from llm_pool.providers.sim import keywords as words
from llm_pool.providers.sim.grammar import (
    MOST,
    Array,
    Choice,
    Fixed,
    Grammar,
    Loose,
    Node,
    Object,
    Ref,
    String,
    apart,
    circles,
    different,
    resolved,
)
from llm_pool.providers.sim.keywords import ALONE, OBJECT, Schema, refused

_BEING_READ = Choice(())  # stands for a definition until it has been read


def read(schema: Schema) -> Grammar:
    """Check and translate a schema. Raises ValueError that names the place and the keyword."""
    reader = _Reader(schema)
    root = reader.node(schema, "#")
    for name in circles(reader.refs):
        raise refused(name, '"$ref" leads back to itself on the spot')
    for where, options in reader.exclusive:
        for one, other in combinations(options, 2):
            if not apart(one, other, reader.refs):
                raise refused(where, 'the options of "oneOf" may overlap; say "anyOf", or give them unlike constants')
    grammar = Grammar.of(root, reader.refs)
    if math.isinf(grammar.cost(root)):
        raise refused("#", f"even its smallest value is endless, or has more than {MOST} parts")
    return grammar


class _Reader:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self.refs: dict[str, Node] = {}
        self.exclusive: list[tuple[str, tuple[Node, ...]]] = []  # options of each `oneOf`

    def node(self, unread: object, where: str) -> Node:
        schema, keywords = words.checked(unread, where)
        if "allOf" in keywords:
            return self.node(self._merged(schema, where), where)
        if alone := next((keyword for keyword in ALONE if keyword in keywords), ""):
            allowed = {"type", "enum", "const"} if alone in {"enum", "const"} else {alone}
            if beside := keywords - allowed:
                raise refused(where, f'"{min(beside)}" beside "{alone}" is not supported')
        match alone:
            case "$ref":
                return self._ref(schema["$ref"], where)
            case "anyOf" | "oneOf":
                parts = words.listed(schema, alone, where)
                options = tuple(self.node(part, f"{where}/{alone}/{index}") for index, part in enumerate(parts))
                if alone == "oneOf":
                    self.exclusive.append((where, options))
                return options[0] if len(options) == 1 else Choice(options)
            case "enum" | "const":
                return words.fixed(schema, where)
            case _:
                nodes = tuple(self._typed(name, schema, where) for name in words.types(schema, where))
                if "type" not in keywords:
                    return Loose(nodes[0])
                return nodes[0] if len(nodes) == 1 else Choice(nodes)

    def _typed(self, name: str, schema: Schema, where: str) -> Node:
        node: Node
        match name:
            case "object":
                node = self._object(schema, where)
            case "array":
                node = self._array(schema, where)
            case "string":
                node = String(*words.lengths(schema, "minLength", "maxLength", words.TEXT, where))
            case "integer":
                node = words.integer(schema, where)
            case "number":
                node = words.integer(schema, where) if "multipleOf" in schema else words.number(schema, where)
            case "boolean":
                node = Fixed((False, True))
            case "null":
                node = Fixed((None,))
            case _:
                raise refused(where, f'type "{name}" is not supported')
        return node

    def _object(self, schema: Schema, where: str) -> Object:
        declared, required = words.properties(schema, where)
        more = schema.get("additionalProperties", True)
        nodes = {name: self.node(part, f"{where}/properties/{name}") for name, part in declared.items()}
        for name in sorted(required - nodes.keys()):
            if more is False:
                raise refused(where, f'"required" names "{name}", which "additionalProperties" forbids')
            nodes[name] = self.node(more, f"{where}/additionalProperties")
        return Object(nodes, required, closed=more is False)

    def _array(self, schema: Schema, where: str) -> Array:
        items = self.node(schema.get("items", {}), f"{where}/items")
        low, high = words.lengths(schema, "minItems", "maxItems", words.ITEMS, where)
        unique = bool(schema.get("uniqueItems")) and high > 1
        if unique:
            most = different(resolved(items, self.refs))
            if most is None:
                raise refused(where, '"uniqueItems" is supported for strings, integers and "enum" only')
            if most < low:
                raise refused(where, f'"minItems" is {low}, but only {most} different items are possible')
            high = min(high, most)
        return Array(items, low, high, unique)

    def _ref(self, pointer: object, where: str) -> Ref:
        name, target = self._target(pointer, where)
        if name not in self.refs:
            self.refs[name] = _BEING_READ
            self.refs[name] = self.node(target, name)
        return Ref(name)

    def _target(self, pointer: object, where: str) -> tuple[str, object]:
        name = str(pointer)
        parts = name.split("/")
        if len(parts) != 3 or parts[0] != "#" or parts[1] not in {"$defs", "definitions"}:  # noqa: PLR2004 - #/$defs/x
            raise refused(where, '"$ref" must look like "#/$defs/NAME" or "#/definitions/NAME"')
        definitions = self._root.get(parts[1])
        key = parts[2].replace("~1", "/").replace("~0", "~")  # RFC 6901
        if not isinstance(definitions, Mapping) or key not in definitions:
            raise refused(where, f'"$ref" leads nowhere: "{name}"')
        return name, definitions[key]

    def _merged(self, schema: Schema, where: str) -> Schema:
        """One object schema for all of an `allOf`."""
        parts = list(self._parts(schema, where, frozenset()))
        properties: dict[str, Any] = {}
        required: set[str] = set()
        for part in parts:
            declared, needed = words.properties(part, where)
            for name, value in declared.items():
                if properties.setdefault(name, value) != value:
                    raise refused(where, f'"allOf" says two things about "{name}", which is not supported')
            required |= needed
        for part in parts:
            if part.get("additionalProperties", True) is not True:
                declared, _ = words.properties(part, where)
                if foreign := (properties.keys() | required) - declared.keys():
                    raise refused(where, f'"additionalProperties" in "allOf" excludes "{min(foreign)}"')
        typed = {"type": "object"} if any("type" in part for part in parts) else {}
        return {**typed, "properties": properties, "required": sorted(required)}

    def _parts(self, unread: object, where: str, seen: frozenset[str]) -> list[Schema]:
        schema, keywords = words.checked(unread, where)
        if keywords == {"$ref"}:
            name, target = self._target(schema["$ref"], where)
            if name in seen:
                raise refused(where, f'"allOf" contains itself through "{name}"')
            return self._parts(target, name, seen | {name})
        own = keywords - {"allOf"}
        if wrong := own - {"type", *OBJECT}:
            raise refused(where, f'"{min(wrong)}" within "allOf" is not supported, only objects are')
        if schema.get("type", "object") != "object":
            raise refused(where, '"allOf" of anything but objects is not supported')
        parts: list[Schema] = [{keyword: schema[keyword] for keyword in own}]
        for index, part in enumerate(words.listed(schema, "allOf", where) if "allOf" in keywords else ()):
            parts += self._parts(part, f"{where}/allOf/{index}", seen)
        return parts
