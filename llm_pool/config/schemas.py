"""What an answer must be, as a JSON Schema: compiled once, and narrowed to the candidates that one question gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

from llm_pool.config.branching import Branching, Endless
from llm_pool.core.errors import shown
from llm_pool.core.types import Spec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from llm_pool.core.candidates import Id

_VALUE = "it"  # stands for what a model said in the messages of the library: answers do not belong into a log
FEW_LOOKS = 2_000  # at an answer: to find out what is wrong with it takes 40 us for each, where it branches
MOST_LOOKS = 3_000_000  # which take a tenth of a second
_LONGEST = 200  # characters of a message


class NoSchema(ValueError):
    """What is wrong with a schema. `at` is the path of the place in it."""

    def __init__(self, message: str, at: Iterable[str | int] = ()) -> None:
        super().__init__(message)
        self.at = tuple(at)


def spec_of(schema: Mapping[str, Any], *, foreign: bool = False) -> Spec:
    """Compile a schema (any draft; 2020-12 where it names none). Nothing is ever fetched for a `$ref`.

    `foreign`: it is a caller's, and must not cost more than it may. Its patterns take linear time, so that those which
    look around or back are none; and what leads to too many looks at an answer refuses that answer. Raises NoSchema.
    """
    patterns = jsonschema_rs.RegexOptions() if foreign else jsonschema_rs.FancyRegexOptions()
    try:
        orjson.dumps(schema, option=orjson.OPT_PASSTHROUGH_DATETIME)  # TOML has dates, JSON has not
    except TypeError as error:
        raise NoSchema("holds a value that JSON cannot express") from error
    try:
        validator = jsonschema_rs.validator_for(dict(schema), mask=_VALUE, offline=True, pattern_options=patterns)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        why = getattr(error, "message", str(error)).partition("\n")[0]
        raise NoSchema(f"is no JSON Schema: {shown(why, _LONGEST)}", getattr(error, "instance_path", ())) from None

    keys = frozenset(_keys(schema))
    branching = _branching(schema) if foreign else None

    def problem(value: object) -> str:
        if branching is not None and (looks := branching.looks(value)) > FEW_LOOKS:
            if looks > MOST_LOOKS:
                return "is more than can be held against a schema of so many alternatives"
            return "" if validator.is_valid(value) else "is not what the schema allows"
        try:
            validator.validate(value)  # ends at the first mistake, where `iter_errors` would gather all of them
        except jsonschema_rs.ValidationError as wrong:
            return _said(wrong, keys)
        return ""

    return Spec(schema, problem)


def _branching(schema: Mapping[str, Any]) -> Branching:
    try:
        return Branching(schema)
    except Endless as error:
        raise NoSchema(str(error)) from None


def narrowed(schema: Mapping[str, Any], given: Sequence[Id], *, each: str | None, one: str | None) -> dict[str, Any]:
    """The schema for a question with these ids: `each` names the list that holds every one of them exactly once, `one`
    the value that is one of them, or null where the schema allows that.
    """
    properties = dict(schema["properties"])
    ids = list(given)
    if each:
        count = {"minItems": len(ids), "maxItems": len(ids), "uniqueItems": True}
        properties[each] = {"type": "array", "items": {"enum": ids}, **count}
    if one:
        properties[one] = {"enum": ids + ([None] if _takes_null(schema, one) else [])}
    return {**schema, "properties": properties}


def _takes_null(schema: Mapping[str, Any], key: str) -> bool:
    """Whether this property may be null, as the schema itself sees it."""
    alone = {name: each for name, each in schema.items() if name in {"$schema", "$defs", "definitions", "properties"}}
    return jsonschema_rs.validator_for(alone, offline=True).is_valid({key: None})


def _keys(schema: object) -> Iterator[str]:
    """The keys that a schema names, at any depth."""
    if isinstance(schema, dict):
        named = schema.get("properties")
        yield from named if isinstance(named, dict) else ()
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for each in inner:
        yield from _keys(each)


def _said(error: jsonschema_rs.ValidationError, keys: Collection[str]) -> str:
    """`ranking: has less than 3 items`, with nothing of the question or the answer: `keys` are the schema's own."""
    match error.kind.name:
        case "pattern" if not isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Pattern):
            what = "takes too long to hold against a pattern of the schema"
        case "additionalProperties" | "unevaluatedProperties" | "propertyNames":
            what = "has a key that the schema does not have"
        case "enum":  # narrowed, it lists what the question holds
            what = "is none of the values that it may have"
        case "falseSchema":
            what = "is nothing that the schema allows"
        case _:
            what = error.message
    place = ".".join(str(part) if isinstance(part, int) or part in keys else "*" for part in error.instance_path)
    told = what.removeprefix(f"{_VALUE} ")
    return shown(f"{place}: {told}" if place else told, _LONGEST)
