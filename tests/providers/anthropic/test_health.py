"""How Anthropic is, or a server like it: asked of it free of charge; and an alias is no missing model."""

from __future__ import annotations

from typing import Any

import pytest

from llm_pool.core.ports.provider import Health
from tests.fakes.anthropic import FakeAnthropic, Script
from tests.providers.anthropic.asking import OLD, provider

pytestmark = pytest.mark.real_time

DATED = "claude-sonnet-4-5-20250929"


async def health(fake: FakeAnthropic, *models: str, **settings: Any) -> Health:
    async with provider(fake, *models, **settings) as anthropic:
        return await anthropic.health()


async def test_models_are_there_under_their_names_and_their_aliases() -> None:
    async with FakeAnthropic({DATED: Script(), OLD: Script()}) as fake:
        for models in (("*",), (OLD,), (DATED,), ("claude-sonnet-4-5",), ("claude-sonnet-4-5-latest", OLD)):
            assert await health(fake, *models) == Health("healthy"), models
        assert {received.query["limit"] for received in fake.received} == {"1000"}


async def test_a_model_that_a_whole_list_does_not_have_is_absent() -> None:
    async with FakeAnthropic({OLD: Script()}) as fake:
        missing = Health("degraded", 'model "claude-x" is not there', frozenset({"claude-x"}))
        assert await health(fake, OLD, "claude-x") == missing
        assert (await health(fake, "claude-x")).state == "unhealthy"
        fake.listing = {"data": [{"type": "model", "id": OLD}], "has_more": True}
        assert await health(fake, "claude-x") == Health("healthy")


async def test_the_list_of_a_server_that_speaks_openais_as_well_tells_nothing_absent() -> None:
    """llama-server lists one name and answers to any."""
    async with FakeAnthropic() as fake:
        fake.listing = {"object": "list", "models": [{}], "data": [{"id": "tiny.gguf", "object": "model"}]}
        assert await health(fake, "any") == Health("healthy")


async def test_a_server_that_lists_nothing_may_still_answer() -> None:
    async with FakeAnthropic() as fake:
        for status in (404, 405):
            fake.statuses["/v1/models"] = status
            assert await health(fake) == Health("healthy")


async def test_a_refused_key_a_failure_and_a_stranger_are_told_apart() -> None:
    async with FakeAnthropic() as fake:
        fake.key = "right"
        assert await health(fake, api_key="wrong") == Health("unhealthy", "it does not accept our key")
        assert await health(fake) == Health("unhealthy", "it wants a key: set api_key")
        assert await health(fake, api_key="right") == Health("healthy")
        fake.key = None
        fake.statuses["/v1/models"] = 500
        assert await health(fake) == Health("unhealthy", "Anthropic answered 500")
        fake.statuses.clear()
        strange: list[Any] = [{"data": 5}, {"data": [{}]}, {"data": [{"id": 5}]}, [1], {"models": []}]
        for listing in strange:
            fake.listing = listing
            assert "as Anthropic does" in (await health(fake)).why, listing
