"""Each error raises the class that the official client has for it, with code and parameter, and is retried or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from llm_pool.core import errors
from tests.edges.openai.asking import HI, MODEL, client_of, in_thread, scripted
from tests.scripted import Scripted

if TYPE_CHECKING:
    from openai import OpenAI

    from llm_pool.core.errors import PoolError

pytestmark = pytest.mark.real_time

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an answer that was heard": (
        {"messages": [*HI, {"role": "assistant", "content": "x", "audio": {"id": "a"}}]},
        "messages.1.audio",
    ),
    "sound": ({"audio": {"voice": "x", "format": "wav"}, "modalities": ["audio"]}, "audio"),
    "prediction": ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    "no messages": ({"messages": []}, "messages"),
    "a role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
    "a function's message": ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages.0.role"),
    "a sound": (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "messages.0.content.0.type",
    ),
    "a file": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
        "messages.0.content.0.type",
    ),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/x"}}]}]},
        "messages.0.content.0.image_url.url",
    ),
    "temperature": ({"temperature": 3}, "temperature"),
    "too many answers": ({"n": 9}, "n"),
    "too many stops": ({"stop": list("abcde")}, "stop"),
    "a schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strin"}}}},
        "response_format",
    ),
    "a custom tool": ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
    "logit_bias": ({"logit_bias": {"1": 5}}, "logit_bias"),
    "web_search_options": ({"web_search_options": {}}, "web_search_options"),
    "modalities": ({"modalities": ["text", "audio"]}, "modalities"),
    "functions": ({"functions": [{"name": "f"}]}, "functions"),
}


@pytest.mark.parametrize(("words", "param"), WRONG.values(), ids=WRONG)
async def test_a_wrong_field_is_a_bad_request_that_names_it(words: dict[str, Any], param: str) -> None:
    async with scripted() as (up, provider), client_of(up) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(**{"model": MODEL, "messages": HI, **words})
    assert raised.value.param == param
    assert raised.value.code == "invalid_request"
    assert raised.value.type == "invalid_request_error"
    assert raised.value.message.partition(" - ")[2].startswith(param)
    assert provider.opened == 0


PROVIDERS: dict[str, tuple[PoolError, type[openai.APIStatusError], str]] = {
    "the request": (errors.RequestRefused("no"), openai.BadRequestError, "refused_by_provider"),
    "its length": (errors.ContextTooLong("no"), openai.BadRequestError, "context_length_exceeded"),
    "an image": (errors.Unsupported("no images"), openai.BadRequestError, "unsupported_by_provider"),
    "garbage": (errors.ProviderGarbled("no JSON"), openai.InternalServerError, "provider_garbled"),
    "our key": (errors.ProviderMisconfigured("no key"), openai.InternalServerError, "provider_misconfigured"),
}


@pytest.mark.parametrize(("error", "kind", "code"), PROVIDERS.values(), ids=PROVIDERS)
async def test_what_a_provider_refuses_raises_its_class(
    error: PoolError, kind: type[openai.APIStatusError], code: str
) -> None:
    async with scripted(error) as (up, _), client_of(up) as client:
        with pytest.raises(kind) as raised:
            await client.chat.completions.create(model=MODEL, messages=HI)
        with pytest.raises(kind):
            await in_thread(up, lambda client: client.chat.completions.create(model=MODEL, messages=HI))
    assert raised.value.code == code
    assert raised.value.request_id


async def test_an_unknown_model_is_not_found_and_the_nearest_is_named() -> None:
    async with scripted() as (up, _), client_of(up) as client:
        with pytest.raises(openai.NotFoundError, match="did you mean") as raised:
            await client.chat.completions.create(model="sim/n", messages=HI)
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


async def test_an_unknown_path_is_not_found() -> None:
    async with scripted() as (up, _), client_of(up) as client:
        with pytest.raises(openai.NotFoundError):
            await client.moderations.create(input="x")


async def test_a_foreign_host_is_denied_in_the_shape_of_the_door() -> None:
    async with scripted() as (up, _), client_of(up) as client:
        with pytest.raises(openai.PermissionDeniedError) as raised:
            await client.chat.completions.create(model=MODEL, messages=HI, extra_headers={"Host": "evil.example.org"})
    assert raised.value.type == "permission_error"


async def test_a_body_that_is_too_large_has_its_own_status() -> None:
    toml = "[server]\nmax_body_bytes = 1024\n"
    async with scripted(toml=toml) as (up, _), client_of(up) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x" * 2000}])
    assert (raised.value.status_code, raised.value.code) == (413, "request_too_large")


async def test_the_time_that_the_client_waits_is_the_deadline() -> None:
    """It is said in a header, and is an upper hint: the answer that it is too late comes in time to be read."""
    async with scripted(provider=Scripted("stall")) as (up, _), client_of(up) as client:
        with pytest.raises(openai.InternalServerError) as raised:
            await client.chat.completions.create(
                model=MODEL, messages=HI, extra_headers={"x-stainless-read-timeout": "0.05"}
            )
        lines = await up.lines(1)
    assert (raised.value.status_code, raised.value.code) == (504, "deadline_exceeded")
    assert lines[0]["duration_ms"] < 1000


# --- Again, or not ----------------------------------------------------------------------------------------------

AGAIN: dict[str, tuple[PoolError, type[openai.APIStatusError], int]] = {
    "busy": (errors.ProviderOverloaded("busy", retry_after=0.01), openai.InternalServerError, 3),
    "too often": (errors.ProviderLimited("too often", retry_after=0.01), openai.InternalServerError, 3),
    "the request itself": (errors.RequestRefused("no"), openai.BadRequestError, 1),
    "a key of ours": (errors.ProviderMisconfigured("no key"), openai.InternalServerError, 1),
}


@pytest.mark.parametrize(("error", "kind", "times"), AGAIN.values(), ids=AGAIN)
async def test_a_client_tries_again_where_that_may_help(
    error: PoolError, kind: type[openai.APIStatusError], times: int
) -> None:
    toml = "[qos]\nmax_retries = 0\n"
    async with scripted(error, toml=toml) as (up, _):
        with pytest.raises(kind):
            await in_thread(up, lambda client: _patient(client).chat.completions.create(model=MODEL, messages=HI))
        await up.lines(times)


def _patient(client: OpenAI) -> OpenAI:
    return client.with_options(max_retries=2)
