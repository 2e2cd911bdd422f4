"""What an answer must be, as a JSON Schema: compiled once, and narrowed to the candidates that one question gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

from llm_pool.core.errors import shown
from llm_pool.core.types import Spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_pool.core.candidates import Id

_VALUE = "it"  # stands for what a model said in the messages of the library: answers do not belong into a log
_LONGEST = 200  # characters of a message


def spec_of(schema: Mapping[str, Any]) -> Spec:
    """Compile a schema (any draft; 2020-12 where it names none). Nothing is ever fetched for a `$ref`.

    Raises ValueError saying what is wrong with the schema.
    """
    try:
        orjson.dumps(schema)  # TOML has dates, JSON has not
    except TypeError as error:
        raise ValueError("holds a value that JSON cannot express") from error
    try:
        validator = jsonschema_rs.validator_for(dict(schema), mask=_VALUE, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        why = getattr(error, "message", str(error)).partition("\n")[0]
        raise ValueError(f"is no JSON Schema: {shown(why, _LONGEST)}") from None

    def problem(value: object) -> str:
        wrong = next(validator.iter_errors(value), None)
        return "" if wrong is None else _said(wrong)

    return Spec(schema, problem)


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
        nobody = [None] if "null" in properties[one].get("type", ()) else []
        properties[one] = {"enum": ids + nobody}
    return {**schema, "properties": properties}


def _said(error: jsonschema_rs.ValidationError) -> str:
    """`ranking: has less than 3 items`, with nothing of the answer itself but names of keys."""
    what = error.message
    if error.kind.name == "additionalProperties":
        what = "has a key that the schema does not have"
    place = ".".join(str(part) for part in error.instance_path)
    told = what.removeprefix(f"{_VALUE} ")
    return shown(f"{place}: {told}" if place else told, _LONGEST)
