"""How a server is: whether it is there, takes our key, and has the models that it is to serve. Free of charge."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from llm_pool.core.errors import ProviderGarbled
from llm_pool.core.ports.provider import Health
from llm_pool.providers.openai.client import OpenAI
from llm_pool.providers.openai.models import listing_of, state
from tests.fakes.openai import FakeOpenAI, Script
from tests.providers.openai.asking import provider

pytestmark = pytest.mark.real_time

WELL = Health("healthy")


async def test_a_server_with_its_models_is_healthy_and_no_model_is_asked() -> None:
    async with FakeOpenAI() as fake:
        for models in (("gpt",), ("*",)):
            async with provider(fake, *models) as openai:
                assert await openai.health() == WELL
        assert [received.path for received in fake.received] == ["/models"] * 2


async def test_models_that_are_not_listed_are_absent() -> None:
    async with FakeOpenAI({"gpt": Script(), "gpt-mini": Script()}) as fake:
        async with provider(fake, "gpt", "gpt-9") as openai:
            assert await openai.health() == Health("degraded", 'model "gpt-9" is not listed', frozenset({"gpt-9"}))
        async with provider(fake, "gpt-9") as openai:
            assert (await openai.health()).state == "unhealthy"


@pytest.mark.parametrize(("key", "why"), [("bad", "does not accept our key"), (None, "set api_key")])
async def test_a_refused_key_is_unhealthy(key: str | None, why: str) -> None:
    async with FakeOpenAI() as fake:
        fake.key = "k1"
        async with provider(fake, api_key=key) as openai:
            health = await openai.health()
    assert health.state == "unhealthy"
    assert why in health.why


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, "healthy"), (405, "healthy"), (403, "unhealthy"), (500, "unhealthy"), (503, "loading"), (429, "degraded")],
)
async def test_a_status_says_how_it_is(status: int, expected: str) -> None:
    async with FakeOpenAI() as fake:
        fake.statuses["/models"] = status
        async with provider(fake, "gpt-9") as openai:
            assert (await openai.health()).state == expected


async def test_who_is_not_there_is_unhealthy() -> None:
    async with OpenAI(models=("gpt",), base_url="http://127.0.0.1:1/v1") as openai:
        assert await openai.health() == Health("unhealthy", "no answer at 127.0.0.1:1")


async def test_a_look_takes_no_longer_than_two_seconds() -> None:
    async with FakeOpenAI() as fake, provider(fake) as openai:
        fake.delays["/models"] = 60.0
        async with asyncio.timeout(2.5):
            assert (await openai.health()).state == "unhealthy"


async def test_a_page_in_place_of_the_listing_is_unhealthy() -> None:
    async with FakeOpenAI() as fake, provider(fake) as openai:
        fake.listing = b"<html></html>"
        assert "does not list its models" in (await openai.health()).why


# --- llama-server -----------------------------------------------------------------------------------------------


async def test_a_llama_server_takes_any_name() -> None:
    async with FakeOpenAI({"/models/x.gguf": Script()}, owner="llamacpp") as fake, provider(fake, "mine") as openai:
        assert await openai.health() == WELL


async def test_a_llama_server_that_loads_its_model_is_loading_though_it_lists_it() -> None:
    async with FakeOpenAI(owner="llamacpp") as fake, provider(fake) as openai:
        fake.loading = True
        assert (await openai.health()).state == "loading"


async def test_a_llama_servers_public_listing_does_not_hide_that_it_refuses_our_key() -> None:
    async with FakeOpenAI(owner="llamacpp") as fake, provider(fake, api_key="bad") as openai:
        fake.key = "k1"
        assert (await openai.health()).state == "unhealthy"


# --- OpenRouter -------------------------------------------------------------------------------------------------


async def test_openrouters_key_is_asked_about_each_time_and_its_long_listing_seldom() -> None:
    async with FakeOpenAI({"a/b": Script()}) as fake:
        fake.key, fake.public = "k1", {"/models"}
        async with provider(fake, "a/b", "a/c", openrouter=True, api_key="k1") as router:
            for _ in range(3):
                assert (await router.health()).absent == {"a/c"}
            assert [received.path for received in fake.received] == ["/key", "/models", "/key", "/key"]
            fake.key = "k2"
            assert "our key" in (await router.health()).why


async def test_a_listing_of_openrouter_that_did_not_come_is_asked_for_again() -> None:
    async with FakeOpenAI({"a/b": Script()}) as fake, provider(fake, "a/b", openrouter=True) as router:
        fake.statuses["/models"] = 503
        assert (await router.health()).state == "unhealthy"
        del fake.statuses["/models"]
        assert await router.health() == WELL


async def test_openrouter_with_any_model_is_not_asked_for_its_listing() -> None:
    async with FakeOpenAI() as fake, provider(fake, "*", openrouter=True) as router:
        assert await router.health() == WELL
        assert [received.path for received in fake.received] == ["/key"]


def test_azure_lists_what_could_be_deployed_which_proves_nothing() -> None:
    for host, believed in (("a.openai.azure.com", False), ("azure.com.example", True)):
        assert OpenAI(models=("mine",), base_url=f"https://{host}/openai/v1")._lists_all is believed


# --- Listings, pure ---------------------------------------------------------------------------------------------


def listed(models: tuple[str, ...], *ids: str, openrouter: bool = False, **more: Any) -> Health:
    body = orjson.dumps({"object": "list", "data": [{"id": name} for name in ids]} | more)
    return state(models, listing_of(body, who="OpenAI"), openrouter=openrouter)


def test_an_empty_listing_or_one_that_goes_on_proves_nothing() -> None:
    assert listed(("gpt",)) == WELL
    assert listed(("gpt",), "other", has_more=True) == WELL
    assert listed(("gpt",), "other", has_more=False).absent == {"gpt"}


def test_a_bare_list_is_a_listing_too() -> None:
    assert listing_of(b'[{"id": "gpt"}]', who="OpenAI").names == {"gpt"}


@pytest.mark.parametrize(("model", "name"), [("llama3", "llama3:latest"), ("gemini-3", "models/gemini-3")])
def test_names_compare_as_their_servers_compare_them(model: str, name: str) -> None:
    assert listed((model,), name) == WELL


def test_openrouters_variants_count_as_their_model() -> None:
    for variant in ("a/b:nitro", "a/b@preset/x", "@preset/x"):
        assert listed((variant,), "a/b", openrouter=True) == WELL
        assert listed((variant,), "a/b").absent == {variant}
    assert listed(("a/c:free",), "a/b", openrouter=True).absent == {"a/c:free"}


def test_a_llama_server_of_several_models_is_believed() -> None:
    entry = {"id": "a", "owned_by": "llamacpp", "status": {"value": "unloaded"}}
    listing = listing_of(orjson.dumps({"data": [entry]}), who="OpenAI")
    assert state(("b",), listing, openrouter=False).absent == {"b"}


@pytest.mark.parametrize(
    "body", [b"", b"x", b"5", b"{}", b'{"data": 5}', b'{"data": [5]}', b'{"data": [{"name": 1}]}', b'[{"id": []}]']
)
def test_what_is_no_listing_is_garbled(body: bytes) -> None:
    with pytest.raises(ProviderGarbled):
        listing_of(body, who="OpenAI")
