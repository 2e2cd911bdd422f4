"""What the door refuses, each by the path of the field, and never with the caller's values."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llm_pool.core.errors import InvalidRequest
from llm_pool.edges.http.anthropic.asked import asked
from llm_pool.edges.http.anthropic.bodies import CountBody, MessagesBody, checked
from tests.edges.anthropic.asking import ASK, WEATHER

TEXT = {"type": "text", "text": "x"}
CALL = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "x"}


def user(*blocks: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def assistant(*blocks: object) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": list(blocks)}]}


def image(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": source}


def refusal(raw: bytes, kind: type[CountBody] = MessagesBody) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        asked(*checked(raw, kind))
    return refused.value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"max_tokens": 0}, "max_tokens: input should be greater than or equal to 1"),
        ({"max_tokens": "5"}, "max_tokens: input should be a valid integer"),
        ({"temperature": 1.5}, "temperature: input should be less than or equal to 1"),
        ({"messages": ["hi"]}, "messages.0: must be an object"),
        ({"messages": []}, "messages: list should have at least 1 item after validation, not 0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: input should be"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content: must be a string or a list of blocks"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content: must not be empty"),
        (user(), "messages.0.content: must not be empty"),
        (user({"type": "text", "text": ""}), "messages.0.content.0.text: must not be empty"),
        (user(TEXT, {"text": "x"}), "messages.0.content.1: must be an object with"),
        (user(TEXT, CALL), 'messages.0.content.1: "tool_use" blocks cannot be in a message of role user'),
        (assistant(RESULT), 'messages.0.content.0: "tool_result" blocks cannot be in a message of role assistant'),
        (
            {"messages": [{"role": "system", "content": [RESULT]}]},
            'messages.0.content.0: "tool_result" blocks cannot be',
        ),
        (
            user(image(type="base64", media_type="image/png", data="?")),
            "messages.0.content.0.source.data: must be base64",
        ),
        (
            user(image(type="base64", media_type="image/tiff", data="AA==")),
            "messages.0.content.0.source.media_type: input",
        ),
        (user(image(type="url", url="file:///etc/passwd")), "messages.0.content.0.source.url: string should match"),
        (assistant({**CALL, "input": "{}"}), "messages.0.content.0.input: input should be a valid dictionary"),
        (
            assistant({"type": "thinking", "thinking": "x", "signature": "lp1.?"}),
            "messages.0.content.0.signature: is none",
        ),
        (assistant({"type": "redacted_thinking", "data": "lp1."}), "messages.0.content.0.data: is none that the pool"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: belongs to"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking.budget_tokens: input should be greater"),
        ({"thinking": {"type": "disabled", "budget_tokens": 2000}}, "thinking.budget_tokens: belongs to"),
        ({"tools": [WEATHER, WEATHER]}, "tools: no two may have one name"),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "tools.0.name: string should match"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema: field required"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: there are no tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.name: belongs to"),
        ({"tools": [WEATHER], "tool_choice": {"type": "auto", "name": "weather"}}, "tool_choice.name: belongs to"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name: is none of the tools"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "x"}}}},
            "output_config.format.schema.type: is no",
        ),
        ({"output_config": {"effort": "none"}}, "output_config.effort: input should be"),
        ({"system": 1}, "system: must be a string or a list of blocks"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], message: str) -> None:
    refused = refusal(orjson.dumps({**ASK, **body}))
    assert refused.message.startswith(message)
    assert refused.field == message.partition(":")[0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (user({"type": "document"}), 'messages.0.content.0: the type "document" is not supported here'),
        (user({"type": "search_result"}), 'messages.0.content.0: the type "search_result" is not supported here'),
        (user({"type": "container_upload", "file_id": "f"}), 'messages.0.content.0: the type "container_upload"'),
        (assistant({"type": "server_tool_use"}), 'messages.0.content.0: the type "server_tool_use"'),
        (user({**RESULT, "content": [{"type": "document"}]}), 'messages.0.content.0.content.0: the type "document"'),
        (user(image(type="file", file_id="f")), 'messages.0.content.0.source: the type "file" is not supported here'),
        (
            {"tools": [WEATHER, {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
            "tools.1: web_search_20250305: ",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0: bash_20250124: "),
        ({"container": "c"}, "container: is not supported here"),
        (
            {"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]},
            "mcp_servers: is not supported here",
        ),
        ({"inference_geo": "us"}, "inference_geo: input should be 'global'"),
        (
            assistant({**CALL, "caller": {"type": "code_execution_20250825", "tool_id": "t"}}),
            "messages.0.content.0.caller.type: ",
        ),
    ],
)
def test_what_only_anthropic_has_is_refused_by_name(body: dict[str, Any], message: str) -> None:
    assert refusal(orjson.dumps({**ASK, **body})).message.startswith(message)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"model": "\\ud800"}', b'{"max_tokens": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(raw: bytes) -> None:
    assert refusal(raw).message.startswith("the body is not valid JSON: ")


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"', b"1"])
def test_a_body_is_an_object(raw: bytes) -> None:
    assert refusal(raw).message == "the body must be a JSON object"


@pytest.mark.parametrize("number", ["1e999", "123456789012345678901234567890"])
def test_a_schema_with_numbers_that_no_provider_would_read_is_refused(number: str) -> None:
    tool = '{"name": "f", "input_schema": {"type": "integer", "maximum": %s}}' % number  # noqa: UP031
    raw = orjson.dumps(ASK)[:-1] + f', "tools": [{tool}]}}'.encode()
    assert refusal(raw).message == "tools.0.input_schema: holds a number that JSON cannot express"


def test_an_input_with_a_number_beyond_all_bounds_is_refused() -> None:
    raw = orjson.dumps({**ASK, **assistant(CALL)}).replace(b'"input":{}', b'"input":{"a":1e999}')
    assert refusal(raw).message == "messages.0.content.0.input: holds what JSON cannot express"


def test_nothing_of_the_caller_s_is_repeated() -> None:
    secret = "sk-" + "x" * 40
    for body in ({"max_tokens": secret}, user({"type": "text", "text": [secret]}), {"metadata": {"user_id": [secret]}}):
        assert secret not in refusal(orjson.dumps({**ASK, **body})).message


def test_a_hundred_mistakes_are_counted_not_listed() -> None:
    many = refusal(orjson.dumps({**ASK, "messages": [{"role": "user"}] * 200}))
    assert many.message == "the body has 200 problems"
    few = refusal(orjson.dumps({**ASK, "messages": [{"role": "user"}] * 7})).message
    assert few.count("; ") == 4
    assert few.endswith(" (and 2 more)")
