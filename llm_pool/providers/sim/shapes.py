"""Random JSON that fits a schema. Pure.

1. What is not understood (`_KEYWORDS`) is refused by name when the schema is read, so that a value drawn fits.
2. All declared properties are drawn, required or not, while there is room, which objects, lists and references divide
   among their parts. Without room everything is as small as it may be, so recursion ends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_ROOM = 100_000.0  # about six levels of a list that links to itself
_MOST = 10_000  # values, or characters of one string, that a schema may force upon us
_EXACT = 2**53  # largest magnitude to which every JSON reader is exact (RFC 8259, section 6)
_ITEMS, _TEXT, _SPAN = 3, 24, 100  # longest list and string, and range of numbers, where the schema leaves them open
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "kestrel", "lark")

_TYPES: dict[str, Any] = {  # the small ones first
    "null": type(None), "boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list,
    "object": dict,
}  # fmt: skip
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_KEYWORDS = {  # and the types that their values may have
    **dict.fromkeys(_BOUNDS, ("number",)), "multipleOf": ("integer",), "uniqueItems": ("boolean",), "$ref": ("string",),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), ("integer",)), "type": ("string", "array"),
    **dict.fromkeys(("properties", "items", "$defs", "definitions"), ("object",)), "const": tuple(_TYPES),
    **dict.fromkeys(("enum", "anyOf", "required"), ("array",)),
}  # fmt: skip
_LEADS = ("$ref", "anyOf", "enum", "const", "type")  # a schema has one of them, or is empty
_SKIPPED = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "additionalProperties"}


class Shape:
    """A schema, checked once and drawn from as often as asked."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ValueError naming the place and the keyword that is not supported or leaves no value."""
        self._parts: dict[str, dict[str, Any]] = {}  # all schemas in it, itself too, by their place
        self._read("#", schema)
        self._sizes = dict.fromkeys(self._parts, math.inf)
        while (sizes := {where: self._size(part) for where, part in self._parts.items()}) != self._sizes:
            self._sizes = sizes  # nothing is known at first; each round settles at least one reference more
        for where, part in self._parts.items():
            if sizes[where] > _MOST:
                raise _refused(where, f'a "$ref" leads nowhere or never ends, or there are more than {_MOST} values')
            if "array" in part["type"] and part.get("uniqueItems"):
                part["pool"] = self._pool(part["items"])
                if len(part["pool"]) < max(1, part.get("minItems", 0)):
                    raise _refused(where, '"uniqueItems" wants strings, integers or "enum", and enough of them')

    def draw(self, rng: random.Random) -> Json:
        """A value that fits. Equal states of `rng` give equal values."""
        return cast("Json", self._value(self._parts["#"], rng, _ROOM))

    def _read(self, where: str, unread: Any) -> dict[str, Any]:
        """Check a schema and those within it, and note them in the form that is drawn from."""
        _check_keywords(where, unread)
        schema = dict(unread)
        names = schema.get("type", [] if schema.keys() & _LEADS else "string")
        names = [names] if isinstance(names, str) else names
        if strange := [name for name in names if name not in list(_TYPES)]:
            raise _refused(where, f'type "{strange[0]}" is not supported')
        schema["type"] = sorted(names, key=list(_TYPES).index)
        if "const" in schema:
            schema["enum"] = [schema["const"]]
        for word in {"properties", "$defs", "definitions"} & schema.keys():
            schema[word] = {name: self._read(f"{where}/{word}/{name}", part) for name, part in schema[word].items()}
        if "anyOf" in schema:
            schema["anyOf"] = [self._read(f"{where}/anyOf/{i}", option) for i, option in enumerate(schema["anyOf"])]
        if "array" in schema["type"]:
            schema["items"] = self._read(f"{where}/items", schema.get("items", {}))
        _check_values(where, schema)
        self._parts[where] = schema
        return schema

    def _size(self, schema: dict[str, Any]) -> float:
        """How many values and references the smallest value consists of."""
        if "$ref" in schema:
            return 1 + self._sizes.get(schema["$ref"], math.inf)
        if "anyOf" in schema:
            return min(self._size(option) for option in schema["anyOf"])
        if schema["type"][:1] == ["object"]:
            return 1 + sum(self._size(schema["properties"][name]) for name in schema.get("required", ()))
        if schema["type"][:1] == ["array"] and (count := schema.get("minItems")):
            return 1 + float(count * self._size(schema["items"]))
        return 1

    def _value(self, schema: dict[str, Any], rng: random.Random, room: float) -> Any:
        small = room < 1
        if "$ref" in schema:
            return self._value(self._parts[schema["$ref"]], rng, room / 2)
        if "anyOf" in schema:
            options = schema["anyOf"]
            return self._value(min(options, key=self._size) if small else rng.choice(options), rng, room)
        if "enum" in schema:
            return rng.choice(schema["enum"])
        match schema["type"][0] if small else rng.choice(schema["type"]):
            case "object":
                parts, required = schema.get("properties", {}), schema.get("required", ())
                room /= len(parts) + 1
                return {name: self._value(parts[name], rng, room) for name in parts if name in required or not small}
            case "array":
                return self._list(schema, rng, room)
            case "string":
                length = rng.randint(*_lengths(schema, "Length", _TEXT))
                return " ".join(rng.choices(_WORDS, k=1 + length // 5))[:length]  # each has 4 letters or more
            case "integer":
                return rng.choice(_whole(schema))
            case "number":
                low, high = _bounds(schema)
                drawn = min(rng.uniform(low, high), high)
                return short if low <= (short := round(drawn, 2)) <= high else drawn
            case name:
                return rng.choice((False, True)) if name == "boolean" else None

    def _list(self, array: dict[str, Any], rng: random.Random, room: float) -> list[Any]:
        low, high = _lengths(array, "Items", _ITEMS)
        if "pool" in array:
            return rng.sample(array["pool"], rng.randint(low, min(high, len(array["pool"]))))
        count = array.get("minItems", 0) if room < 1 else rng.randint(low, high)
        return [self._value(array["items"], rng, room / (count + 1)) for _ in range(count)]

    def _pool(self, items: dict[str, Any]) -> Sequence[Any]:
        """Different items for a list; none where different ones are not supported."""
        while "$ref" in items:
            items = self._parts[items["$ref"]]
        if items["type"] == ["integer"] and "enum" not in items:
            return _whole(items)
        values = items.get("enum", [])
        if items["type"] == ["string"] and not values:  # no two words begin alike, so they differ when cut, too
            values = [word[: items.get("maxLength")].ljust(items.get("minLength", 0), "-") for word in _WORDS]
        return [value for index, value in enumerate(values) if value not in values[:index]]


def _check_keywords(where: str, schema: Any) -> None:
    """Refuse keywords that are unknown, of the wrong type or in the wrong company."""
    if not isinstance(schema, dict):
        raise _refused(where, "is not a schema to draw from")
    for word in sorted(schema.keys() - _SKIPPED):
        if word not in _KEYWORDS:
            raise _refused(where, f'"{word}" is not supported' + ('; say "anyOf"' if word == "oneOf" else ""))
        if not any(_is(schema[word], name) for name in _KEYWORDS[word]):
            raise _refused(where, f'"{word}" must be of type {" or ".join(_KEYWORDS[word])}')
        if word in {"type", "enum", "anyOf"} and not schema[word]:
            raise _refused(where, f'"{word}" must not be empty')
    found = schema.keys() - _SKIPPED - {"$defs", "definitions"}
    lead = next((word for word in _LEADS if word in found), "")
    if lead != "type" and (beside := found - {lead, "type" if lead in {"enum", "const"} else lead}):
        raise _refused(where, f'"{min(beside)}" ' + (f'beside "{lead}" is not supported' if lead else 'needs a "type"'))


def _check_values(where: str, schema: dict[str, Any]) -> None:
    """Refuse what leaves no value."""
    if not all(any(_is(value, name) for name in schema["type"] or _TYPES) for value in schema.get("enum", ())):
        raise _refused(where, 'a value of "enum" or "const" is not of its "type"')
    if strange := [name for name in schema.get("required", ()) if name not in list(schema.get("properties", ()))]:
        raise _refused(where, f'"required" names "{strange[0]}", which "properties" does not')
    for what in ("Items", "Length"):
        if not 0 <= schema.get(f"min{what}", 0) <= min(schema.get(f"max{what}", _MOST), _MOST):
            raise _refused(where, f'"min{what}" and "max{what}" leave no length from 0 to {_MOST}')
    if "multipleOf" in schema and ("number" in schema["type"] or schema["multipleOf"] < 1):
        raise _refused(where, '"multipleOf" is supported for integers only, and must be 1 or more')
    exact, (low, high) = all(abs(schema.get(word, 0)) <= _EXACT for word in _BOUNDS), _bounds(schema)
    if not exact or low > high or ("integer" in schema["type"] and not _whole(schema)):
        raise _refused(where, "no number up to 2^53 lies between the bounds")


def _is(value: object, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and isinstance(value, bool) == (name == "boolean")


def _lengths(schema: dict[str, Any], what: str, usual: int) -> tuple[int, int]:
    """Not 0 where that can be: it shows nothing."""
    low: int = schema.get(f"min{what}", 0)
    high = max(low, min(schema.get(f"max{what}", usual), usual))
    return max(low, min(1, high)), high


def _bounds(schema: dict[str, Any]) -> tuple[float, float]:
    """The least and the greatest number, usual ones where the schema does not say."""
    low = max(schema.get("minimum", -math.inf), math.nextafter(schema.get("exclusiveMinimum", -math.inf), math.inf))
    high = min(schema.get("maximum", math.inf), math.nextafter(schema.get("exclusiveMaximum", math.inf), -math.inf))
    width = _SPAN * schema.get("multipleOf", 1)
    low = min(0, high - width) if low < -_EXACT else low
    return low, low + width if high > _EXACT else high


def _whole(schema: dict[str, Any]) -> range:
    (low, high), step = _bounds(schema), schema.get("multipleOf", 1)
    return range(-(-math.ceil(low) // step) * step, math.floor(high) + 1, step)


def _refused(where: str, why: str) -> ValueError:
    return ValueError(f"json_schema {where}: {why}")
