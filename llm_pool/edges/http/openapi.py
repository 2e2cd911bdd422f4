"""The document of the API in OpenAPI 3.1, made from the table of routes and the models that requests are checked with.

Deterministic: two processes of one version say the same, byte for byte.
"""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from llm_pool.core import errors
from llm_pool.edges import status
from llm_pool.edges.bodies import InferBody
from llm_pool.edges.http import examples, refusals, shapes
from llm_pool.edges.http.admin import BreakerBody
from llm_pool.edges.http.anthropic.bodies import CountBody, MessagesBody
from llm_pool.edges.http.openai import examples as openai_examples
from llm_pool.edges.http.openai.bodies import ChatBody
from llm_pool.edges.http.openai.embeddings import EmbeddingsBody
from llm_pool.edges.http.openai.responses_bodies import ResponsesBody
from llm_pool.edges.http.routes import EVENTS, JSON, ROUTES
from llm_pool.version import __version__

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from llm_pool.edges.http.refusals import Shape
    from llm_pool.edges.http.routes import Route

Object = dict[str, Any]

ABOUT = """One self-hosted server that makes many language models behave like one dependable model: it picks a model for
each task, hands the question on when one fails, and keeps every deadline.

The same questions can be asked over gRPC, with the same names and the same answers. Every answer carries
`x-request-id`, and every error has the same shape, whose `code` is what to branch on. What takes GET takes HEAD, too.
"""

TAGS = {
    "inference": "Asking the models.",
    "openai": "For clients of OpenAI, in its words.",
    "anthropic": "For clients of Anthropic, in its words.",
    "health": "How the pool is: for people, load balancers and Prometheus. No probe ever asks a provider.",
    "operation": "For operators. Off unless `admin.enabled` is set.",
    "documentation": "What you are reading.",
}

WRONG = {
    400: "A field is wrong, or the whole request; the message names it.",
    403: "It names a tenant or a host that is not served here.",
    404: "The task, the model or another name is unknown; the nearest known one is given.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not JSON, or it is encoded.",
    500: "A bug of the pool. The log knows more, by the request id.",
    502: "The provider that was named failed, or all did.",
    503: "Nobody can answer this now, or too many ask.",
    504: "The deadline passed before the answer was complete.",
}
# Nobody is there to be told: they stand only in the log.
NEVER_SENT = {errors.CallerLeft, errors.ShuttingDown}


@cache
def document() -> Object:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LLM Pool",
            "version": __version__,
            "summary": "Many language models, behaving like one dependable model",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": described} for name, described in TAGS.items()],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "responses": {
                f"{_ERRORS[shape].__name__}{code}": _wrong(code, shape)
                for shape in _ERRORS
                for code in sorted({code for route in ROUTES if route.shape is shape for code in route.errors})
            },
            "parameters": {
                "RequestId": {
                    "name": "x-request-id",
                    "in": "header",
                    "description": "Your name for this call, for correlation only: 1 to 128 of `A-Z a-z 0-9 . _ : -`, "
                    "the first a letter or a digit. One is made where it is missing or malformed.",
                    "schema": {"type": "string"},
                },
                "TraceParent": {
                    "name": "traceparent",
                    "in": "header",
                    "description": "The W3C trace context that this call belongs to, such as "
                    "`00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. Ignored where it is malformed.",
                    "schema": {"type": "string"},
                },
            },
            "headers": {
                "RequestId": {
                    "description": "The name of this call, in the log, too.",
                    "required": True,
                    "schema": {"type": "string"},
                },
                "RetryAfter": {
                    "description": "In how many seconds to try again.",
                    "schema": {"type": "integer", "minimum": 1},
                },
                "Location": {"description": "Where it is.", "schema": {"type": "string", "format": "uri-reference"}},
            },
        },
    }


# --- Routes -----------------------------------------------------------------------------------------------------

# (Of each operation instead of its path: Swagger UI does not look up what a path refers to.)
_PARAMETERS = [{"$ref": f"#/components/parameters/{name}"} for name in ("RequestId", "TraceParent")]


def _paths() -> Object:
    paths: Object = {}
    for route in ROUTES:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> Object:
    described = {"description": route.description} if route.description else {}
    asked = {"requestBody": _BODIES[route.body]} if route.body else {}
    in_path = [_in_path(name) for name in re.findall(r"{(\w+)}", route.template)]
    model = _ERRORS[route.shape].__name__
    told: dict[int, Object] = {code: {"$ref": f"#/components/responses/{model}{code}"} for code in route.errors}
    for code, answer in route.answers.items():
        content = {"content": {media: _content(media, name) for media, name in answer.content.items()}}
        told[code] = {
            "description": answer.what,
            "headers": _headers("RequestId", *(["Location"] if code == HTTPStatus.TEMPORARY_REDIRECT else [])),
            **(content if answer.content else {}),
        }
    return {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        **described,
        "parameters": [*in_path, *_PARAMETERS],
        **asked,
        "responses": {str(code): told[code] for code in sorted(told)},
    }


