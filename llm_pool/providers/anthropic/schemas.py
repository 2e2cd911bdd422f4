"""A JSON Schema in the part of the language that Anthropic's structured outputs take. Pure.

What an answer must be is validated against the whole schema in any case (dispatch), so the schema that is sent may be
wider: a bound that cannot be sent is told in the description. It may be narrower only where that costs no answer that
matters: objects have no other members than those that are named. What can be neither gives None.

Source: Anthropic's page on structured outputs, "JSON Schema limitations" and "Schema complexity limits".
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_OPTIONAL = 24  # members that are not required, in all the schemas of a request
MOST_UNIONS = 16
# Ours, for this is done while everybody else waits; the API refuses smaller ones as too complex.
MOST_DEFINITIONS = 500
MOST_PARTS = 5000  # schemas within all the schemas of a request, also those that turn out not to fit

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
_DEFINITIONS = ("$defs", "definitions")

# Words that say nothing about which answers fit.
_SILENT = {"$schema", "$id", "$comment", "$anchor", "default", "deprecated", "examples", "readOnly", "writeOnly"}
_SILENT |= {"contentEncoding", "contentMediaType", "discriminator"}
# Words without which nearly anything fits, or that have no wider form.
_ESSENTIAL = ("allOf", "not", "if", "then", "else", "prefixItems", "patternProperties", "$dynamicRef", "$recursiveRef")


class _Inexpressible(Exception):
    """There is no such schema."""


@dataclass(slots=True)
class Room:
    """How much all the schemas of one request may yet hold."""

    optional: int = MOST_OPTIONAL
    unions: int = MOST_UNIONS
    parts: int = MOST_PARTS

    def fitted(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        """The schema to send, or None."""
        fitter = _Fitter(self)
        try:
            fitted = fitter.fitted(schema)
            sound = _sound(fitted)
        except (_Inexpressible, RecursionError, orjson.JSONEncodeError):  # the last two: too deep
            return None
        finally:
            self.parts -= fitter.parts
        if not sound:
            return None
        self.optional -= fitter.optional
        self.unions -= fitter.unions
        return fitted


class _Fitter:
    """Gives up as soon as there is too much of anything: several types in one place multiply what is below them."""

    __slots__ = ("_room", "definitions", "optional", "parts", "unions")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.definitions = 0
        self.optional = 0
        self.parts = 0
        self.unions = 0

    def _look(self) -> None:
        room = self._room
        if (
            self.parts > room.parts
            or self.definitions > MOST_DEFINITIONS
            or self.optional > room.optional
            or self.unions > room.unions
        ):
            raise _Inexpressible

    def fitted(self, schema: object) -> dict[str, Any]:
        if not isinstance(schema, dict) or any(word in schema for word in _ESSENTIAL):
            raise _Inexpressible
        self.parts += 1
        self._look()
        left = {word: value for word, value in schema.items() if word not in _SILENT}
        out: dict[str, Any] = {}
        for word in _DEFINITIONS:
            if word in left:
                defined = _members(left.pop(word))
                self.definitions += len(defined)
                self._look()
                out[word] = {name: self.fitted(inner) for name, inner in defined.items()}
        out |= self._kind(left)
        if isinstance(title := left.pop("title", None), str):
            out["title"] = title
        description = left.pop("description", None)
        said = [description] if isinstance(description, str) else []
        if left:
            said.append("It must also satisfy, as in JSON Schema: " + orjson.dumps(left).decode())
        if said and "$ref" not in out:  # beside a reference nothing may stand
            out["description"] = "\n".join(said)
        return out

    def _kind(self, left: dict[str, Any]) -> dict[str, Any]:
        """What the schema is about. Takes its words out of `left`."""
        if "$ref" in left:
            target = left.pop("$ref")
            if not isinstance(target, str) or not target.startswith(tuple(f"#/{word}/" for word in _DEFINITIONS)):
                raise _Inexpressible
            return {"$ref": target}
        for word in ("enum", "const"):
            if word in left:
                values = left["enum"] if word == "enum" else [left["const"]]
                if not isinstance(values, list) or not values or not all(map(_is_plain, values)):
                    raise _Inexpressible
                left.pop("type", None)
                return {word: left.pop(word)}
        for word in ("anyOf", "oneOf"):
            if word in left:
                return self._union(left.pop(word))
        kind = left.pop("type", None)
        if isinstance(kind, list):
            return self._any_type(kind, left)
        return self._simple(kind, left)

    def _union(self, choices: object) -> dict[str, Any]:
        if not isinstance(choices, list) or not choices:
            raise _Inexpressible
        self.unions += 1
        self._look()
        return {"anyOf": [self.fitted(choice) for choice in choices]}

    def _any_type(self, kinds: list[Any], left: dict[str, Any]) -> dict[str, Any]:
        """Each of the types with the words that are about it."""
        if len(kinds) == 1:
            return self._simple(kinds[0], left)
        if len(kinds) > len(_TYPES):
            raise _Inexpressible
        inner = {word: left.pop(word) for word in list(left) if word not in {"title", "description"}}
        return self._union([{"type": kind} | ({} if kind == "null" else inner) for kind in kinds])

    def _simple(self, kind: object, left: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(kind, str) or kind not in _TYPES:
            raise _Inexpressible
        out: dict[str, Any] = {"type": kind}
        if kind == "object":
            out |= self._object(left)
        elif kind == "array":
            if "items" not in left:
                raise _Inexpressible
            out["items"] = self.fitted(left.pop("items"))
            if left.get("minItems") in (0, 1):
                out["minItems"] = left.pop("minItems")
        elif kind == "string" and left.get("format") in _FORMATS:
            out["format"] = left.pop("format")
        return out

    def _object(self, left: dict[str, Any]) -> dict[str, Any]:
        members = _members(left.pop("properties", {}))
        required = left.pop("required", [])
        others = left.pop("additionalProperties", None)
        if isinstance(others, dict) or (not members and others is not False):
            raise _Inexpressible  # a map: its members have no names
        if not isinstance(required, list) or not all(isinstance(name, str) and name in members for name in required):
            raise _Inexpressible
        self.optional += len(members) - len(set(required))
        self._look()
        properties = {name: self.fitted(inner) for name, inner in members.items()}
        return {"properties": properties, "required": required, "additionalProperties": False}


def _members(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Inexpressible
    return value


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _sound(schema: dict[str, Any]) -> bool:
    """Whether every reference leads to a definition, and none of these back to itself."""
    leads: dict[str, set[str]] = {}
    for word in _DEFINITIONS:
        for name, inner in schema.get(word, {}).items():
            _references(inner, leads.setdefault(f"#/{word}/{name}", set()))
    everywhere: set[str] = set()
    _references(schema, everywhere)
    if not everywhere <= leads.keys():
        return False
    try:
        TopologicalSorter(leads).prepare()
    except CycleError:
        return False
    return True


def _references(value: object, found: set[str]) -> None:
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            found.add(target)
        for inner in value.values():
            _references(inner, found)
    elif isinstance(value, list):
        for inner in value:
            _references(inner, found)
