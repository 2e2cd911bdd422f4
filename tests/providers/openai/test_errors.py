"""What a status other than 200 means, with what the body says; and that no word of it is repeated."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_pool.core.errors import (
    ContextTooLong,
    ProviderError,
    ProviderLimited,
    ProviderMisconfigured,
    ProviderOverloaded,
    RequestRefused,
)
from llm_pool.providers.openai.errors import failure

PROMPT = "the words of the prompt"
LLAMA = {"n_prompt_tokens": 704, "n_ctx": 256}

# A status and an error, what they mean, and what the message shows of them.
CORPUS: list[tuple[int, Any, type[ProviderError], str]] = [
    (
        400,
        {"code": "context_length_exceeded", "param": "messages"},
        ContextTooLong,
        "400, context_length_exceeded: messages",
    ),
    (
        400,
        {"code": 400, "type": "exceed_context_size_error", **LLAMA},
        ContextTooLong,
        "400, exceed_context_size_error",
    ),
    (
        400,
        {"message": f"This model's maximum context length is 4 tokens. {PROMPT}", "code": 400},
        ContextTooLong,
        "400",
    ),
    (413, {"message": "Trying to keep more tokens: greater than the context length"}, ContextTooLong, "413"),
    (500, {"message": "input is too large to process. increase the batch size"}, ContextTooLong, "500"),
    (
        400,
        {"type": "invalid_request_error", "code": "unsupported_value", "param": "temperature"},
        RequestRefused,
        "400, unsupported_value: temperature",
    ),
    (
        400,
        {"type": "invalid_request_error", "param": "messages.[0].content"},
        RequestRefused,
        "400, invalid_request_error: messages.[0].content",
    ),
    (400, {"code": "content_filter"}, RequestRefused, "400, content_filter"),
    (403, {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": PROMPT}}, RequestRefused, "403"),
    (
        500,
        {"message": "image input is not supported - hint", "type": "server_error"},
        RequestRefused,
        "500, server_error",
    ),
    (501, {"type": "not_supported_error"}, RequestRefused, "501, not_supported_error"),
    (
        401,
        {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-1"},
        ProviderMisconfigured,
        "401, invalid_api_key",
    ),
    (400, {"code": "invalid_api_key"}, ProviderMisconfigured, "400, invalid_api_key"),
    (
        403,
        {"code": "unsupported_country_region_territory"},
        ProviderMisconfigured,
        "403, unsupported_country_region_territory",
    ),
    (404, {"code": "model_not_found"}, ProviderMisconfigured, "404, model_not_found"),
    (
        400,
        {"message": "model 'm' not found", "type": "invalid_request_error"},
        ProviderMisconfigured,
        "400, invalid_request_error",
    ),
    (400, {"message": f"an image of the model was not found: {PROMPT}"}, RequestRefused, "400"),
    (402, {"code": 402, "message": "Insufficient credits"}, ProviderLimited, "402"),
    (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, ProviderLimited, "429, insufficient_quota"),
    (403, {"code": "insufficient_quota"}, ProviderLimited, "403, insufficient_quota"),
    (429, {"code": "rate_limit_exceeded", "type": "tokens"}, ProviderLimited, "429, rate_limit_exceeded"),
    (503, {"type": "unavailable_error", "message": "Loading model"}, ProviderOverloaded, "503, unavailable_error"),
    (500, {"type": "server_error"}, ProviderError, "500, server_error"),
    (500, {"code": f"no code: {PROMPT}", "type": 5, "param": [PROMPT]}, ProviderError, "500"),
    (400, f"a bare sentence, {PROMPT}", RequestRefused, "400"),
    (502, None, ProviderError, "502"),
]


@pytest.mark.parametrize(("status", "error", "kind", "shows"), CORPUS)
@pytest.mark.parametrize("bare", [False, True])
def test_every_error_has_its_class_and_shows_its_code_alone(
    status: int, error: Any, kind: Any, shows: str, bare: bool
) -> None:
    """`bare`: in the shape of older vLLM, without an outer object."""
    if bare and not isinstance(error, dict):
        return
    said = {"message": PROMPT} | error if isinstance(error, dict) else error
    body = orjson.dumps({"object": "error"} | said if bare else {"error": said})
    found = failure(status, body, who="OpenAI (a)", model="gpt", wait=None)
    assert type(found) is kind
    assert found.message.endswith(f"({shows})")
    assert found.message.startswith("OpenAI (a)")
    assert PROMPT not in found.message


def test_how_long_to_wait_is_kept_for_a_limit_and_for_a_quota() -> None:
    for error in ({}, {"code": "insufficient_quota"}):
        found = failure(429, orjson.dumps({"error": error}), who="a", model="m", wait=2.0)
        assert (type(found), found.retry_after) == (ProviderLimited, 2.0)


def test_the_model_that_it_does_not_know_is_named() -> None:
    for body in (b"", b'{"error": {"code": "model_not_found"}}'):
        assert '"gpt-9"' in failure(404, body, who="a", model="gpt-9", wait=None).message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b'{"error": [1]}', b'{"error": ""}', b"\xff", b"{"])
def test_a_body_that_says_nothing_leaves_the_status_to_say_it(body: bytes) -> None:
    assert type(failure(400, body, who="a", model="m", wait=None)) is RequestRefused


@given(
    st.integers(201, 599),
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["error", "message", "code", "type", "param", "metadata"]),
        st.none()
        | st.integers(0, 999)
        | st.text(max_size=9)
        | st.lists(st.text(max_size=3), max_size=2)
        | st.dictionaries(
            st.sampled_from(["message", "code", "type", "param", "metadata"]),
            st.none() | st.text(max_size=9) | st.lists(st.none(), max_size=1),
        ),
    ).map(orjson.dumps),
)
def test_whatever_a_body_holds_it_is_an_error_of_ours(status: int, body: bytes) -> None:
    assert isinstance(failure(status, body, who="a", model="m", wait=None), ProviderError)