def _in_path(name: str) -> Object:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _body(model: str, values: dict[str, tuple[str, Object]]) -> Object:
    told = {name: {"summary": summary, "value": body} for name, (summary, body) in values.items()}
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"required": True, "content": {JSON: {"schema": schema, "examples": told}}}


_BODIES = {
    "InferBody": _body("InferBody", examples.QUESTIONS),
    "ChatBody": _body("ChatBody", openai_examples.CHATS),
    "EmbeddingsBody": _body("EmbeddingsBody", openai_examples.EMBEDDINGS),
    "BreakerBody": _body("BreakerBody", examples.ACTIONS),
    "ResponsesBody": _body("ResponsesBody", examples.RESPONSES),
    "MessagesBody": _body("MessagesBody", examples.MESSAGES),
    "CountBody": _body("CountBody", examples.COUNTS),
}


# Of events, as tools read it, and as OpenAPI 3.2 writes it down: the model is that of each, not of the whole body.
_UNNAMED: dict[str, Object] = {
    JSON: {"type": "object"},
    EVENTS: {
        "type": "object",
        "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
        "required": ["data"],
    },
}


def _content(media: str, name: str) -> Object:
    model = {"$ref": f"#/components/schemas/{name}"}
    if not name:
        return {"schema": _UNNAMED.get(media, {"type": "string"})}
    if media == EVENTS:
        frames = [f"event: {event}\ndata: {orjson.dumps(data).decode()}\n\n" for event, data in examples.EVENTS]
        return {"schema": model, "example": "".join(frames)}
    return {"schema": model, **({"example": examples.ANSWER} if name == "Answer" else {})}


def _headers(*names: str) -> Object:
    on_the_wire = {"RequestId": "x-request-id", "RetryAfter": "Retry-After", "Location": "Location"}
    return {on_the_wire[name]: {"$ref": f"#/components/headers/{name}"} for name in names}


# --- Errors -----------------------------------------------------------------------------------------------------


_ERRORS: dict[Shape, type[BaseModel]] = {
    refusals.ours: shapes.Error,
    refusals.openai: shapes.OpenAIError,
    refusals.anthropic: shapes.AnthropicError,
}


def _wrong(code: int, shape: Shape) -> Object:
    """The errors of one status. Their codes come from the one table that they are answered by."""
    codes = sorted({kind.reason for kind in _kinds(errors.PoolError) if _status(kind) == code})
    told = f" `code` is {' or '.join(f'`{reason}`' for reason in codes)}." if shape is refusals.ours else ""
    model = {"$ref": f"#/components/schemas/{_ERRORS[shape].__name__}"}
    return {
        "description": WRONG[code] + told,
        "headers": _headers("RequestId", *(["RetryAfter"] if code in status.RETRIED else [])),
        "content": {JSON: {"schema": model, "example": shape(_example(code), code, examples.ID)}},
    }


def _example(code: int) -> errors.PoolError:
    reason, message, details = examples.ERRORS[code]
    kind = next(kind for kind in _kinds(errors.PoolError) if kind.reason == reason)
    made = kind.__new__(kind)
    errors.PoolError.__init__(made, message, details=details)  # some kinds make their own words
    return made


def _status(kind: type[errors.PoolError]) -> int:
    return next(status.ROW[each].http for each in kind.__mro__ if each in status.ROW)


def _kinds(kind: type[errors.PoolError]) -> list[type[errors.PoolError]]:
    """Those below and itself, where it has a code of its own and is ever told."""
    below = [each for subclass in kind.__subclasses__() for each in _kinds(subclass)]
    return [kind, *below] if "reason" in vars(kind) and kind not in NEVER_SENT else below


# --- Models -----------------------------------------------------------------------------------------------------


class _Plain(GenerateJsonSchema):
    """Without what pydantic adds to everything: a title made of the name, and `default: null`."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if made.get("default", "") is None:
            del made["default"]
        return made


def _schemas() -> Object:
    named = {name for route in ROUTES for told in route.answers.values() for name in told.content.values() if name}
    told = [getattr(shapes, name) for name in sorted(named)]
    models: list[type[BaseModel]] = [
        InferBody,
        BreakerBody,
        ChatBody,
        EmbeddingsBody,
        ResponsesBody,
        MessagesBody,
        CountBody,
        *_ERRORS.values(),
        *told,
    ]
    _, made = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Plain,
    )
    schemas: Object = made["$defs"]
    return dict(sorted(schemas.items()))
