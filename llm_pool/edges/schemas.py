"""JSON that a caller gives as any JSON: the schema of an answer, above all. Checked here for every door."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import jsonschema_rs
import orjson
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from llm_pool.config.schemas import NoSchema, spec_of
from llm_pool.core.errors import InvalidRequest, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_pool.core.types import Spec

LONGEST = 256 * 1024  # bytes of a schema, which takes 28 ms to compile; no honest one comes near it
INEXPRESSIBLE = "holds a number that JSON cannot express"
KEPT = 16 * 1024  # bytes: callers ask with the same few schemas again and again


def _sound(schema: dict[str, Any]) -> dict[str, Any]:
    """Whether it reaches a provider as it is."""
    raw = _written(schema)
    if raw is None:
        raise PydanticCustomError("inexpressible", INEXPRESSIBLE)
    if len(raw) > LONGEST:
        raise PydanticCustomError("too_large", f"must be at most {LONGEST // 1024} KB of JSON")
    return schema


# The field of a body that holds a JSON Schema.
Schema = Annotated[dict[str, Any], AfterValidator(_sound)]


def spec_said(schema: Mapping[str, Any], *, at: str, field: str = "") -> Spec:
    """What answers must be, by a caller's schema. `at` is where it stands, `field` what is named, else the same.

    Whatever it says costs little: see `spec_of`. Raises InvalidRequest.
    """
    text = expressible(schema, at=at)
    if len(text) > LONGEST:
        raise InvalidRequest(f"{at}: must be at most {LONGEST // 1024} KB", field=field or at)
    if len(text) > KEPT and not _a_schema(schema):
        raise InvalidRequest(f"{at}: is no JSON Schema", field=field or at)
    try:
        return _compiled(text) if len(text) <= KEPT else spec_of(schema, foreign=True)
    except NoSchema as error:
        place = ".".join([at, *(shown(str(step)) for step in error.at)])
        raise InvalidRequest(f"{place}: {error}", field=field or place) from None


def _a_schema(schema: Mapping[str, Any]) -> bool:
    """Whether it may be one. To find where a large one is none, and why, may take half a second."""
    try:
        return jsonschema_rs.meta.is_valid(dict(schema))
    except (jsonschema_rs.ReferencingError, ValueError):  # it says to be of a kind that is not known
        return True


def expressible(value: object, *, at: str) -> bytes:
    """The JSON of what a caller gave as any JSON. Raises InvalidRequest where there is none."""
    if (text := _written(value)) is None:
        raise InvalidRequest(f"{at}: {INEXPRESSIBLE}", field=at)
    return text


def _written(value: object) -> bytes | None:
    """Its JSON; None where a provider would get something else: the reader of bodies takes NaN, and integers of any
    size.
    """
    try:
        text = orjson.dumps(value)
    except TypeError:
        return None
    return text if orjson.loads(text) == value else None


@lru_cache(maxsize=64)
def _compiled(schema: bytes) -> Spec:
    return spec_of(orjson.loads(schema), foreign=True)
