"""A provider that is known and has no key: an error that names the variable, or the fallback tier with a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_pool.core.errors import ProviderNotConfigured, UnknownModel
from llm_pool.core.trace import Decision
from llm_pool.core.types import TextDelta, Warning, replace
from llm_pool.providers.unconfigured import Unconfigured
from tests.scripted import Scripted, answer, pool_of, request

if TYPE_CHECKING:
    from llm_pool.core.types import Event, Request
    from llm_pool.pool import Pool

KEYLESS: dict[str, Any] = {"driver": "openai", "model": "gpt"}
SUBSTITUTE: dict[str, Any] = {"qos": {"fallback_unconfigured": "builtin"}}


def pool(*, sections: dict[str, Any] | None = None, **more: Scripted) -> Pool:
    built: dict[str, Any] = {"paid": Unconfigured(name="paid", variable="OPENAI_API_KEY"), **more}
    tables: dict[str, dict[str, Any]] = {"paid": KEYLESS, "stand_in": {"fallback": True, "model": "s"}}
    return pool_of(built, tables=tables, sections=sections)


async def refusal(asking: Pool, asked: Request) -> ProviderNotConfigured:
    with pytest.raises(ProviderNotConfigured) as caught:
        await asking.infer(asked)
    return caught.value


async def test_it_is_never_asked_and_the_missing_variable_is_named() -> None:
    error = await refusal(pool(), request(model="openai/gpt"))
    assert error.message == "paid has no key: OPENAI_API_KEY is not set"
    assert error.details == {"variable": "OPENAI_API_KEY"}


async def test_one_without_a_table_is_told_what_it_needs() -> None:
    error = await refusal(pool(), request(model="anthropic/claude"))
    needs = "it needs a [[providers]] table, whose key is read from ANTHROPIC_API_KEY"
    assert error.message == f"anthropic is not configured: {needs}"


async def test_a_model_that_a_configured_provider_does_not_have_is_still_unknown() -> None:
    with pytest.raises(UnknownModel):
        await pool().infer(request(model="openai/gpt-5"))


@pytest.mark.parametrize("model", ["openai/gpt", "openrouter/google/gemma-3-27b-it:free"])
async def test_where_it_may_the_fallback_tier_answers_instead_and_says_so(model: str) -> None:
    stand_in = Scripted(*answer("something"))
    asking = pool(stand_in=stand_in, sections=SUBSTITUTE)
    events: list[Event] = []
    async with asking.open(asked := request(model=model, whole=False)) as answering:
        events.extend([event async for event in answering])
    warned = [event for event in events if isinstance(event, Warning)]
    assert [event.code for event in warned] == ["provider_not_configured"]
    assert warned[0].message.endswith("stand_in answers instead")
    assert TextDelta("something") in events
    decision = Decision.of(asked.trace)
    assert (decision.degraded, decision.winner, decision.warnings) == (True, "stand_in", tuple(warned))


async def test_without_a_fallback_tier_nobody_answers() -> None:
    assert (await refusal(pool(sections=SUBSTITUTE), request(model="openai/gpt"))).reason == "PROVIDER_NOT_CONFIGURED"


async def test_nobody_stands_in_for_vectors() -> None:
    asking = pool(stand_in=Scripted(), sections=SUBSTITUTE)
    await refusal(asking, replace(request(model="openai/gpt"), operation="embed", inputs=("x",)))


async def test_who_names_no_model_is_answered_by_whoever_has_a_key() -> None:
    asking = pool(other=Scripted(*answer("mine")))
    assert (await asking.infer(request())).content == "mine"


async def test_its_health_says_what_it_lacks() -> None:
    health = await Unconfigured(name="paid", variable="OPENAI_API_KEY").health()
    assert (health.state, health.why) == ("unhealthy", "it has no key: OPENAI_API_KEY is not set")
