"""Read the single keywords of a JSON schema. Pure; all raise ValueError that names the place and the keyword."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from llm_pool.providers.sim.grammar import Fixed, Integer, Number, kind

Schema: TypeAlias = Mapping[str, Any]

ITEMS = 3  # most items of a list where the schema does not say
TEXT = 24  # most letters of a string where the schema does not say
_MOST = 100_000  # longest string or list that a schema may force upon us
_EXACT = 2**53  # largest magnitude to which every JSON reader is exact (RFC 8259, section 6)
_SPAN = 100  # between the bounds of a number where the schema leaves one of them open

ANNOTATIONS = frozenset({
    "$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default", "examples",
    "example", "deprecated", "readOnly", "writeOnly", "discriminator",
})  # fmt: skip
OBJECT = ("properties", "required", "additionalProperties")
ALONE = ("$ref", "anyOf", "oneOf", "enum", "const")
_ARRAY = ("items", "minItems", "maxItems", "uniqueItems")
_STRING = ("minLength", "maxLength")
_NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_IMPLIED = (("object", OBJECT), ("array", _ARRAY), ("string", _STRING), ("number", _NUMBER))
_SUPPORTED = frozenset({"type", "allOf", *ALONE, *OBJECT, *_ARRAY, *_STRING, *_NUMBER})


def refused(where: str, why: str) -> ValueError:
    return ValueError(f"json_schema {where}: {why}")


def checked(schema: object, where: str) -> tuple[Schema, set[str]]:
    """A schema (`true` is the empty one) and its keywords without annotations."""
    if schema is True:
        return {}, set()
    if not isinstance(schema, Mapping):
        raise refused(where, "is not a schema that a value could fit")
    found = {keyword for keyword in schema if keyword not in ANNOTATIONS and not keyword.startswith("x-")}
    if unknown := found - _SUPPORTED:
        raise refused(where, f'"{min(unknown)}" is not supported')
    return schema, found


def types(schema: Schema, where: str) -> list[str]:
    """The types a schema allows; where it names none, one that its keywords are about."""
    match schema.get("type"):
        case None:
            return [next((name for name, about in _IMPLIED if not schema.keys().isdisjoint(about)), "string")]
        case str() as name:
            return [name]
        case _:
            return [str(name) for name in listed(schema, "type", where)]


def listed(schema: Schema, keyword: str, where: str) -> Sequence[Any]:
    """A list that is not empty."""
    value = schema[keyword]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise refused(where, f'"{keyword}" must be a list that is not empty')
    return value


def properties(schema: Schema, where: str) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The declared properties, and the names of the required ones."""
    declared, required = schema.get("properties", {}), schema.get("required", ())
    if not isinstance(declared, Mapping):
        raise refused(where, '"properties" must be an object')
    if not isinstance(required, list | tuple) or not all(isinstance(name, str) for name in required):
        raise refused(where, '"required" must be a list of names')
    return declared, frozenset(required)


def fixed(schema: Schema, where: str) -> Fixed:
    """`enum` and `const`, as far as `type` allows."""
    values = list(listed(schema, "enum", where)) if "enum" in schema else [schema["const"]]
    if "const" in schema:
        values = [value for value in values if _same(value, schema["const"])]
    if "type" in schema:
        allowed = types(schema, where)
        values = [value for value in values if _is_one_of(value, allowed)]
    unlike: list[Any] = []
    for value in values:
        if not kind(value):
            raise refused(where, f'"{value}" is not a JSON value')
        if not any(_same(value, other) for other in unlike):
            unlike.append(value)
    if not unlike:
        raise refused(where, 'no value of "enum" or "const" fits')
    return Fixed(tuple(unlike))


def _same(one: object, other: object) -> bool:
    return kind(one) == kind(other) and one == other  # Python alone takes 1 for True


def _is_one_of(value: object, allowed: list[str]) -> bool:
    whole = kind(value) == "number" and isinstance(value, int | float) and float(value).is_integer()
    return kind(value) in allowed or (whole and "integer" in allowed)


def lengths(schema: Schema, least: str, most: str, usual: int, where: str) -> tuple[int, int]:
    """Least and most length; the most is `usual` where the schema does not say, or says more."""
    low, high = _length(schema, least, 0, where), _length(schema, most, usual, where)
    if low > high and most in schema:
        raise refused(where, f'"{least}" is larger than "{most}"')
    if low > _MOST:
        raise refused(where, f'"{least}" above {_MOST} is not supported')
    return low, max(low, min(high, usual))


def _length(schema: Schema, keyword: str, default: int, where: str) -> int:
    value = schema.get(keyword, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise refused(where, f'"{keyword}" must be a whole number, 0 or more')
    return value


def integer(schema: Schema, where: str) -> Integer:
    """Whole numbers within the bounds, each a multiple of `multipleOf`."""
    step = 1
    if (multiple := _bound(schema, "multipleOf", where)) is not None:
        if multiple <= 0 or not float(multiple).is_integer():
            raise refused(where, '"multipleOf" is supported for whole numbers above 0 only')
        step = int(multiple)
    lows = [math.ceil(bound) for bound in _bounds(schema, "minimum", where)]
    lows += [math.floor(bound) + 1 for bound in _bounds(schema, "exclusiveMinimum", where)]
    highs = [math.floor(bound) for bound in _bounds(schema, "maximum", where)]
    highs += [math.ceil(bound) - 1 for bound in _bounds(schema, "exclusiveMaximum", where)]
    low = max(lows) if lows else min([0, *(high - _SPAN * step for high in highs)])
    high = min(highs) if highs else low + _SPAN * step
    first = -(-low // step) * step
    if first > high:
        raise refused(where, "no whole number lies between its bounds")
    return Integer(first, step, (high - first) // step + 1)


def number(schema: Schema, where: str) -> Number:
    """Numbers within the bounds."""
    lows = [(float(bound), False) for bound in _bounds(schema, "minimum", where)]
    lows += [(float(bound), True) for bound in _bounds(schema, "exclusiveMinimum", where)]
    highs = [(float(bound), False) for bound in _bounds(schema, "maximum", where)]
    highs += [(float(bound), True) for bound in _bounds(schema, "exclusiveMaximum", where)]
    high, high_open = min(highs, key=lambda end: (end[0], not end[1])) if highs else (math.inf, False)
    low, low_open = max(lows) if lows else (min(0.0, high - _SPAN), False)
    high = high if highs else low + _SPAN
    middle = (low + high) / 2
    if low > high or (low_open and middle <= low) or (high_open and middle >= high):
        raise refused(where, "no number lies between its bounds")
    return Number(low, high, low_open, high_open)


def _bounds(schema: Schema, keyword: str, where: str) -> list[float]:
    bound = _bound(schema, keyword, where)
    return [] if bound is None else [bound]


def _bound(schema: Schema, keyword: str, where: str) -> float | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _EXACT:
        raise refused(where, f'"{keyword}" must be a number of at most 2^53')
    return value
