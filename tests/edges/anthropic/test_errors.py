"""Whatever fails, the official client raises the class that it should, and tries again where that may help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from llm_pool.core.errors import (
    ContextTooLong,
    PoolError,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderUnreachable,
    RequestRefused,
    StreamBroken,
    Unsupported,
)
from llm_pool.core.types import Finished, Started, TextDelta, ToolCallDelta
from tests.edges.anthropic.asking import ASK, TOML, USAGE, client_of, pool_saying

if TYPE_CHECKING:
    from tests.scripted import Step

pytestmark = pytest.mark.real_time

START = Started("sim/m", "a")


async def refusal(*steps: Step, ask: dict[str, Any] | None = None, toml: str = TOML, **options: Any) -> Any:
    """What the client raises, after how many calls of the provider."""
    async with pool_saying(*(steps or ("stall",)), toml=toml) as (up, provider), client_of(up) as client:
        with pytest.raises(anthropic.APIStatusError) as raised:
            await client.with_options(**options).messages.create(**{**ASK, **(ask or {})})
        line = up.access[-1]
    assert raised.value.request_id == line["request_id"]
    assert raised.value.status_code == line["status"]
    return raised.value, provider.opened


@pytest.mark.parametrize(
    ("ask", "kind", "says"),
    [
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens: "),
        ({"messages": [{"role": "user", "content": ""}]}, anthropic.BadRequestError, "messages.0.content: "),
        ({"model": "sim/n"}, anthropic.NotFoundError, 'unknown model "sim/n"; did you mean "sim/m"?'),
        ({"model": "nobody"}, anthropic.NotFoundError, 'unknown model "nobody"'),
        ({"system": "x" * 3000}, anthropic.ContentTooLargeError, "the body must be at most 2000 bytes"),
    ],
)
async def test_a_mistake_of_the_caller_is_told_at_once(
    ask: dict[str, Any], kind: type[anthropic.APIStatusError], says: str
) -> None:
    error, calls = await refusal(ask=ask, toml=f"{TOML}[server]\nmax_body_bytes = 2000\n", max_retries=2)
    assert type(error) is kind
    assert str(error.api_message).startswith(says)
    assert calls == 0


async def test_a_host_that_is_not_served_is_forbidden() -> None:
    error, _ = await refusal(default_headers={"Host": "evil.example"})
    assert type(error) is anthropic.PermissionDeniedError
    assert error.type == "permission_error"


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (RequestRefused("a would not take it"), 400, "invalid_request_error"),
        (ContextTooLong("the question is too long for a"), 400, "invalid_request_error"),
        (Unsupported("a takes no images"), 400, "invalid_request_error"),
        (ProviderMisconfigured("a does not know our key"), 502, "api_error"),
    ],
)
async def test_what_would_fail_again_is_not_tried_again(failure: PoolError, status: int, kind: str) -> None:
    error, calls = await refusal(failure, max_retries=2)
    assert (error.status_code, error.type, error.api_message) == (status, kind, failure.message)
    assert isinstance(error, anthropic.BadRequestError if status == 400 else anthropic.InternalServerError)
    assert calls == 1


@pytest.mark.parametrize(
    "failure",
    [
        ProviderOverloaded("a is busy", retry_after=0.01),
        ProviderLimited("a was asked too often", retry_after=0.01),
        ProviderUnreachable("a is not there", retry_after=0.01),
    ],
)
async def test_what_may_help_to_wait_for_is_tried_again(failure: PoolError) -> None:
    """When the pool says so, to the millisecond: of itself the client waits for half a second and more."""
    async with pool_saying(failure) as (up, _), client_of(up, retries=2) as client:
        with pytest.raises(anthropic.InternalServerError) as raised:
            await client.messages.create(**ASK)
        assert len(await up.lines(3)) == 3
    headers = raised.value.response.headers
    assert headers["x-should-retry"] == "true"
    assert 0 < int(headers["retry-after-ms"]) <= 10
    assert headers["retry-after"] == "1"


async def test_a_deadline_that_passed_is_a_timeout_of_the_gateway() -> None:
    error, _ = await refusal(default_headers={"x-stainless-read-timeout": "0.05"})
    assert type(error) is anthropic.GatewayTimeoutError
    assert error.type == "timeout_error"


@pytest.mark.filterwarnings("ignore")
async def test_a_bug_of_ours_tells_nothing_but_the_id_of_the_call() -> None:
    error, _ = await refusal(RuntimeError("sk-secret"))
    body: Any = error.body
    assert type(error) is anthropic.InternalServerError
    assert body == {
        "type": "error",
        "error": {"type": "api_error", "message": "internal error"},
        "request_id": error.request_id,
    }


# --- Tools ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["{", "[]", "nothing", '{"a": NaN}'])
async def test_a_call_that_is_no_json_object_is_no_call_without_arguments(arguments: str) -> None:
    error, _ = await refusal(START, ToolCallDelta(0, "c", "f", arguments), Finished("tool_calls", USAGE))
    assert (error.status_code, error.type) == (502, "api_error")
    assert arguments not in error.api_message.replace("no JSON object", "")


async def test_a_call_that_was_cut_off_is_left_out_with_a_warning() -> None:
    steps: list[Step] = [START, TextDelta("I ask."), ToolCallDelta(0, "c", "f", '{"a": '), Finished("length", USAGE)]
    async with pool_saying(*steps) as (up, _), client_of(up) as client:
        message = await client.messages.create(**ASK)
    assert ([block.type for block in message.content], message.stop_reason) == (["text"], "max_tokens")
    (warning,) = message.to_dict()["llm_pool"]["warnings"]
    assert warning["code"] == "tool_call_incomplete"


# --- In a stream ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (StreamBroken("a broke off"), "api_error"),
        (ProviderOverloaded("a is busy"), "api_error"),
        ("stall", "timeout_error"),
    ],
)
async def test_what_fails_amid_a_stream_is_raised_amid_it(failure: Step, kind: str) -> None:
    """After the words that had come; no final message is made of them, and the connection ends in good order."""
    words: list[str] = []
    steps, toml = (START, TextDelta("One "), TextDelta("two"), failure), f"{TOML}[qos]\ndefault_deadline_ms = 200\n"
    async with pool_saying(*steps, toml=toml) as (up, _), client_of(up) as client:
        ask: Any = {**ASK, "extra_headers": {"x-stainless-read-timeout": "0.2"}}
        with pytest.raises(anthropic.APIStatusError) as raised:
            async with client.messages.stream(**ask) as stream:
                async for text in stream.text_stream:
                    words.append(text)
        lines = await up.lines(1)
    assert words == ["One ", "two"]
    assert raised.value.type == kind
    assert raised.value.request_id == lines[0]["request_id"]
    assert (lines[0]["status"], lines[0]["outcome"] != "ok") == (200, True)


async def test_what_fails_before_the_first_word_of_a_stream_has_a_status_of_its_own() -> None:
    async with pool_saying(ContextTooLong("too long for a")) as (up, _), client_of(up) as client:
        with pytest.raises(anthropic.BadRequestError):
            await client.messages.create(**ASK, stream=True)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/unheard-of"])
async def test_every_error_has_the_shape_that_the_client_reads(path: str) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    async with pool_saying() as (up, _), up.http.post(path, data=b"x", headers=headers) as response:
        told = await response.json()
    assert (told["type"], set(told["error"])) == ("error", {"type", "message"})
    assert told["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
