"""What the doors of OpenAI share: checking a body and naming what is wrong with it, images, schemas, warnings."""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from llm_pool.core.errors import InvalidRequest, shown
from llm_pool.core.types import Image, Warning
from llm_pool.edges.bodies import MANY_PROBLEMS, MAX_PROBLEMS
from llm_pool.edges.http import refusals
from llm_pool.edges.http.unknown import Open, warned
from llm_pool.edges.status import status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from llm_pool.core.errors import PoolError
    from llm_pool.core.trace import Trace
    from llm_pool.core.types import Keep

Body = TypeVar("Body", bound=BaseModel)

DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]{1,64});base64,", re.IGNORECASE)


class Strict(Open):
    """A JSON object of which every known field is checked. What is optional may be null, too."""


# --- Checking ---------------------------------------------------------------------------------------------------


def checked(kind: type[Body], raw: bytes) -> tuple[Body, list[Warning]]:
    """The body, and what is to be warned of because nobody knows it.

    Raises InvalidRequest naming the field, or the line and column where it is no JSON.
    """
    unknown: dict[str, None] = {}
    try:
        body = kind.model_validate_json(raw, context=unknown)
    except ValidationError as error:
        raise _invalid(error, raw) from None
    return body, list(warned(unknown)) if unknown else []


def _invalid(error: ValidationError, raw: bytes) -> InvalidRequest:
    """Say what is wrong, field by field, without repeating the caller's values."""
    if error.error_count() > MANY_PROBLEMS:  # to list them would take seconds, and hold up everybody else
        return InvalidRequest(f"the body has {error.error_count()} problems")
    problems = error.errors(include_url=False, include_input=False)
    deep = any(len(each["loc"]) > 1 for each in problems)
    try:
        value = orjson.loads(raw) if deep else None  # (of a large body that may take as long as all the rest)
    except orjson.JSONDecodeError:
        value = None
    # What may be this or that is tried as each: what it is wrong as goes deepest, or is more than its kind.
    found = sorted(
        ((_place(each, value), each) for each in problems), key=lambda pair: pair[1]["type"].endswith("_type")
    )
    begun = {place[:length] for place, _ in found for length in range(len(place))}
    told: dict[str, str] = {}
    for place, problem in found:
        if place not in begun:
            told.setdefault(shown(".".join(place)), _told(problem))
    each = [f"{field}: {what}" if field else what for field, what in told.items()]
    more = f" (and {len(each) - MAX_PROBLEMS} more)" if len(each) > MAX_PROBLEMS else ""
    return InvalidRequest("; ".join(each[:MAX_PROBLEMS]) + more, field=next(iter(told), ""))


def _place(problem: ErrorDetails, value: object) -> tuple[str, ...]:
    """The path in the body. Pydantic puts the names of alternatives between: they are no steps of the value."""
    steps: list[str] = []
    *before, last = problem["loc"] or ("",)
    absent = problem["type"] == "missing"
    for depth, step in enumerate(before if absent else problem["loc"]):
        is_index = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_index or (isinstance(value, dict) and step in value):
            value = value[step]  # type: ignore[index]  # as just seen
            steps.append(str(step))
        elif depth == 0:  # a body is no alternative
            steps.append(str(step))
    if absent:
        steps.append(str(last))
    elif problem["type"].startswith("union_tag"):
        steps.append(problem["ctx"]["discriminator"].strip("'"))
    return tuple(steps)


def _told(problem: ErrorDetails) -> str:
    match problem["type"]:
        case "json_invalid":
            return f"the body is not valid JSON: {problem['msg'].removeprefix('Invalid JSON: ')}"
        case "model_type" if not problem["loc"]:
            return "the body must be a JSON object"
        case "union_tag_invalid":
            return f"must be one of {problem['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return "field required"
        case _:
            return f"{problem['msg'][:1].lower()}{problem['msg'][1:]}"


def refuse(body: BaseModel, fields: Mapping[str, str]) -> None:
    """Raise InvalidRequest for what would change the answer and cannot be done. `fields`: why, by name."""
    for name, why in fields.items():
        if name in body.model_fields_set and getattr(body, name):
            raise InvalidRequest(f"{name}: {why}", field=name)


def ignored(body: BaseModel, fields: Mapping[str, Sequence[object]]) -> list[Warning]:
    """Of what is taken and changes nothing, a warning each. `fields`: the values by which nothing is asked, by name."""
    said = [name for name in fields if name in body.model_fields_set]
    return [not_done(name) for name in said if (value := getattr(body, name)) and value not in fields[name]]


def not_done(name: str) -> Warning:
    return Warning("parameter_ignored", f"{name} has no effect here")


# --- Words ------------------------------------------------------------------------------------------------------


class CacheControl(Strict):
    """Where a prompt may be cut for caching, in Anthropic's words, which compatible servers take."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Breakpoint(Strict):
    """The same in OpenAI's words."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


def keep(cache_control: CacheControl | None, breakpoint_: Breakpoint | None = None) -> Keep:
    if cache_control is not None:
        return cache_control.ttl or "5m"
    if breakpoint_ is not None:
        return "1h" if breakpoint_.ttl else "5m"
    return ""


def image(url: str, *, detail: str | None, field: str, keep: Keep = "") -> Image:
    """An image from its address, or from the data that stands in it. Raises InvalidRequest."""
    if url.startswith(("https://", "http://")):
        return Image("", url=url, detail=detail or "", keep=keep)
    head = DATA_URL.match(url)
    if head is None:
        raise InvalidRequest(f"{field}: must be an http(s) URL or data:image/...;base64,...", field=field)
    try:
        data = binascii.a2b_base64(url[head.end() :], strict_mode=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{field}: is not valid base64", field=field) from None
    if not data:
        raise InvalidRequest(f"{field}: is empty", field=field)
    return Image(head[1].lower(), data=data, detail=detail or "", keep=keep)


# --- Answers ----------------------------------------------------------------------------------------------------


def warnings_json(trace: Trace) -> dict[str, Any]:
    """What was asked for and not done: a key of our own beside OpenAI's, where there is anything to say."""
    if not trace.warnings:
        return {}
    told = [{"code": each.code, "message": each.message} for each in dict.fromkeys(trace.warnings)]
    return {"llm_pool": {"warnings": told}}


def error_json(error: PoolError, request_id: str) -> dict[str, object]:
    return refusals.openai(error, status(error).http, request_id)
