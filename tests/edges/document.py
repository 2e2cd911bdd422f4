"""The document of the API as somebody else would read it, and real answers held to what it says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

from llm_pool.edges.http import shapes
from llm_pool.edges.http.openapi import document

if TYPE_CHECKING:
    from aiohttp import ClientResponse


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    paths: dict[str, dict[str, dict[str, Any]]] = document()["paths"]
    return {(method.upper(), path): told for path, methods in paths.items() for method, told in methods.items()}


def schema_of(name: str) -> jsonschema_rs.Draft202012Validator:
    """What the document says of a model, as anybody else would read it."""
    return jsonschema_rs.Draft202012Validator({
        "$ref": f"#/components/schemas/{name}",
        "components": document()["components"],
    })


async def fits(response: ClientResponse, path: str) -> str:
    """Hold an answer to what the document says of it. Gives the name of its model."""
    answers = operations()[response.method.replace("HEAD", "GET"), path]["responses"]
    told = answers[str(response.status)]
    if "$ref" in told:
        told = document()["components"]["responses"][told["$ref"].rpartition("/")[2]]
    missing = [name for name in told["headers"] if name not in response.headers]
    # Of a 502 it is known only where a provider says it; and what a person has to mend is not tried again.
    in_vain = response.headers.get("x-should-retry") == "false"
    assert missing == ["Retry-After"] * ((response.status == 502 or in_vain) and bool(missing))
    body = await response.read()
    if "content" not in told:
        assert body == b""
        return ""
    content = told["content"][response.content_type]
    name: str = content["schema"].get("$ref", "").rpartition("/")[2]
    if response.method == "HEAD" or not name:
        return name
    model = getattr(shapes, name)
    for event in events(body.decode()) if response.content_type == "text/event-stream" else [orjson.loads(body)]:
        schema_of(name).validate(event)
        model.model_validate_json(orjson.dumps(event))
    return name


def events(text: str) -> list[dict[str, str]]:
    """Each as a reader of server-sent events has it: names and values of its lines."""
    *frames, rest = text.split("\n\n")
    assert rest == ""
    return [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in frames]
